"""A user's own function, by the place where it lies: ``package.module.function`` or ``path/to/file.py:function``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from segablate.errors import ObjectiveError, did_you_mean


def load_function(place: str) -> Callable[..., Any]:
    """Import the function; modules beside the current directory's files are found too.

    Raises :class:`ObjectiveError` where the module, the file or the function does not exist or is not callable;
    whatever the user's module itself raises on import comes through.
    """
    file, _, name = place.rpartition(":")
    if not file:
        file, _, name = place.rpartition(".")
    if not file or not name:
        form = "python:package.module.function or python:path/to/file.py:function"
        raise ObjectiveError(f"'python:{place}' names no function; write {form}")
    module = _from_file(Path(file)) if file.endswith(".py") else _by_name(file)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ObjectiveError(f"{file} has no function {name!r}{did_you_mean(name, known)}")
    return function


def _by_name(name: str) -> ModuleType:
    try:
        with _current_directory_importable():
            return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise  # a module that the user's module imports in its turn
        advice = "check the spelling, or give the file as python:path/to/file.py:function"
        raise ObjectiveError(f"no module is called {error.name!r}; {advice}") from None


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ObjectiveError(f"there is no file {path}; check the path, which starts at the current directory")
    spec = spec_from_file_location(f"segablate_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    with _current_directory_importable():
        spec.loader.exec_module(module)
    return module


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    """An installed program does not look where it was started; ``python -m`` does, and users expect it."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
