"""Standard output that may be full, closed, or in an encoding that lacks a character of a file's name."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, TextIO

from segablate.errors import SegablateError


class OutputError(SegablateError):
    """Standard output that cannot be written."""


class ClosedOutput(OutputError):
    """A reader of standard output, such as ``head``, that has enough. Not worth a message."""

    exit_code = 141
    """128 + SIGPIPE, as the shell reports it of programs that the signal ends."""


@contextmanager
def printing_after(print_tables: Callable[[], None]) -> Iterator[None]:
    """Print the tables after the files inside are written, and also where one cannot be: the work was done."""
    try:
        yield
    except Exception:
        print_tables()
        raise
    print_tables()


@contextmanager
def guarded_output() -> Iterator[None]:
    """Turn what goes wrong in writing to standard output into an OutputError, also in writing what is buffered."""
    if sys.stdout is None:  # closed from the start
        yield
        return
    output = _Output(sys.stdout)
    with redirect_stdout(output):  # type: ignore[type-var]
        yield
        output.flush()


class _Output:
    """A text stream that writes what its encoding lacks as escapes, and raises OutputError where it cannot write.

    The escape of half a character, such as ``\\udcff`` for a byte of a name that is not UTF-8, is that of JSON too.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._failure: OutputError | None = None

    def write(self, text: str) -> int:
        """Write the text; returns how many characters."""
        with self._told():
            try:
                return self._stream.write(text)
            except UnicodeEncodeError as error:
                escaped = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
                return self._stream.write(escaped)

    def writelines(self, lines: Any) -> None:
        """Write each of the texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._told():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what went wrong, and raise it again each time, for some libraries try a stream and go on."""
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except OSError as error:
            self._failure = _failure(error)
            self._discard()
            raise self._failure from None

    def _discard(self) -> None:
        """Send what is still buffered nowhere; Python would try again when it ends, and print what it finds."""
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def _failure(error: OSError) -> OutputError:
    if isinstance(error, BrokenPipeError):
        return ClosedOutput("standard output was closed")
    reason = (error.strerror or str(error)).lower()
    return OutputError(f"standard output cannot be written: {reason}; make room, or write elsewhere")
