"""Read images and label maps from the Arrow or Parquet files of a Hugging Face dataset, row by row."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segablate.datasets.dataset import Item
from segablate.datasets.parquet_rows import SUFFIX, count_rows, paths_in, row_value
from segablate.extras import require
from segablate.files import Unreadable, read_bytes
from segablate.images.label_maps import LabelFile, decode_label_file
from segablate.images.lossy import check_lossless
from segablate.images.pictures import Picture, Reading, decode_picture

_DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError, MemoryError)
"""What pyarrow, and the types that `datasets` adds to it, raise for damaged bytes, beside exceptions of its own."""

_EMPTY = "{}: the row is empty; remove it, or pass --on-error skip"


@dataclass(frozen=True)
class Rows:
    """Rows of Arrow files, which each process maps into memory when it first reads them, or of Parquet files.

    - `images`, `maps`: names of the columns. Encoded images are {bytes, path}; label maps may also be nested lists.
    - `rows`: index of each item's row in its file, by the item's name.
    """

    images: str
    maps: str
    rows: dict[str, int]

    def image(self, item: Item, reading: Reading) -> Picture:
        """Decode the image of an item."""
        where = f"{item.image}, {item.name}"
        with _as_described(where):
            data = _encoded(self._value(item, self.images), where)
        return decode_picture(data, where, reading)

    def labels(self, item: Item, reading: Reading) -> LabelFile:
        """Read the label map of an item. Raises Unreadable, also for one that was compressed with loss."""
        where = f"{item.labels}, {item.name}"
        with _as_described(where):
            value = self._value(item, self.maps)
            encoded = _encoded(value, where) if _arrow().types.is_struct(value.type) else None
            codes = _matrix(value, where) if encoded is None else None
        if encoded is not None:
            check_lossless(encoded, where)
            return decode_label_file(encoded, where, reading.exif)
        assert codes is not None
        return LabelFile(codes.tobytes(), codes)

    def _value(self, item: Item, column: str) -> Any:
        if item.image.suffix == SUFFIX:
            return row_value(item.image, (self.images, self.maps), column, self.rows[item.name])
        return open_rows(item.image).column(column)[self.rows[item.name]]


@lru_cache(maxsize=256)
def open_rows(path: Path) -> Any:
    """Map the table in an Arrow file into memory. Raises Unreadable when the file is missing or damaged.

    Validation reads offsets and names, not the images.
    """
    pa = _arrow()
    try:
        with pa.memory_map(os.fsencode(path)) as file:
            table = pa.ipc.open_stream(file).read_all()
        table = pa.table([_stored(column) for column in table.columns], names=table.column_names)
        table.validate(full=True)
    except (*_DAMAGE, pa.ArrowException) as error:
        raise Unreadable(
            f"{path}: not an Arrow file that can be read ({_line(error)}); save the dataset again"
        ) from None
    return table


def number_of_rows(path: Path) -> int:
    """Return the number of rows in a file. Raises Unreadable when it is missing or damaged."""
    return count_rows(path) if path.suffix == SUFFIX else open_rows(path).num_rows


def file_names(path: Path, column: str) -> list[str | None]:
    """Return for each row the name of the file that its image was made from."""
    if path.suffix == SUFFIX:
        return paths_in(path, column)
    compute = require("pyarrow.compute", "hf", "reading Arrow files")
    with _as_described(str(path)):
        return compute.struct_field(open_rows(path).column(column), "path").to_pylist()


@contextmanager
def _as_described(where: str) -> Iterator[None]:
    """Raise Unreadable for a row of another type than dataset_info.json states."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, _arrow().ArrowException) as error:
        raise Unreadable(f"{where}: not of the type that its features state ({_line(error)}); save it again") from None


def _arrow() -> ModuleType:
    return require("pyarrow", "hf", "reading Arrow files")


def _stored(column: Any) -> Any:
    """Return a column in its storage type: matrices have a type of their own once `datasets` is imported."""
    pa = _arrow()
    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)


def _encoded(value: Any, where: str) -> np.ndarray:
    """Return the bytes of an image: those in the row, or those of the file that the row names."""
    found = value.as_py() or {}
    if found.get("bytes") is not None:
        return np.frombuffer(found["bytes"], np.uint8)
    if not found.get("path"):
        raise Unreadable(_EMPTY.format(where))
    return read_bytes(Path(found["path"]))


def _matrix(value: Any, where: str) -> np.ndarray:
    """Return H, W integers from a list of rows. Raises Unreadable for rows of several lengths and for floats."""
    rows = value.values
    if rows is None or not len(rows):
        raise Unreadable(_EMPTY.format(where))
    compute = require("pyarrow.compute", "hf", "reading Arrow files")
    widths = compute.unique(compute.list_value_length(rows)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise Unreadable(f"{where}: the label map has rows of {len(widths)} lengths; expected H rows of W numbers")
    values = rows.flatten().to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "iub":
        raise Unreadable(f"{where}: the label map holds {values.dtype}; expected whole numbers")
    return values.reshape(len(rows), widths[0])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
