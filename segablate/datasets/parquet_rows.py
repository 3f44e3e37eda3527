"""Read single rows of Parquet files: a group of rows is decoded at a time, and the last ones are kept."""

import bisect
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from segablate.extras import require
from segablate.files import Unreadable

SUFFIX = ".parquet"
_PURPOSE = "reading Parquet files"
_KEPT = 2
"""Groups of rows that are kept; the hub writes about 100 images into one."""


def count_rows(path: Path) -> int:
    """Return the number of rows in a file. Raises Unreadable when it is missing or damaged."""
    return _starts(path)[-1]


def row_value(path: Path, columns: tuple[str, ...], column: str, row: int) -> Any:
    """Return the value of a column in a row; `columns` are those that are read with it."""
    group = bisect.bisect_right(_starts(path), row) - 1
    return _group(path, group, columns).column(column)[row - _starts(path)[group]]


def paths_in(path: Path, column: str) -> list[str | None]:
    """Return for each row the path in a column of images, of which nothing else is read."""
    with _readable(path) as pq:
        table = pq.ParquetFile(_opened(path)).read(columns=[f"{column}.path"])
        return [entry["path"] if entry else None for entry in table.column(column).to_pylist()]


def stated_features(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the features that `datasets` wrote into a file, or none, and those that its columns suggest."""
    with _readable(path) as pq:
        schema = pq.read_schema(_opened(path))
        types = require("pyarrow", "hf", _PURPOSE).types
        columns = {field.name: _suggested(field.type, types) for field in schema}
        stated = (schema.metadata or {}).get(b"huggingface")
        try:
            features = json.loads(stated)["info"]["features"] if stated else {}
        except (ValueError, KeyError, TypeError):
            features = {}
    return (features if isinstance(features, dict) else {}), columns


def _suggested(kind: Any, types: Any) -> Any:
    """Return the feature that a type of Arrow suggests: {bytes, path} is an image."""
    if types.is_struct(kind) and {kind.field(place).name for place in range(kind.num_fields)} == {"bytes", "path"}:
        return {"_type": "Image"}
    if types.is_list(kind) or types.is_large_list(kind):
        return [_suggested(kind.value_type, types)]
    return {"_type": "Value", "dtype": str(kind)}


@lru_cache(maxsize=256)
def _starts(path: Path) -> list[int]:
    """Return the first row of each group, and the number of rows."""
    with _readable(path) as pq:
        metadata = pq.read_metadata(_opened(path))
        starts = [0]
        for group in range(metadata.num_row_groups):
            starts.append(starts[-1] + metadata.row_group(group).num_rows)
    return starts


@lru_cache(maxsize=_KEPT)
def _group(path: Path, group: int, columns: tuple[str, ...]) -> Any:
    with _readable(path) as pq:
        table = pq.ParquetFile(_opened(path)).read_row_group(group, columns=list(columns))
        table.validate(full=True)
        return table


def _opened(path: Path) -> Any:
    """Return the file mapped into memory: pyarrow opens no path that is not UTF-8."""
    return require("pyarrow", "hf", _PURPOSE).memory_map(os.fsencode(path))


@contextmanager
def _readable(path: Path) -> Iterator[Any]:
    """Yield ``pyarrow.parquet``; raise Unreadable with the path for what it raises."""
    pa = require("pyarrow", "hf", _PURPOSE)
    try:
        yield require("pyarrow.parquet", "hf", _PURPOSE)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, MemoryError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise Unreadable(f"{path}: not a Parquet file that can be read ({reason}); download it again") from None
