"""Keep the lines of the decoding libraries off standard error where our own error says what is wrong.

libpng, libjpeg and OpenCV print their complaints from native code, with neither the file nor what to do.
"""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

WATCHES = "watches"
"""Name of a thread that writes nothing to standard error, as that by which a worker ends with its parent."""

_LIBRARIES = re.compile(rb"(?:libpng \w+: |Corrupt JPEG data: |\[ *[A-Z]+:\d+@[\d.]+\] global )[^\n]*\n{1,2}")


@contextmanager
def complaints_dropped() -> Iterator[None]:
    """Drop the lines that decoding libraries write to standard error, if an error is raised inside.

    Other lines, and those about files that are read all the same, are written afterwards. Nothing is dropped where
    other threads run, as where a terminal shows progress: standard error is theirs, too.
    """
    file = kept = -1
    with suppress(OSError):  # no room for the file; or standard error is closed, and nothing would be written
        file = _file(os.getpid()) if _is_alone() else -1
        kept = os.dup(2) if file >= 0 else -1
    if kept < 0:
        yield
        return
    os.dup2(file, 2)
    failed = True
    try:
        yield
        failed = False
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        if written := _taken(file):
            _write(_LIBRARIES.sub(b"", written) if failed else written)


def _is_alone() -> bool:
    """Return whether no other thread runs that may write to standard error."""
    return sum(thread.name != WATCHES for thread in threading.enumerate()) == 1


@cache
def _file(process: int) -> int:
    """Return the descriptor of a file without a name, for as long as the process lives; one forked has its own."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _taken(file: int) -> bytes:
    """Return what a file holds up to its position, and empty it."""
    size = os.lseek(file, 0, os.SEEK_CUR)
    if not size:
        return b""
    os.lseek(file, 0, os.SEEK_SET)
    written = os.read(file, size)
    os.lseek(file, 0, os.SEEK_SET)
    os.ftruncate(file, 0)
    return written


def _write(text: bytes) -> None:
    with suppress(OSError):  # the reader has closed it
        while text:
            text = text[os.write(2, text) :]
