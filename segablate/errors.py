"""What a user can put right: one line that says what, where and what to do.

::

    SegablateError            exit code 1, one red line
    ├── UsageError            the command line itself is off: exit code 2
    ├── KnobError             a hyper-parameter outside its range, or of a name that does not exist
    ├── ObjectiveError        a malformed "ce + 0.5*rmi(radius=3)"
    ├── LabelError            label codes, class lists and class maps that do not fit
    ├── DatasetError          images, masks, splits
    ├── CheckpointError       weights, architectures, cards, predictions
    ├── UserCodeError         a user's Python that is not there, or fails when imported
    ├── RecipeError           how a network is to be trained
    ├── DivergedError         a training whose loss is no longer finite
    ├── DeviceError           a device or precision that is not there
    ├── RunError              saved runs: damaged, newer, not comparable
    ├── Interrupted           Ctrl-C, where the work can be taken up again: exit code 130
    └── MissingExtra          an optional dependency that is not installed

Everything else that is raised is a bug and shows its traceback. Inner code raises the bare fact; the caller that
knows the file, image or option adds it with :func:`at`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


class SegablateError(Exception):
    """Something the user can put right. ``str()`` is the whole message, in one line."""

    exit_code = 1


class UsageError(SegablateError):
    """The command line is malformed."""

    exit_code = 2


class KnobError(SegablateError):
    """A hyper-parameter that does not exist or a value outside its range."""


class ObjectiveError(SegablateError):
    """An objective that cannot be read."""


class LabelError(SegablateError):
    """Label codes, class lists or class maps that do not fit."""


class DatasetError(SegablateError):
    """A dataset that is incomplete, unreadable or inconsistent."""


class CheckpointError(SegablateError):
    """A checkpoint that cannot be read or does not fit."""


class UserCodeError(SegablateError):
    """A module or function of the user's that is not there, or fails."""


class RecipeError(SegablateError):
    """A recipe that is incomplete, malformed, or does not fit network and dataset."""


class DivergedError(SegablateError):
    """A training whose loss stayed infinite or undefined."""


class DeviceError(SegablateError):
    """A device or a precision that is not available."""


class RunError(SegablateError):
    """A saved run that is damaged, too new or not comparable."""


class Interrupted(SegablateError):
    """Ctrl-C, after something was kept with which to go on."""

    exit_code = 130


class MissingExtra(SegablateError):
    """An optional dependency that is not installed, or is `broken`: it does not load, for the reason given."""

    def __init__(self, package: str, extra: str, purpose: str, broken: str | None = None) -> None:
        state = f"is installed but does not load ({broken})" if broken else "is not installed"
        again = (
            "install a build of it for your torch, as with pip install --force-reinstall" if broken else "pip install"
        )
        super().__init__(f"{purpose} needs {package}, which {state}; {again} 'segablate[{extra}]'")


@contextmanager
def at(where: str | Path) -> Iterator[None]:
    """Put ``where: `` in front of the message of any :class:`SegablateError` raised inside."""
    try:
        yield
    except SegablateError as error:
        error.args = (f"{where}: {error}",)
        raise


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'rmi'?"``, or the list of what there is when nothing is near."""
    known = list(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there is {shorten(known, 20)}" if known else ""


def shorten(items: Iterable[object], limit: int = 3) -> str:
    """The first few items in a row, and how many more there are."""
    items = [str(item) for item in items]
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {rest:,} more".replace(",", " ") if rest > 0 else "")


def thousands(number: int) -> str:
    """``1 204``: the house's way to write a count in a message."""
    return f"{number:,}".replace(",", " ")


def counted(number: int, unit: str) -> str:
    """``1 image``, ``1 204 images``."""
    return f"{thousands(number)} {unit}{'s' * (number != 1)}"
