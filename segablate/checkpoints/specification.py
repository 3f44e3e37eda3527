"""Parsing of network specifications such as ``unet(num_classes=11)@weights.pth``."""

import ast
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from segablate.errors import CheckpointError, did_you_mean

_NETWORK = re.compile(r"(?P<name>[A-Za-z_]\w*)(?P<arguments>\(.*\))?(@(?P<weights>.+))?", re.DOTALL)
_WEIGHTS = re.compile(r"(?P<network>.+?(\(.*\))?)(@(?P<weights>.+))?", re.DOTALL)


@dataclass(frozen=True)
class LibraryNetwork:
    """A network of a library: its name there, its arguments as text, and the file of weights."""

    source: str
    name: str
    arguments: str = ""
    weights: str | None = None

    def __str__(self) -> str:
        return f"{self.source}:{self.name}{self.arguments}"


def parse_network(source: str, text: str, example: str) -> LibraryNetwork:
    """Parse ``name(arguments)@weights``. Raises CheckpointError, with the `example`, for another form."""
    found = _NETWORK.fullmatch(text.strip())
    if not found:
        raise CheckpointError(f"'{source}:{text}' is malformed; write {source}:{example}@FILE")
    return LibraryNetwork(source, found["name"], found["arguments"] or "", found["weights"])


def split_weights(text: str) -> tuple[str, str | None]:
    """Split a specification into ``network(arguments)`` and the file behind its ``@``, or None."""
    found = _WEIGHTS.fullmatch(text)
    return (found["network"], found["weights"]) if found else (text, None)


def literal_arguments(arguments: str, spec: object, example: str) -> tuple[list[Any], dict[str, Any]]:
    """Evaluate the literals in ``(1, b=2)`` and return them by place and by name; no code is run.

    Raises CheckpointError, with the `example`, for arguments that are no literals.
    """
    try:
        call = ast.parse(f"f{arguments or '()'}", mode="eval").body
        if isinstance(call, ast.Call) and all(keyword.arg for keyword in call.keywords):
            positional = [ast.literal_eval(argument) for argument in call.args]
            return positional, {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError):
        pass
    raise CheckpointError(f"{spec}: arguments must be literals, as in {example}; quote the whole for the shell")


def check_names(named: Collection[str], known: Collection[str], spec: object) -> None:
    """Raise CheckpointError for unknown argument names, many of which the libraries would ignore."""
    for name in named:
        if name not in known:
            raise CheckpointError(f"{spec} has no argument {name!r}{did_you_mean(name, known)}")
