"""Images and label maps in the Arrow files of a saved Hugging Face dataset, read row by row."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segablate.datasets.dataset import Item
from segablate.extras import require
from segablate.files import Unreadable, check_whole, checked_bytes, decode_image, decode_label_map

_EMPTY = "{}: the row is empty; remove it, or pass --on-error skip"


@dataclass(frozen=True)
class Rows:
    """Rows of Arrow files; the files are mapped into memory when first asked for, in each process.

    - `images`, `maps`: the columns. Encoded images are {bytes, path}; label maps may be nested lists of numbers too.
    - `rows`: the row of each item in its file, by the item's name.
    """

    images: str
    maps: str
    rows: dict[str, int]

    def image(self, item: Item) -> np.ndarray:
        """The image, decoded."""
        where = f"{item.image}, {item.name}"
        return decode_image(_encoded(self._value(item, self.images), where), where)

    def labels(self, item: Item) -> tuple[bytes, np.ndarray]:
        """The label map as stored, and its values."""
        where, value = f"{item.labels}, {item.name}", self._value(item, self.maps)
        if _arrow().types.is_struct(value.type):
            data = _encoded(value, where)
            return data.tobytes(), decode_label_map(data, where)
        codes = _matrix(value, where)
        return codes.tobytes(), codes

    def _value(self, item: Item, column: str) -> Any:
        return open_rows(item.image).column(column)[self.rows[item.name]]


@lru_cache(maxsize=256)
def open_rows(path: Path) -> Any:
    """The table in an Arrow file, mapped and not read. Raises Unreadable when it is missing or damaged."""
    pa = _arrow()
    try:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_stream(file).read_all()
    except (OSError, pa.ArrowException) as error:
        raise Unreadable(
            f"{path}: not an Arrow file that can be read ({_line(error)}); save the dataset again"
        ) from None
    return pa.table([_stored(column) for column in table.columns], names=table.column_names)


def file_names(path: Path, column: str) -> list[str | None]:
    """Of each row the name of the file of which its image was made."""
    compute = require("pyarrow.compute", "hf", "reading Arrow files")
    return compute.struct_field(open_rows(path).column(column), "path").to_pylist()


def _arrow() -> ModuleType:
    return require("pyarrow", "hf", "reading Arrow files")


def _stored(column: Any) -> Any:
    """Arrays of two dimensions have a type of their own once `datasets` is imported; they are stored as lists."""
    pa = _arrow()
    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)


def _encoded(value: Any, where: str) -> np.ndarray:
    """The bytes of an image: those in the row, or those of the file that it names."""
    found = value.as_py() or {}
    if found.get("bytes") is not None:
        data = np.frombuffer(found["bytes"], np.uint8)
        check_whole(data, where)
        return data
    if not found.get("path"):
        raise Unreadable(_EMPTY.format(where))
    return checked_bytes(Path(found["path"]))


def _matrix(value: Any, where: str) -> np.ndarray:
    """H, W numbers from a list of rows."""
    rows = value.values
    if rows is None or not len(rows):
        raise Unreadable(_EMPTY.format(where))
    compute = require("pyarrow.compute", "hf", "reading Arrow files")
    widths = compute.unique(compute.list_value_length(rows)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise Unreadable(f"{where}: the rows of the label map have {len(widths)} lengths; expected H rows of W numbers")
    values = rows.flatten().to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "iub":
        raise Unreadable(f"{where}: the label map holds {values.dtype}; expected whole numbers")
    return values.reshape(len(rows), widths[0])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
