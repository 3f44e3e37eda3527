"""Check the elements of MATLAB 5 files before scipy reads them, whose reader ends the process at an unknown data type.

MATLAB, MAT-File Format, version 5: a matrix is an element that holds its flags, dimensions, name and data, elements
themselves; an element is a tag, with the type and the number of bytes, and these bytes, padded to 8. Up to 4 bytes may
stand within the tag.
"""

import zlib
from collections.abc import Iterator
from typing import Literal

from segablate.files import Unreadable

Order = Literal["little", "big"]

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13))
_TEXTS = frozenset((1, 2, 3, 4, 16, 17, 18))
_CELL, _STRUCT, _OBJECT, _CHAR = 1, 2, 3, 4
_NUMERIC_CLASSES = range(5, 16)
_DEEPEST = 64


def byte_order(stored: bytes) -> Order | None:
    """Return the byte order of a MATLAB 5 file; None for other versions."""
    orders: dict[bytes, Order] = {b"IM": "little", b"MI": "big"}
    return orders.get(stored[126:128])


def check_elements(stored: bytes, order: Order) -> None:
    """Raise Unreadable where an element of a MATLAB 5 file has a type that does not fit its place."""
    for kind, data in _elements(stored[128:], order, padded=False):
        if kind == _COMPRESSED:
            try:
                inflated = zlib.decompressobj().decompress(data)
            except zlib.error as error:
                raise Unreadable(f"not a readable MATLAB file ({error}); replace it") from None
            for inner, matrix in _elements(inflated, order):
                _check_matrix(inner, matrix, order, 0)
        else:
            _check_matrix(kind, data, order, 0)


def _check_matrix(kind: int, data: bytes, order: Order, depth: int) -> None:
    """Check a matrix and those within it; nothing is asked of classes that scipy does not read."""
    if kind != _MATRIX or depth > _DEEPEST:
        raise _damaged(kind)
    parts = list(_elements(data, order))
    if not parts:
        return  # an empty matrix
    if parts[0][0] != 6 or len(parts[0][1]) < 4:
        raise _damaged(parts[0][0])
    what = int.from_bytes(parts[0][1][:4], order) & 0xFF
    heads = {_STRUCT: 5, _OBJECT: 6}.get(what, 3)  # flags, dimensions, name; class name; length and names of fields
    for inner, body in parts[1:]:
        if what in (_CELL, _STRUCT, _OBJECT) and inner == _MATRIX:
            _check_matrix(inner, body, order, depth + 1)
        elif (what == _CHAR and inner not in _TEXTS | {5, 6}) or (what in _NUMERIC_CLASSES and inner not in _NUMBERS):
            raise _damaged(inner)
    if what in (_CELL, _STRUCT, _OBJECT) and any(inner != _MATRIX for inner, _ in parts[heads:]):
        raise _damaged(next(inner for inner, _ in parts[heads:] if inner != _MATRIX))


def _elements(data: bytes, order: Order, padded: bool = True) -> Iterator[tuple[int, bytes]]:
    """Yield type and bytes of consecutive elements. Raises Unreadable where one goes beyond the end."""
    place = 0
    while place + 8 <= len(data):
        kind, size = (int.from_bytes(data[place + shift : place + shift + 4], order) for shift in (0, 4))
        if kind >> 16:  # up to 4 bytes within the tag
            kind, size, start, step = kind & 0xFFFF, kind >> 16, place + 4, 8
            if size > 4:
                raise _damaged(kind)
        else:
            start = place + 8
            step = 8 + size + (-size % 8 if padded and kind != _COMPRESSED else 0)
        if start + size > len(data):
            raise Unreadable("not a readable MATLAB file (an element goes beyond its end); replace it")
        yield kind, data[start : start + size]
        place += step


def _damaged(kind: int) -> Unreadable:
    return Unreadable(f"not a readable MATLAB file (an element of type {kind} where none can be); replace it")
