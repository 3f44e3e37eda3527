"""A call of the public API leaves the program around it as it was: output, processes, torch's settings."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from segablate.freed_memory import THE_USERS
from segablate.runtime import ALONE
from segablate.user_code import OUTPUT_IS_THE_USERS


@contextmanager
def undisturbed(*, distributed: bool = False) -> Iterator[None]:
    """Leave standard output and freed memory to the user, and restore torch's settings of CUDA.

    Evaluate alone unless `distributed`.
    """
    output, memory, alone = OUTPUT_IS_THE_USERS.set(True), THE_USERS.set(True), ALONE.set(not distributed)
    try:
        with _BACKENDS:
            yield
    finally:
        OUTPUT_IS_THE_USERS.reset(output)
        THE_USERS.reset(memory)
        ALONE.reset(alone)


class _Backends:
    """Restores the settings by which CUDA computes, which are global, when the last of several threads leaves."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.before: dict[tuple[Any, str], Any] = {}

    def __enter__(self) -> None:
        from torch import backends

        places = (backends.cuda.matmul, "allow_tf32"), *((backends.cudnn, name) for name in _CUDNN)
        with self.lock:
            if not self.inside:
                self.before = {(owner, name): getattr(owner, name) for owner, name in places}
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                for (owner, name), value in self.before.items():
                    if getattr(owner, name) != value:
                        setattr(owner, name, value)


_CUDNN = ("allow_tf32", "benchmark", "deterministic")
_BACKENDS = _Backends()
