"""The loss terms, one file each, found by the file's name and imported when asked for.

A file ``x.py`` here is a loss if it decorates a function ``x`` with ``@loss``; names and summaries are read from the
text of the file, so that listing them does not import torch.
"""

import ast
from functools import cache
from importlib import import_module
from pathlib import Path

from segablate.errors import ObjectiveError, did_you_mean
from segablate.losses.foreign import load_function
from segablate.losses.term import EXCEPTIONS, Parts, Term, loss

__all__ = ["EXCEPTIONS", "Parts", "Term", "get_loss", "loss", "loss_names", "loss_summaries"]


@cache
def loss_summaries() -> dict[str, str]:
    """The first line of each loss's docstring by its name, in alphabetic order; imports nothing."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    functions = {path.stem: _decorated(path) for path in files}
    return {
        name: (ast.get_docstring(function) or "").partition("\n")[0] for name, function in functions.items() if function
    }


def loss_names() -> tuple[str, ...]:
    """The names of all losses, in alphabetic order; imports nothing."""
    return tuple(loss_summaries())


@cache
def get_loss(name: str) -> Term:
    """The loss of that name, or a user's: ``python:package.module.function`` or ``python:path/to/file.py:function``.

    Raises :class:`ObjectiveError` with the nearest name where there is none, :class:`KnobError` where the parameters
    of a user's function are no knobs.
    """
    if name.startswith("python:"):
        return _foreign(name)
    if name not in loss_names():
        raise ObjectiveError(f"no loss is called {name!r}{did_you_mean(name, loss_names())}")
    return getattr(import_module(f"segablate.losses.{name}"), name)


def _foreign(name: str) -> Term:
    function = load_function(name.removeprefix("python:"))
    if isinstance(function, Term):
        return Term(name, function.function, function.paper, name, function.exceptions, function.conditions)
    term = Term(name, function, paper="", objective=name)
    _ = term.knobs  # a signature that cannot be read is reported here, not in the middle of a run
    return term


def _decorated(path: Path) -> ast.FunctionDef | None:
    """The function of the file's name if ``@loss(...)`` stands above it."""
    text = path.read_text(encoding="utf-8")
    if "@loss(" not in text:
        return None
    functions = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == path.stem)
    return next((function for function in functions if any(map(_is_loss, function.decorator_list))), None)


def _is_loss(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "loss"
