"""Importing a user's Python, for networks and losses alike.

A function is written ``package.module:name`` or ``path/to/file.py:name``. Dotted modules are also looked for in the
working directory; a file can import its neighbours.
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from segablate.errors import UserCodeError, did_you_mean


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


def find_function(module: str, name: str) -> Callable[..., Any]:
    """Return the function of that name in a dotted module or in a ``.py`` file.

    Raises :class:`UserCodeError` when it is not there, or the module fails when imported.
    """
    code = _from_file(Path(module).expanduser()) if module.endswith(".py") else _by_name(module)
    function = getattr(code, name, None)
    if not callable(function):
        public = [known for known, value in vars(code).items() if callable(value) and not known.startswith("_")]
        raise UserCodeError(f"python:{module} has no function {name!r}{did_you_mean(name, public)}")
    return function


def innermost(error: Exception) -> str:
    """Describe where a user's code failed, in one line: ``TypeError: ... (net.py, line 12)``."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserCodeError(f"{path}: no such Python file; check the path")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UserCodeError(f"{path}: not a Python file")
    code = importlib.util.module_from_spec(spec)
    with _importable(path.parent.resolve()):
        try:
            spec.loader.exec_module(code)
        except Exception as error:
            raise UserCodeError(f"{path} raises {innermost(error)} when imported") from error
    return code


def _by_name(name: str) -> ModuleType:
    with _importable(Path.cwd()):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = "it" if error.name and name.startswith(error.name) else f"the module {error.name!r} it needs"
            raise UserCodeError(
                f"python:{name} cannot be imported: {missing} is not installed, nor in the working directory"
            ) from error
        except Exception as error:
            raise UserCodeError(f"python:{name} raises {innermost(error)} when imported") from error


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make the modules of this folder importable, before all others."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
