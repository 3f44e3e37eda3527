"""Errors that a user can put right: one line that states what is wrong, where, and what to do.

::

    SegablateError            exit code 1, one red line
    ├── UsageError            a malformed command line: exit code 2
    ├── KnobError             a hyperparameter outside its range, or one that does not exist
    ├── ObjectiveError        a malformed "ce + 0.5*rmi(radius=3)"
    ├── LabelError            label codes, class lists and class maps that do not fit
    ├── DatasetError          images, masks, splits
    ├── CheckpointError       weights, architectures, cards, predictions
    ├── UserCodeError         a user's Python that is not there, or fails when imported
    ├── RecipeError           how a network is to be trained
    ├── DivergedError         a training whose loss is no longer finite
    ├── DeviceError           a device or precision that is not there
    ├── RunError              saved runs: damaged, newer, not comparable
    ├── Interrupted           Ctrl-C, where the work can be resumed: exit code 130
    └── MissingExtra          an optional dependency that is not installed

Everything else that is raised is a bug and ends in its traceback. Inner code raises the bare fact; the caller that
knows the file, image or option adds it with :func:`at`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any


class SegablateError(Exception):
    """Something the user can put right. ``str()`` is the whole message, in one line.

    Its subclasses, such as ``CheckpointError`` and ``DatasetError``, are in ``segablate.errors``.

    Examples:
        >>> import segablate
        >>> try:
        ...     segablate.open_dataset("camvit:/data")
        ... except segablate.SegablateError as error:
        ...     print(error)
        no dataset layout is called 'camvit'; did you mean 'camvid'?
    """

    exit_code = 1


class UsageError(SegablateError):
    """The command line is malformed."""

    exit_code = 2


class KnobError(SegablateError):
    """A hyperparameter that does not exist, or a value outside its range."""


class ObjectiveError(SegablateError):
    """An objective that cannot be read."""


class LabelError(SegablateError):
    """Label codes, class lists or class maps that do not fit."""


class DatasetError(SegablateError):
    """A dataset that is incomplete, unreadable or inconsistent."""


class UnknownSplit(DatasetError):
    """A split that a dataset does not have."""


class CheckpointError(SegablateError):
    """A checkpoint that cannot be read or does not fit."""


class UserCodeError(SegablateError):
    """A module or function of the user that is missing or fails."""


class RecipeError(SegablateError):
    """A recipe that is incomplete, malformed, or does not fit network and dataset."""


class DivergedError(SegablateError):
    """A training whose loss stayed infinite or undefined; `trained` is what there was before."""

    trained: Any = None


class DeviceError(SegablateError):
    """A device or a precision that is not available."""


class RunError(SegablateError):
    """A saved run that is damaged, of a newer format or not comparable."""


class Interrupted(SegablateError):
    """Ctrl-C in a run that can be resumed."""

    exit_code = 130


class MissingExtra(SegablateError):
    """An optional dependency that is not installed, or is `broken`: it cannot be imported, for the reason given."""

    def __init__(self, package: str, extra: str, purpose: str, broken: str | None = None) -> None:
        state = f"is installed but cannot be imported ({broken})" if broken else "is not installed"
        again = (
            "install a build of it for your torch, as with pip install --force-reinstall" if broken else "pip install"
        )
        super().__init__(f"{purpose} needs {package}, which {state}; {again} 'segablate[{extra}]'")


@contextmanager
def at(where: str | Path) -> Iterator[None]:
    """Prefix the message of any :class:`SegablateError` raised inside with ``where: ``."""
    try:
        yield
    except SegablateError as error:
        error.args = (f"{where}: {error}",)
        raise


def fact(error: SegablateError) -> str:
    """Return what is wrong, without what to do about it, which another message says better."""
    return str(error).partition(";")[0]


def unskippable(error: Exception) -> Exception:
    """Return an error of reading without the advice to skip the file, for work that needs all of them."""
    error.args = tuple(str(part).replace(", or pass --on-error skip", "") for part in error.args)
    return error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'rmi'?"``, or the list of known names when none is near."""
    known = list(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; available: {shorten(known, 20)}" if known else ""


def shorten(items: Iterable[object], limit: int = 3) -> str:
    """Join the first items by commas, and count the rest."""
    items = [str(item) for item in items]
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {thousands(rest)} more" if rest > 0 else "")


def thousands(number: int) -> str:
    """Return a count as ``1 204``."""
    return f"{number:,}".replace(",", " ")


def minus(text: str) -> str:
    """Return a number in a sentence with the sign for minus in the place of a hyphen."""
    return text.replace("-", "−")


def in_points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign: ``−0.28``."""
    return minus(f"{100 * share:+.2f}")


def counted(number: int, unit: str, plural: str | None = None) -> str:
    """Return a count with its unit: ``1 image``, ``1 204 images``; ``plural`` where that is not ``unit`` and an s."""
    return f"{thousands(number)} {unit if number == 1 else plural or unit + 's'}"
