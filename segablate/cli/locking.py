"""Locks on what a command writes, held until it ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path

from segablate.locks import held
from segablate.runtime import team

_HELD: ContextVar[ExitStack | None] = ContextVar("held", default=None)


@contextmanager
def locks_released() -> Iterator[None]:
    """Release what :func:`lock_output` locked inside."""
    with ExitStack() as stack:
        token = _HELD.set(stack)
        try:
            yield
        finally:
            _HELD.reset(token)


def lock_output(path: Path | None) -> None:
    """Lock the folder of --save for this command, by the leading process of a team.

    RunError where another command writes there.
    """
    stack = _HELD.get()
    if stack is not None and team().leads:
        stack.enter_context(held(path))
