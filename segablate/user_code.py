"""Importing a user's Python, for networks and losses alike.

A function is written ``package.module:name`` or ``path/to/file.py:name``. Dotted modules are also looked for in the
working directory; a file can import its neighbours. What the code prints goes to standard error.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

from segablate.errors import SegablateError, UserCodeError, did_you_mean
from segablate.user_modules import Check, UserImports


def load_function(place: str) -> Callable[..., Any]:
    """Load the function at ``module:name``, or at ``package.module.name``, the older form for losses.

    Raises :class:`UserCodeError` for another form, and as :func:`find_function` does.
    """
    module, _, name = place.rpartition(":")
    if not module:
        module, _, name = place.rpartition(".")
    if not module or not name.isidentifier():
        raise UserCodeError(
            f"'python:{place}' is no function; write python:package.module:name or python:path/to/file.py:name"
        )
    return find_function(module, name)


def find_function(
    module: str, name: str, folders: Sequence[Path] = (), check: Check | None = None
) -> Callable[..., Any]:
    """Return the function of that name in a dotted module or in a ``.py`` file.

    `folders`: where dotted modules are looked for, before the installed ones; by default the working directory. With
    `check`, a Python file below these folders, or beside the ``.py`` file, runs only if its bytes pass, and nothing but
    Python source is imported from there.

    Raises :class:`UserCodeError` when it is not there, or the module fails when imported, and what `check` raises.
    """
    try:
        file = Path(module).expanduser() if module.endswith(".py") else None
    except RuntimeError:
        raise UserCodeError(f"{module}: no such user or home folder; write the path out") from None
    places = [file.parent.resolve()] if file else [*(folders or [Path.cwd()])]
    imports = UserImports(places, check)
    with imports.active(), own_output():
        code = _from_file(file, imports) if file else _by_name(module)
    function = getattr(code, name, None)
    if not callable(function):
        public = [known for known, value in vars(code).items() if callable(value) and not known.startswith("_")]
        raise UserCodeError(f"python:{module} has no function {name!r}{did_you_mean(name, public)}")
    return function


class _ProgramEndedError(Exception):
    """A user's code that ends the program."""


@contextmanager
def exits_raised() -> Iterator[None]:
    """Turn a program's end inside a user's code, as of ``sys.exit``, into an error; that by a signal goes on."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.code, int) and error.code > 128:  # as the console script ends on SIGTERM
            raise
        raise _ProgramEndedError(
            f"SystemExit {error.code}, the end of the program: does it run as a script, without "
            f"if __name__ == '__main__'?"
        ) from error


def innermost(error: Exception) -> str:
    """Describe where a user's code failed, in one line: ``TypeError: ... (net.py, line 12)``."""
    if isinstance(error, _ProgramEndedError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


OUTPUT_IS_THE_USERS: ContextVar[bool] = ContextVar("OUTPUT_IS_THE_USERS", default=False)
"""Whether standard output is left alone: where a user's program calls this one, it is for the user to print there."""


@contextmanager
def own_output() -> Iterator[None]:
    """Send what a user's code prints to standard error: standard output belongs to the results of a command."""
    with nullcontext() if OUTPUT_IS_THE_USERS.get() else redirect_stdout(sys.stderr):
        yield


def _from_file(path: Path, imports: UserImports) -> ModuleType:
    if not os.path.isfile(path):
        raise UserCodeError(f"{path}: no such Python file; check the path")
    try:
        with exits_raised():
            return imports.load(path.stem, path)
    except SegablateError:
        raise
    except Exception as error:
        raise UserCodeError(f"{path} raises {innermost(error)} when imported") from error


def _by_name(name: str) -> ModuleType:
    try:
        with exits_raised():
            return importlib.import_module(name)
    except SegablateError:
        raise
    except ModuleNotFoundError as error:
        missing = "it" if error.name and name.startswith(error.name) else f"the module {error.name!r} it needs"
        raise UserCodeError(
            f"python:{name} cannot be imported: {missing} is not installed, nor in the working directory"
        ) from error
    except Exception as error:
        raise UserCodeError(f"python:{name} raises {innermost(error)} when imported") from error
