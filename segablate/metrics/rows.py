"""Rows of sparse tables of counts: columns by name, of which ``image`` is the number of each row's image.

Columns are arrays, or packed: each is compressed on its own, in the smallest type that holds it, to about a tenth. The
parts of an evaluation are packed as they end, and stay so when they are joined; sums over rows unpack a part at a time.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

Columns = Mapping[str, np.ndarray]
"""The columns of a table, (K,) each."""

_ROWS = 1 << 18
"""Rows that are summed at once: numpy copies indices to 8 bytes each."""


@dataclass(frozen=True)
class _Part:
    """The rows of `images` images from `first` on: type and compressed values of each column, `image` from 0 on."""

    first: int
    images: int
    rows: int
    columns: Mapping[str, tuple[np.dtype, bytes]]

    def column(self, name: str, kind: np.dtype) -> np.ndarray:
        narrow, data = self.columns[name]
        column = np.frombuffer(zlib.decompress(data), narrow).astype(kind)
        return column + kind.type(self.first) if name == "image" else column


@dataclass(frozen=True)
class PackedRows(Columns):
    """Packed columns of the types `kinds`; each is unpacked when it is asked for."""

    kinds: Mapping[str, np.dtype]
    parts: tuple[_Part, ...]

    def __getitem__(self, name: str) -> np.ndarray:
        kind, stop = self.kinds[name], 0
        whole = np.empty(sum(part.rows for part in self.parts), kind)
        for part in self.parts:
            start, stop = stop, stop + part.rows
            whole[start:stop] = part.column(name, kind)
        return whole

    def __iter__(self) -> Iterator[str]:
        return iter(self.kinds)

    def __len__(self) -> int:
        return len(self.kinds)


def packed(columns: Columns, images: int) -> PackedRows:
    """Pack the columns of a table of this many images."""
    if isinstance(columns, PackedRows):
        return columns
    narrow = {name: _narrow(column) for name, column in columns.items()}
    data = {name: (column.dtype, zlib.compress(column.tobytes(), level=1)) for name, column in narrow.items()}
    kinds = {name: column.dtype for name, column in columns.items()}
    return PackedRows(kinds, (_Part(0, images, len(columns["image"]), data),))


def joined_rows(tables: Sequence[tuple[PackedRows, int]]) -> PackedRows:
    """Join the rows of one or more tables, each with the number of its images, in order."""
    parts, first = [], 0
    for rows, images in tables:
        parts += [replace(part, first=part.first + first) for part in rows.parts]
        first += images
    return replace(tables[0][0], parts=tuple(parts))


def in_blocks(columns: Columns) -> Iterator[Columns]:
    """Yield all rows in order, some at a time."""
    if isinstance(columns, PackedRows):
        for part in columns.parts:
            yield from in_blocks({name: part.column(name, kind) for name, kind in columns.kinds.items()})
        return
    for start in range(0, len(columns["image"]), _ROWS):
        yield {name: column[start : start + _ROWS] for name, column in columns.items()}


def rows_near(columns: Columns, images: Sequence[int]) -> Columns:
    """Return arrays with all rows of these images, and rows of others: no more than the packed parts that hold them."""
    if not isinstance(columns, PackedRows):
        return columns
    ends = [(part.first, part.first + part.images) for part in columns.parts]
    places = np.searchsorted(np.unique(images), ends)
    held = tuple(part for part, (low, high) in zip(columns.parts, places, strict=True) if low < high)
    return dict(replace(columns, parts=held))


def rows_of(columns: Columns, images: Sequence[int]) -> Columns:
    """Return the rows of these images, in that order, with their new numbers."""
    columns = rows_near(columns, images)
    image = columns["image"]
    order = np.argsort(image, kind="stable")
    starts, stops = (np.searchsorted(image[order], images, side) for side in ("left", "right"))
    lengths = stops - starts
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows = order[np.repeat(starts, lengths) + within]
    numbers = np.repeat(np.arange(len(images)), lengths).astype(np.int32)
    return {name: numbers if name == "image" else column[rows] for name, column in columns.items()}


def add_by_image(
    sums: np.ndarray, image: np.ndarray, column: np.ndarray, pixels: np.ndarray, chosen: np.ndarray
) -> None:
    """Add the pixels of the `chosen` rows (bool) to `sums`, (N, ...) int64, by image and another column."""
    rows = np.flatnonzero(chosen)
    np.add.at(sums, (image[rows], column[rows]), pixels[rows])


def _narrow(column: np.ndarray) -> np.ndarray:
    """Return the column in the smallest type that holds its values, none of which is negative."""
    return column.astype(np.min_scalar_type(column.max(initial=0)))
