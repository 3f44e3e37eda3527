"""A file of what a classifier sees of the images of a split: written image after image, whole or not at all."""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MOST_BYTES = 4 * 2**30
"""Features of a split that take more are not kept."""

ROOM = 2
"""They are kept only where the disk has room for this many times their size: runs are to be written there too."""

ABANDONED = 3600.0
"""Seconds after which a file that is not written to any more is that of a process that was killed."""


def open_features(file: Path, images: int) -> np.ndarray | None:
    """Open a file that :class:`FeatureWriter` wrote, images × three axes float32, mapped into memory.

    Returns None where it is missing, damaged or of another number of images.
    """
    try:
        found = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return found if found.ndim == 4 and len(found) == images and found.dtype == np.float32 else None


class FeatureWriter:
    """Writes features of images one after the other, under a temporary name until all are there.

    `over`: whether it has given up; the file is removed then.
    """

    def __init__(self, path: Path, images: int) -> None:
        self.path, self.images, self.over = path, images, False
        self._file: BinaryIO | None = None
        self._count = 0
        self._form: tuple[Any, ...] = ()

    def has_room(self, size: int) -> bool:
        """Return whether features of `size` bytes an image are to be kept."""
        whole = self.images * size
        return whole <= MOST_BYTES and (self._count > 0 or _free(self.path.parent) >= ROOM * whole)

    def add(self, indices: Sequence[int], features: np.ndarray, form: tuple[Any, ...]) -> bool:
        """Append features, N × three axes float32, of the images with these indices.

        Returns False for images that are not the next ones, for features of another shape or with another `form` than
        those before, and where the disk is full.
        """
        form = (features.shape[1:], *form)
        self._form = self._form or form
        if form != self._form or list(indices) != list(range(self._count, self._count + len(features))):
            return False
        try:
            file = self._file or self._begun(features)
            file.write(features.data)
        except OSError:
            return False
        self._count += len(features)
        return True

    def _begun(self, features: np.ndarray) -> BinaryIO:
        _remove_abandoned(self.path)
        self._file = open(self.path, "xb")  # noqa: SIM115, it is closed at the end of the evaluation
        described = {"descr": "<f4", "fortran_order": False, "shape": (self.images, *features.shape[1:])}
        np.lib.format.write_array_header_1_0(self._file, described)
        return self._file

    def finish(self, file: Path) -> None:
        """Give the file its name, if all images are in it, in place of that of another process. OSError: full disk."""
        if self._file is None or self.over or self._count < self.images:
            return
        self._file.flush()
        os.fsync(self._file.fileno())  # or a crash might leave zeros under that name
        self._file.close()
        os.replace(self.path, file)

    def give_up(self) -> None:
        """Keep nothing more, and remove what has no name yet."""
        self.over = True
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        with suppress(OSError):
            self.path.unlink()


def _remove_abandoned(path: Path) -> None:
    """Remove what killed processes left of the file that `path` is the temporary name of."""
    for other in path.parent.glob(f"{path.stem}.*"):
        with suppress(OSError):
            if time.time() - other.stat().st_mtime > ABANDONED:
                other.unlink()


def _free(folder: Path) -> int:
    """Return the free bytes of a disk; 0 where they are not known."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
