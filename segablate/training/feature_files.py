"""Files of what a classifier sees of the images of a split: written whole or not at all, and checked as they are read.

Those of images to be evaluated are zip archives with an array for each image, as ``numpy.savez`` writes them, since
images may differ in size; those of images to be trained on are one array, for the speed of reading in any order, and a
checksum after it. Either is written under a temporary name that says which process writes it.
"""

import os
import re
import shutil
import struct
import time
import tokenize
import uuid
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from segablate.files import discard
from segablate.training.processes import has_ended, this_machine

MOST_BYTES = 4 * 2**30
"""Features of a split that take more are not kept."""

MOST_SIZES = 8
"""Features of images of more sizes are not kept: the network runs on a batch of each size, whatever is kept."""

ROOM = 2
"""They are kept only where the disk has room for this many times their size: runs are to be written there too."""

ABANDONED = 3600.0
"""Seconds after which a file of another machine that nobody writes to is that of a process that was killed."""

_OF_LIBRARIES = (struct.error, zlib.error, zipfile.BadZipFile, tokenize.TokenError)
_DAMAGE = (OSError, ValueError, LookupError, EOFError, RuntimeError, *_OF_LIBRARIES)
"""What reading a damaged archive or array raises; the header of an array is read as Python."""

_TEMPORARY = re.compile(r"\.features-.*\.([0-9a-f]+)-(\d+)-[0-9a-f]+")
_CHUNK = 2**24


class Damaged(Exception):
    """A file of features that is not as it was written."""


def temporary_name(file: Path) -> Path:
    """Return a new name beside a file, for this process to write to until all is there."""
    return file.with_name(f".{file.name}.{this_machine()}-{os.getpid()}-{uuid.uuid4().hex[:12]}")


def remove_leftovers(folder: Path, others: bool = False) -> None:
    """Remove what processes that were killed have left in a folder half-written; with `others`, of any process."""
    for path in folder.glob(".features-*"):
        if others or _is_left(path):
            discard(path)


def remove_features(folder: Path) -> None:
    """Remove all features from a folder in which nothing is trained or evaluated any more."""
    remove_leftovers(folder, others=True)
    for path in folder.glob("features-*.np[yz]"):
        discard(path)


def _is_left(path: Path) -> bool:
    """Return whether a temporary file is that of a process that has ended."""
    found = _TEMPORARY.fullmatch(path.name)
    if found and found[1] == this_machine():
        return has_ended(int(found[2]))
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > ABANDONED
    return False


class KeptFeatures:
    """An open archive of the features of images, each an array of three axes, float32. Raises Damaged."""

    def __init__(self, file: Path, images: int) -> None:
        self.file = file
        try:
            self._archive = zipfile.ZipFile(file)
        except _DAMAGE:
            raise Damaged(file) from None
        if len(self._archive.namelist()) != images:
            self.close()
            raise Damaged(file)

    def read(self, index: int) -> np.ndarray:
        """Return the features of an image. Raises Damaged, by the checksum of its array, also where there are none."""
        try:
            found = _parsed(self._archive.read(_entry(index)))
        except _DAMAGE:
            raise Damaged(self.file) from None
        if found.ndim != 3 or found.dtype != np.float32:
            raise Damaged(self.file)
        return found

    def close(self) -> None:
        """Close the file."""
        self._archive.close()


def _parsed(data: bytes) -> np.ndarray:
    """Return the array of a ``.npy`` file, a view of its bytes."""
    header = BytesIO(data)
    np.lib.format.read_magic(header)
    shape, _, kind = np.lib.format.read_array_header_1_0(header)
    return np.frombuffer(data, kind, offset=header.tell()).reshape(shape)


class FeatureWriter:
    """Writes features of images one after the other, in any order, under a temporary name until all are there.

    `over`: whether it has given up; the file is removed then.
    """

    def __init__(self, path: Path, images: int) -> None:
        self.path, self.images, self.over = path, images, False
        self._archive: zipfile.ZipFile | None = None
        self._count = self._bytes = 0
        self._forms: dict[Any, Any] = {}

    def has_room(self, size: int) -> bool:
        """Return whether features of `size` bytes an image are to be kept."""
        whole = self._bytes + (self.images - self._count) * size
        return whole <= MOST_BYTES and (self._count > 0 or _free(self.path.parent) >= ROOM * whole)

    def add(self, indices: Sequence[int], features: np.ndarray, size: tuple[int, int], form: Any) -> bool:
        """Append features, N × three axes float32, of the images of a `size` with these indices.

        Returns False for features of another shape or `form` than others of this size, for one size too many, and where
        the disk is full.
        """
        form = (features.shape[1:], form)
        if self._forms.setdefault(size, form) != form or len(self._forms) > MOST_SIZES:
            return False
        try:
            self._archive = self._archive or zipfile.ZipFile(self.path, "x")
            for index, array in zip(indices, features, strict=True):
                self._write(self._archive, _entry(index), array)
        except OSError:
            return False
        return True

    def _write(self, archive: zipfile.ZipFile, entry: str, array: np.ndarray) -> None:
        written = BytesIO()
        np.lib.format.write_array(written, array, allow_pickle=False)
        archive.writestr(entry, written.getbuffer())
        self._count, self._bytes = self._count + 1, self._bytes + array.nbytes

    def finish(self, file: Path) -> None:
        """Give the file its name, if all images are in it, in place of that of another process. OSError: full disk."""
        if self._archive is None or self.over or self._count < self.images:
            return
        self._archive.close()
        with open(self.path, "rb+") as whole:
            os.fsync(whole.fileno())  # or a crash might leave zeros under that name
        os.replace(self.path, file)

    def give_up(self) -> None:
        """Keep nothing more, and remove what has no name yet."""
        self.over = True
        with suppress(OSError):
            if self._archive is not None:
                self._archive.close()
        discard(self.path)


def _entry(index: int) -> str:
    return f"{index}.npy"


def seal(file: Path, checksum: int) -> None:
    """Append the CRC-32 of the values of a ``.npy`` file to it, and flush it to the disk."""
    with open(file, "ab") as opened:
        opened.write(struct.pack("<I", checksum))
        opened.flush()
        os.fsync(opened.fileno())


def sealed_shape(file: Path) -> tuple[int, ...]:
    """Return the shape of a ``.npy`` file that was sealed. Raises Damaged for any other, and OSError where it is none.

    The values are read once by a process.
    """
    stat = file.stat()
    return _sealed_shape(file, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _sealed_shape(file: Path, *version: int) -> tuple[int, ...]:
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
        with open(file, "rb") as opened:
            opened.seek(values.offset)
            checksum, left = 0, values.nbytes
            while left and (chunk := opened.read(min(_CHUNK, left))):
                checksum, left = zlib.crc32(chunk, checksum), left - len(chunk)
            whole = opened.read() == struct.pack("<I", checksum)
    except _DAMAGE:
        raise Damaged(file) from None
    if left or not whole:
        raise Damaged(file)
    return values.shape


def _free(folder: Path) -> int:
    """Return the free bytes of a disk; 0 where they are not known."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
