"""Keep what the decoding libraries write to standard error off it, where an error of ours says what is wrong.

libpng, libjpeg and OpenCV print their complaints from native code, with neither the file nor what to do.
"""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = re.compile(rb"(?:libpng \w+: |Corrupt JPEG data: |\[ *[A-Z]+:\d+@[\d.]+\] global )[^\n]*\n{1,2}")


@contextmanager
def complaints_dropped() -> Iterator[None]:
    """Drop the lines that decoding libraries write to standard error, if an error is raised inside.

    All other lines are written when the last thread leaves: those of libraries on files that they do read, and those of
    other threads, which share the standard error of the process.
    """
    _STDERR.enter()
    failed = True
    try:
        yield
        failed = False
    finally:
        _STDERR.leave(failed=failed)


class _Redirected:
    """Standard error, which is a file while any thread is inside."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.kept, self.file, self.failed = -1, -1, False

    def enter(self) -> None:
        with self.lock:
            if not self.inside:
                self._redirect()
            self.inside += 1

    def leave(self, *, failed: bool) -> None:
        with self.lock:
            self.inside -= 1
            self.failed |= failed
            if not self.inside and self.kept >= 0:
                self._restore()

    def _redirect(self) -> None:
        self.failed = False
        try:
            self.kept = os.dup(2)
        except OSError:  # closed: nothing would be written
            return
        if self.file < 0:
            with tempfile.TemporaryFile() as file:
                self.file = os.dup(file.fileno())
        os.dup2(self.file, 2)

    def _restore(self) -> None:
        os.dup2(self.kept, 2)
        os.close(self.kept)
        self.kept = -1
        if size := os.lseek(self.file, 0, os.SEEK_CUR):
            os.lseek(self.file, 0, os.SEEK_SET)
            written = os.read(self.file, size)
            os.lseek(self.file, 0, os.SEEK_SET)
            os.ftruncate(self.file, 0)
            _write(_LIBRARIES.sub(b"", written) if self.failed else written)


def _write(text: bytes) -> None:
    try:
        while text:
            text = text[os.write(2, text) :]
    except OSError:  # the reader has closed it
        return


_STDERR = _Redirected()
