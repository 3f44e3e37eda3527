"""The catalogue of losses: by the names of the files in ``segablate/losses``, imported on demand.

A file ``x.py`` there is a loss: it decorates a function ``x`` with ``@loss``. Names and summaries are read from the
text of the file, so that listing them does not import torch.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path

from segablate.errors import ObjectiveError, UserCodeError, did_you_mean
from segablate.objective.knobs import format_settings
from segablate.objective.loss import Loss
from segablate.objective.plugins import load_loss
from segablate.plugins import Plugin, left_out, plugins
from segablate.user_code import load_function

_FOLDER = Path(__file__).parents[1] / "losses"


@cache
def loss_summaries() -> dict[str, str]:
    """Return the first line of each loss's docstring by name, in alphabetical order; imports nothing.

    Returns:
        The lines by name; losses of other packages, which come last, are described by their package alone.
    """
    return own_summaries() | {name: f"Loss of the package {each.package}." for name, each in plugin_losses().items()}


def plugin_losses() -> Mapping[str, Plugin]:
    """Return the losses of other packages by name; imports none of them."""
    return plugins("loss", tuple(own_summaries()))


def left_out_losses() -> tuple[str, ...]:
    """Return notes on losses of other packages whose names cannot be used."""
    return left_out("loss", tuple(own_summaries()))


@cache
def own_summaries() -> dict[str, str]:
    """Return the first line of the docstring of each loss of this program."""
    files = sorted(path for path in _FOLDER.glob("*.py") if path.stem != "__init__")
    return {path.stem: (ast.get_docstring(_function(path)) or "").partition("\n")[0] for path in files}


@cache
def own_bounds() -> dict[str, tuple[float | None, float | None]]:
    """Return the smallest and largest value of each loss of this program, None where there is none; imports nothing."""
    found = {}
    for name in own_summaries():
        (decorator,) = _function(_FOLDER / f"{name}.py").decorator_list
        assert isinstance(decorator, ast.Call)
        stated = [ast.literal_eval(each.value) for each in decorator.keywords if each.arg == "bounds"]
        found[name] = stated[0] if stated else (None, None)
    return found


def loss_names() -> tuple[str, ...]:
    """Return the names of all losses, in alphabetical order, those of other packages last; imports nothing.

    Returns:
        The names, as :func:`get_loss`, ``--losses`` and objectives take them.

    Examples:
        >>> import segablate
        >>> {"ce", "dice", "rmi"} <= set(segablate.loss_names())
        True
    """
    return tuple(loss_summaries())


@cache
def get_loss(name: str) -> Loss:
    """Return a loss by name, or a user's, callable on logits and labels.

    Args:
        name: one of :func:`loss_names`, ``"python:package.module:function"`` or ``"python:path/to/file.py:function"``.

    Returns:
        A loss: called with logits N C H W and labels N H W (255 is void, beyond 255 classes 65535) and hyperparameters
        by keyword, it returns a 0-dim tensor in the loss's own unit; ``parts`` returns a :class:`Parts`. ``knobs``,
        ``paper``, ``objective`` and ``summary`` describe it.

    Raises:
        ObjectiveError: for an unknown name, with the nearest one.
        KnobError: for a user's function whose parameters are no hyperparameters.
        UserCodeError: for a user's or another package's code that cannot be imported.

    Examples:
        >>> import torch, segablate
        >>> dice = segablate.get_loss("dice")
        >>> logits, labels = torch.tensor([[[[9.0]], [[-9.0]]]]), torch.tensor([[[0]]])  # N C H W, N H W
        >>> dice(logits, labels, smooth=1).item() < 0.01
        True
    """
    if name.startswith("python:"):
        return _users(name)
    if name not in loss_names():
        raise ObjectiveError(f"no loss is called {name!r}{did_you_mean(name, loss_names())}")
    if name not in own_summaries():
        return load_loss(plugin_losses()[name])
    return getattr(import_module(f"segablate.losses.{name}"), name)


def _users(name: str) -> Loss:
    function = load_function(name.removeprefix("python:"))
    if isinstance(function, Loss):
        objective = re.sub(rf"(?<![\w.:]){re.escape(function.name)}(?![\w.:])", lambda _: name, function.objective)
        return replace(function, name=name, objective=objective)
    loss = Loss(name, function, paper="", objective=name)
    _ = loss.knobs  # a signature that cannot be read is reported here, not in the middle of a run
    return loss


@cache
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
        return Row(name, str(error), "", "", "", plugin_losses()[name].package)


def _row(loss: Loss) -> Row:
    defaults = {name: knob.default for name, knob in loss.knobs.items()}
    return Row(loss.name, loss.summary, format_settings(loss.knobs, defaults), loss.objective, loss.paper, loss.package)
