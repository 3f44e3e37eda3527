"""The catalogue of losses: by the names of the files in ``segablate/losses``, imported on demand.

A file ``x.py`` there is a loss: it decorates a function ``x`` with ``@loss``. Names and summaries are read from the
text of the file, so that listing them does not import torch.
"""

import ast
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path

from segablate.errors import ObjectiveError, UserCodeError, did_you_mean
from segablate.objective.knobs import format_settings
from segablate.objective.loss import Loss
from segablate.objective.plugins import plugins
from segablate.user_code import load_function

_FOLDER = Path(__file__).parents[1] / "losses"


@cache
def loss_summaries() -> dict[str, str]:
    """Return the first line of each loss's docstring by name, in alphabetical order; imports nothing.

    Losses of other packages come last, see :mod:`segablate.objective.plugins`.
    """
    own = own_summaries()
    return own | {name: f"Loss of the package {each.package}." for name, each in plugins().items() if name not in own}


@cache
def own_summaries() -> dict[str, str]:
    """Return the first line of the docstring of each loss of this program."""
    files = sorted(path for path in _FOLDER.glob("*.py") if path.stem != "__init__")
    return {path.stem: (ast.get_docstring(_function(path)) or "").partition("\n")[0] for path in files}


def loss_names() -> tuple[str, ...]:
    """Return the names of all losses, in alphabetical order; imports nothing."""
    return tuple(loss_summaries())


@cache
def get_loss(name: str) -> Loss:
    """Return a loss by name, or a user's: ``python:package.module:function`` or ``python:path/to/file.py:function``.

    Raises :class:`ObjectiveError` with the nearest name where there is none, :class:`KnobError` where the parameters
    of a user's function are no hyperparameters.
    """
    if name.startswith("python:"):
        return _users(name)
    if name not in loss_names():
        raise ObjectiveError(f"no loss is called {name!r}{did_you_mean(name, loss_names())}")
    if name not in own_summaries():
        return plugins()[name].load()
    return getattr(import_module(f"segablate.losses.{name}"), name)


def _users(name: str) -> Loss:
    function = load_function(name.removeprefix("python:"))
    if isinstance(function, Loss):
        objective = re.sub(rf"(?<![\w.:]){re.escape(function.name)}(?![\w.:])", lambda _: name, function.objective)
        return replace(function, name=name, objective=objective)
    loss = Loss(name, function, paper="", objective=name)
    _ = loss.knobs  # a signature that cannot be read is reported here, not in the middle of a run
    return loss


def _function(path: Path) -> ast.FunctionDef:
    """Return the function of the file's name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == path.stem)


@dataclass(frozen=True)
class Row:
    """One loss: its hyperparameters with their defaults as ``knobs``, and the published ``objective``.

    `package`: the other package that brings it; empty for a loss of this program.
    """

    name: str
    what: str
    knobs: str
    objective: str
    paper: str
    package: str = ""


def catalogue() -> tuple[Row, ...]:
    """Return a row for every loss, in alphabetical order, those of other packages last. Imports all of them."""
    return tuple(map(_row_of, loss_names()))


def loadable_losses() -> tuple[dict[str, Loss], tuple[str, ...]]:
    """Return all losses by name, and notes on those of other packages that cannot be loaded."""
    found, notes = {}, []
    for name in loss_names():
        try:
            found[name] = get_loss(name)
        except UserCodeError as error:
            notes.append(str(error))
    return found, tuple(notes)


def _row_of(name: str) -> Row:
    try:
        return _row(get_loss(name))
    except UserCodeError as error:
        return Row(name, str(error), "", "", "", plugins()[name].package)


def _row(loss: Loss) -> Row:
    defaults = {name: knob.default for name, knob in loss.knobs.items()}
    return Row(loss.name, loss.summary, format_settings(loss.knobs, defaults), loss.objective, loss.paper, loss.package)
