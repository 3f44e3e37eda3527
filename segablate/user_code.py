"""Importing a user's Python, for networks and losses alike.

A function is written ``package.module:name`` or ``path/to/file.py:name``. Dotted modules are also looked for in the
working directory; a file can import its neighbours. What the code prints goes to standard error.
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from segablate.errors import SegablateError, UserCodeError, did_you_mean

Check = Callable[[Path, bytes], None]
"""Raises a SegablateError where a Python file with these contents may not run."""


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
    file = Path(module).expanduser() if module.endswith(".py") else None
    places = [file.parent.resolve()] if file else [*(folders or [Path.cwd()])]
    with importable(places, check), own_output():
        code = _from_file(file, check) if file else _by_name(module)
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


@contextmanager
def own_output() -> Iterator[None]:
    """Send what a user's code prints to standard error: standard output belongs to the results."""
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def importable(folders: Sequence[Path], check: Check | None = None) -> Iterator[None]:
    """Make the modules in these folders importable, before all others; with `check`, only those that pass."""
    if check is not None:
        with _CheckedFinder(folders, check).active():
            yield
        return
    added = [str(folder) for folder in folders]
    sys.path[:0] = added
    try:
        yield
    finally:
        for folder in added:
            sys.path.remove(folder)


def _from_file(path: Path, check: Check | None) -> ModuleType:
    if not path.is_file():
        raise UserCodeError(f"{path}: no such Python file; check the path")
    loader = _CheckedLoader(path.stem, str(path), check) if check else None
    spec = importlib.util.spec_from_file_location(path.stem, path, loader=loader)
    if spec is None or spec.loader is None:
        raise UserCodeError(f"{path}: not a Python file")
    code = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(code)
    except SegablateError:
        raise
    except Exception as error:
        raise UserCodeError(f"{path} raises {innermost(error)} when imported") from error
    return code


def _by_name(name: str) -> ModuleType:
    try:
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


class _CheckedLoader(SourceFileLoader):
    """Runs a Python file from the very bytes that were checked, never from a compiled copy beside it."""

    def __init__(self, name: str, path: str, check: Check) -> None:
        super().__init__(name, path)
        self.check = check

    def get_code(self, fullname: str) -> Any:
        """Read, check and compile the file."""
        path = self.get_filename(fullname)
        data = self.get_data(path)
        self.check(Path(path), data)
        return self.source_to_code(data, path)


class _CheckedFinder:
    """Finds modules in some folders whose files run only if they pass a check.

    It stays for the packages that it found, for parts of them may be imported later.
    """

    def __init__(self, folders: Sequence[Path], check: Check) -> None:
        self.folders = tuple(folders)
        self.check = check
        self.packages: set[str] = set()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Take part in imports, of top-level modules while the context lasts."""
        importlib.invalidate_caches()
        sys.meta_path.insert(0, self)  # type: ignore[arg-type]
        try:
            yield
        finally:
            self.folders = ()
            if not self.packages:
                sys.meta_path.remove(self)  # type: ignore[arg-type]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module in the folders, or in a package that was found there."""
        inside = path is not None
        own = [Path(place) for place in path or () if place in self.packages] if inside else self.folders
        tail = name.rpartition(".")[2]
        for place in own:
            if (place / tail / "__init__.py").is_file():
                return self._spec(name, place / tail / "__init__.py", [str(place / tail)])
            if (place / f"{tail}.py").is_file():
                return self._spec(name, place / f"{tail}.py", None)
        parts = [str(place / tail) for place in own if (place / tail).is_dir()]
        if parts and (inside or PathFinder.find_spec(name) is None):
            self.packages.update(parts)
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = parts
            return spec
        if own and inside:
            raise ModuleNotFoundError(f"No module named {name!r} among the Python files of its folder", name=name)
        return None

    def _spec(self, name: str, file: Path, locations: list[str] | None) -> ModuleSpec | None:
        self.packages.update(locations or ())
        loader = _CheckedLoader(name, str(file), self.check)
        return importlib.util.spec_from_file_location(name, file, loader=loader, submodule_search_locations=locations)
