"""Read zip archives, and the arrays in those of numpy, whose sizes are judged before anything is unpacked.

Errors state the fact; the caller adds the path with :func:`segablate.errors.at`.
"""

import ast
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from math import prod
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

import numpy as np

from segablate.errors import SegablateError, thousands
from segablate.limits import DIRECTORY_BYTES, PIXEL_BYTES, Budget, TooLarge

_END, _END64 = b"PK\5\6", b"PK\6\6"
"""Marks of the record behind the directory, and of the one before it in archives beyond 4 GiB."""

_MOST_COMMENT = 1 << 16
HEADER_BYTES = 1 << 16
"""Most bytes of the header of an array."""

_PLAIN = "?bhilqBHILQefdUS"
"""Type characters of arrays without objects or fields, of numpy's sizes."""

_KIND = re.compile(r"""['"]descr['"]\s*:\s*(?:'(?P<simple>[^']*)'|(?P<fields>\[.*?\])\s*,\s*')""")
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(\s*((?:\d{1,18}L?(?:\s*,\s*\d{1,18}L?)*)?)\s*,?\s*\)""")
"""The entries of the header of an array, which is a Python dictionary."""

_DAMAGE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, LookupError),  # compressed in another way, encrypted, odd names
)


class DamagedArchive(SegablateError):
    """An archive or an array that is damaged. The caller adds which."""


@contextmanager
def opened_zip(place: Path | bytes) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive by its path or bytes, and judge its directory before it is read.

    Raises DamagedArchive for a device or a pipe, whose end is never reached, TooLarge for a directory beyond the limit,
    and what :mod:`zipfile` raises; see :func:`damage_named`.
    """
    if isinstance(place, Path) and not S_ISREG(place.stat().st_mode):
        raise DamagedArchive("is not a regular file; is the path right?")
    with open(place, "rb") if isinstance(place, Path) else BytesIO(place) as stream:
        _check_directory(stream)
        with zipfile.ZipFile(stream) as archive:
            yield archive


@contextmanager
def damage_named() -> Iterator[None]:
    """Raise DamagedArchive in the place of what :mod:`zipfile` raises for an ``.npz`` that is damaged or not there."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise DamagedArchive(f"cannot be read ({(error.strerror or str(error)).lower()}); check the path") from None
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise DamagedArchive(f"not a whole .npz file ({reason}); copy or write it again") from None


def _check_directory(stream: BinaryIO) -> None:
    """Raise TooLarge where the directory, as the end of the archive states it, is larger than the limit."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - _MOST_COMMENT - 22))
    tail = stream.read(_MOST_COMMENT + 22)
    end, end64 = tail.rfind(_END), tail.rfind(_END64)
    stated = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    if stated == 0xFFFFFFFF and end64 >= 0:
        stated = int.from_bytes(tail[end64 + 40 : end64 + 48], "little")
    if stated > DIRECTORY_BYTES and size > DIRECTORY_BYTES:
        raise TooLarge(
            f"its directory has more than {thousands(DIRECTORY_BYTES)} bytes; it is damaged or made to exhaust memory: "
            "write it again"
        )
    stream.seek(0)


def read_structure(data: bytes) -> dict[str, np.ndarray]:
    """Read the arrays in the bytes of an ``.npz``, which may unpack to the size of a structure.

    Raises DamagedArchive and TooLarge.
    """
    budget = Budget(len(data))
    with damage_named(), opened_zip(data) as archive:
        found = {}
        for entry in archive.infolist():
            budget.take(entry.file_size)
            budget.check_time()
            found[entry.filename.removesuffix(".npy")] = _array(archive, entry)
        return found


def read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read one array of an open ``.npz``, of at most the size of pixels. Raises DamagedArchive and TooLarge."""
    entry = archive.getinfo(f"{name}.npy")
    if entry.file_size > PIXEL_BYTES + HEADER_BYTES:
        raise TooLarge(
            f"its {name} take {entry.file_size / 2**30:.1f} GiB; at most {PIXEL_BYTES // 2**30} GiB are read"
        )
    return _array(archive, entry)


def member_names(path: Path) -> list[str]:
    """Return the names of the members of a zip archive; none where the file is not one, or is damaged."""
    try:
        with damage_named(), opened_zip(path) as archive:
            return archive.namelist()
    except (DamagedArchive, TooLarge):
        return []


def array_names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the arrays in an open ``.npz``."""
    return [name.removesuffix(".npy") for name in archive.namelist()]


def read_header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Return shape, whether in Fortran's order, type, and the length of the header of an array in numpy's format.

    Raises DamagedArchive for a header that numpy.save does not write.
    """
    if data[:6] != b"\x93NUMPY" or data[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise DamagedArchive("has no array of numpy; save it with numpy.save")
    start = 10 if data[6] == 1 else 12
    end = start + int.from_bytes(data[8:start], "little")
    if end > min(len(data), HEADER_BYTES):
        raise DamagedArchive("has an array whose header is cut off; save it with numpy.save")
    header = data[start:end].decode("latin-1")
    kind, order, sides = _KIND.search(header), _ORDER.search(header), _SHAPE.search(header)
    try:
        if not (kind and order and sides):
            raise ValueError("its header is damaged")
        dtype = np.dtype(kind["simple"] if kind["simple"] is not None else ast.literal_eval(kind["fields"]))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        reason = " ".join(str(error).split())[:80]
        raise DamagedArchive(f"has no readable array ({reason}); save it with numpy.save") from None
    shape = tuple(int(side) for side in sides[1].replace("L", "").split(",") if side.strip())
    if any(side >= 1 << 40 for side in shape):
        raise DamagedArchive("has an array of an impossible shape; save it with numpy.save")
    fortran = order[1] == "True"
    return shape, fortran, dtype, end


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """Unpack a member and return its array, which owns its memory."""
    with archive.open(entry) as member:
        head = member.read(min(entry.file_size, 12))
        head += member.read(min(int.from_bytes(head[8 : 10 if head[6:7] == b"\1" else 12], "little"), HEADER_BYTES))
        shape, fortran, dtype, start = read_header(head)
        if dtype.char not in _PLAIN:
            raise DamagedArchive(f"holds {entry.filename[:60]} of {str(dtype)[:60]}; save plain numbers")
        if prod(shape) * dtype.itemsize != entry.file_size - start:
            raise DamagedArchive(f"holds {entry.filename[:60]} of another size than stated; write it again")
        values = np.empty(prod(shape), dtype)
        rest = head[start:]
        raw = values.view(np.uint8).data if values.nbytes else memoryview(bytearray())
        raw[: len(rest)] = rest
        place = len(rest)
        while part := member.read(1 << 24):
            raw[place : place + len(part)] = part
            place += len(part)
    if place != len(raw):
        raise DamagedArchive(f"holds {entry.filename[:60]} cut off; write it again")
    return values.reshape(shape, order="F" if fortran else "C")
