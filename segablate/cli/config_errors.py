"""Errors in values of ``--config`` that only the command finds: their messages name the file and the key."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from segablate.objective.written_lists import between_commas

_READ: ContextVar[list["Options"] | None] = ContextVar("options of files", default=None)

_USUAL = ("all", "none", "auto", "true", "false")
"""Words that messages name among the values expected, so that they do not tell which value is wrong."""


@dataclass(frozen=True)
class Options:
    """The options of a file: their values by key, and the command that they are for."""

    path: Path
    context: typer.Context
    values: Mapping[str, Any]
    parameters: Mapping[str, str]

    def counting(self) -> dict[str, list[str]]:
        """Return the words of each value that the command line does not override, by key."""
        return {
            key: _words(value)
            for key, value in self.values.items()
            if getattr(self.context.get_parameter_source(self.parameters[key]), "name", "") == "DEFAULT_MAP"
        }


@contextmanager
def options_remembered() -> Iterator[None]:
    """Let :func:`with_place` know the options of files that are read inside."""
    token = _READ.set([])
    try:
        yield
    finally:
        _READ.reset(token)


def remember_options(options: Options) -> None:
    """Remember the options of a file until the command ends."""
    known = _READ.get()
    if known is not None:
        known.append(options)


def with_place(message: str) -> str:
    """Return the message of an error, with the file and the key of the value that it is about, if one is."""
    for options in _READ.get() or ():
        key = _key_of(message, options.counting())
        if key is not None and not message.startswith(f"--config {options.path}"):
            bare = _without_name(message, key)
            return f"{options.path}: {key}{bare}" if bare != message else f"{options.path}: {key}: {message}"
    return message


def _key_of(message: str, values: Mapping[str, list[str]]) -> str | None:
    """Return the one key that a message names with its value, or else the one whose value it is about.

    None without one, and with several.
    """
    named = {key for key, words in values.items() if any(_states(_without_name(message, key), word) for word in words)}
    quoted = {key for key, words in values.items() if any(_is_about(message.partition(";")[0], word) for word in words)}
    for keys in (named, quoted):
        if keys:
            return keys.pop() if len(keys) == 1 else None
    return None


def _without_name(message: str, key: str) -> str:
    """Return a message without the option or hyperparameter that it starts with; unchanged where that is another."""
    name = re.escape(key).replace(r"\-", "[-_]")
    return re.sub(rf"^(--)?{name}(?=[ :])", "", message)


def _states(rest: str, word: str) -> bool:
    """Whether a message goes on with a value after the name of its option; a switch has none."""
    if word == str(True):
        return rest.startswith((" ", ":"))
    return re.match(rf"( is)?:? ['\"]?{re.escape(word)}(?![\w.])", rest) is not None


def _is_about(message: str, word: str) -> bool:
    """Whether a message quotes a value or starts with it."""
    if word.lower() in _USUAL or len(word) < 2:
        return False
    return repr(word) in message or re.match(rf"{re.escape(word)}(?=[ :])", message) is not None


def _words(value: Any) -> list[str]:
    """Return a value and its parts: those of a list, and source and place of a specification."""
    values = [str(each) for each in value] if isinstance(value, list) else [str(value)]
    parts = [
        part for each in values for part in (each, *each.split(","), *between_commas(each), *each.partition(":")[::2])
    ]
    return [part for part in dict.fromkeys(parts) if part]
