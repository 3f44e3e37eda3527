"""Memory of freed arrays, which the C library keeps for the next image and need not keep for tables."""

import ctypes
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar

_KEEPING = ((-3, 1 << 25), (-1, 1 << 28))
"""M_MMAP_THRESHOLD, from which size on arrays are mapped, and M_TRIM_THRESHOLD, how much freed memory is kept."""

_RETURNING = ((-3, 1 << 20), (-1, 1 << 24))


THE_USERS: ContextVar[bool] = ContextVar("the_users", default=False)
"""Whether this process is a program of the user's, whose memory is left to it."""


def keep_freed_memory() -> None:
    """Let the C library, where it is glibc, keep the memory of freed arrays from now on; not in the user's process.

    Otherwise arrays of a few MB are mapped anew for every image, page by page: a quarter of the time of measuring label
    maps, and an eighth of that of a network on the CPU.
    """
    if not THE_USERS.get():
        _set_malloc(_KEEPING)


def return_freed_memory() -> None:
    """Return the memory of freed arrays to the system, what is free and what will be: in a process that ends soon.

    Tables and intervals of many images need memory, and take little time.
    """
    _set_malloc(_RETURNING)
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _set_malloc(options: Sequence[tuple[int, int]]) -> None:
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        for option, size in options:
            library.mallopt(option, size)
