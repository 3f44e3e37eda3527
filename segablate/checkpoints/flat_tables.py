"""Read tables of FlatBuffers from untrusted bytes: every place is judged before it is read.

The format: https://flatbuffers.dev/internals. Places are byte offsets; a table starts with the distance back to its
vtable, which lists the place of each field within the table, or 0 for one that is left out.
"""

import struct
from dataclasses import dataclass

from segablate.errors import counted

MOST_ENTRIES = 1 << 16
"""Entries of a vector that are read."""

MOST_TEXT = 1 << 16


class DamagedTable(ValueError):
    """A place outside the bytes, or a length beyond the limits."""


@dataclass(frozen=True)
class Table:
    """A table in `data` that starts at `place`; fields are numbered as in the schema, from 0."""

    data: memoryview
    place: int

    @classmethod
    def root(cls, data: memoryview) -> "Table":
        """Return the table that the first four bytes lead to. Raises DamagedTable."""
        return cls(data, _number(data, "<I", 0))

    def integer(self, field: int, form: str = "<B", default: int = 0) -> int:
        """Return a whole number in the form of :mod:`struct`."""
        place = self._field(field)
        return default if place is None else _number(self.data, form, place)

    def text(self, field: int) -> str:
        """Return a text, or an empty one."""
        return bytes(self.content(field, MOST_TEXT)).decode("utf-8", "replace")

    def content(self, field: int, most: int) -> memoryview:
        """Return a vector of bytes. Raises DamagedTable for more than `most`."""
        start, count = self._vector(field, most)
        return _part(self.data, start, count)

    def floats(self, field: int) -> list[float]:
        """Return a vector of 32-bit floats."""
        start, count = self._vector(field)
        return list(struct.unpack(f"<{count}f", _part(self.data, start, 4 * count)))

    def table(self, field: int) -> "Table | None":
        """Return a table, or None where it is left out."""
        place = self._field(field)
        return None if place is None else Table(self.data, place + _number(self.data, "<I", place))

    def tables(self, field: int) -> "list[Table]":
        """Return a vector of tables."""
        start, count = self._vector(field)
        _part(self.data, start, 4 * count)
        places = range(start, start + 4 * count, 4)
        return [Table(self.data, place + _number(self.data, "<I", place)) for place in places]

    def _field(self, field: int) -> int | None:
        vtable = self.place - _number(self.data, "<i", self.place)
        size = _number(self.data, "<H", vtable)
        if 4 + 2 * field + 2 > size:
            return None
        offset = _number(self.data, "<H", vtable + 4 + 2 * field)
        return self.place + offset if offset else None

    def _vector(self, field: int, most: int = MOST_ENTRIES) -> tuple[int, int]:
        """Return the place of the first entry, and the number of entries."""
        place = self._field(field)
        if place is None:
            return 0, 0
        start = place + _number(self.data, "<I", place)
        count = _number(self.data, "<I", start)
        if count > most:
            raise DamagedTable(f"a vector of {counted(count, 'entry', 'entries')}, of which at most {most} are read")
        return start + 4, count


def _number(data: memoryview, form: str, place: int) -> int:
    return struct.unpack(form, _part(data, place, struct.calcsize(form)))[0]


def _part(data: memoryview, start: int, size: int) -> memoryview:
    if start < 0 or start + size > len(data):
        raise DamagedTable(f"a place outside the file, at byte {start}")
    return data[start : start + size]
