"""The command line that was given, for what is saved and reported."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segablate.evaluation.results import Evaluation

_WORDS: ContextVar[tuple[str, ...]] = ContextVar("words", default=())


@contextmanager
def invoked(words: Sequence[str]) -> Iterator[None]:
    """Remember the words of the command line inside."""
    token = _WORDS.set(tuple(words))
    try:
        yield
    finally:
        _WORDS.reset(token)


def command_line() -> str:
    """Return the command line as a shell takes it: ``segablate evaluate sample:ce``."""
    return shlex.join(["segablate", *_WORDS.get()])


def with_command(run: "Evaluation") -> "Evaluation":
    """Return a run that states the command line that made it."""
    return replace(run, facts={**run.facts, "command": command_line()})
