"""Modules imported from a user's folders, apart from equally named modules of other folders.

Two networks may each import a ``helper.py`` beside them, and Python keeps one module of a name. Here each set of
folders keeps its own modules, which are in ``sys.modules`` while code of these folders is imported. The import
statements of that code find them later too, inside functions.
"""

import builtins
import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

from segablate.errors import SegablateError

Check = Callable[[Path, bytes], None]
"""Raises a SegablateError where a Python file with these contents may not run."""

SITES = {"site-packages", "dist-packages"}
"""Names of the folders in which Python has its installed packages."""

_PACKAGE = Path(__file__).parent.resolve()
_PYTHON = tuple(Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "platstdlib"))
_LOCK = RLock()


def installed(path: Path) -> bool:
    """Return whether a file is part of Python, of this program or of an installed package."""
    if SITES & set(path.parts):
        return True
    return any(path.is_relative_to(place) for place in (_PACKAGE, *_PYTHON))


def loaded_modules() -> list[ModuleType]:
    """Return all modules of this process, also equally named ones."""
    apart = [module for table in _TABLES.values() for module in table.modules.values()]
    return [*list(sys.modules.values()), *apart]


class _Table:
    """The modules imported from some folders.

    - `modules`: by name.
    - `checked`: the file and the bytes of those that ran under a check, by name.
    - `search`: what they added to the search path.
    """

    def __init__(self) -> None:
        self.modules: dict[str, ModuleType] = {}
        self.checked: dict[str, tuple[Path, bytes]] = {}
        self.search: list[str] = []

    def allowed(self, check: Check | None) -> dict[str, ModuleType]:
        """Return the modules that may be used again: with `check`, those that were run from bytes that pass."""
        return {name: module for name, module in self.modules.items() if check is None or self._passes(name, check)}

    def _passes(self, name: str, check: Check) -> bool:
        if name not in self.checked:
            return getattr(self.modules[name], "__file__", None) is None  # a folder without code of its own
        try:
            check(*self.checked[name])
        except SegablateError:
            return False
        return True


_TABLES: dict[tuple[Path, ...], _Table] = {}


class UserImports:
    """Imports of modules in some folders, before all others; with `check`, only of Python files that pass.

    A finder of modules for Python: with `check`, it stays for the packages that it found, for parts of them may be
    imported later.
    """

    _running: "UserImports | None" = None

    def __init__(self, folders: Sequence[Path], check: Check | None = None) -> None:
        self.folders = tuple(folder.resolve() for folder in folders)
        self.check = check
        self.table = _TABLES.setdefault(self.folders, _Table())
        self.packages: set[str] = set()
        self.found: dict[tuple[Any, ...], Any] = {}
        self.builtins = {**vars(builtins), "__import__": self._import}

    @contextmanager
    def active(self) -> Iterator[None]:
        """Import from the folders while the context lasts."""
        if UserImports._running is self:
            yield
            return
        with _LOCK:
            outer, UserImports._running = UserImports._running, self
            search, hidden = list(sys.path), self._enter()
            before = dict(sys.modules)
            try:
                yield
            finally:
                self._leave(before, hidden, search)
                UserImports._running = outer

    def load(self, name: str, path: Path) -> ModuleType:
        """Run a Python file as a new module, which is not put among the others."""
        with self.active():
            spec = spec_from_file_location(name, path, loader=_Loader(name, str(path), self))
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} is not a Python file")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        return module

    def _import(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        """Do what ``import`` in a file of the folders does, whenever it runs."""
        if UserImports._running is self:
            return builtins.__import__(name, globals, locals, fromlist, level)
        key = (name, tuple(fromlist or ()), level, (globals or {}).get("__package__"))
        if key not in self.found:
            with self.active():
                self.found[key] = builtins.__import__(name, globals, locals, fromlist, level)
        return self.found[key]

    def _enter(self) -> dict[str, ModuleType]:
        """Exchange the modules of other folders for those of these, which are returned."""
        importlib.invalidate_caches()
        apart = [table.modules for table in _TABLES.values()]
        offered = self._offered()
        hidden = {
            name: module
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in offered or any(modules.get(name) is module for modules in apart)
        }
        for name in hidden:
            del sys.modules[name]
        sys.modules.update(self.table.allowed(self.check))
        sys.path[:0] = [] if self.check else [*map(str, self.folders), *self.table.search]
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)  # type: ignore[arg-type]
        return hidden

    def _leave(self, before: dict[str, ModuleType], hidden: dict[str, ModuleType], search: list[str]) -> None:
        """Keep the modules that were imported, and put back those of others."""
        new = {name: module for name, module in list(sys.modules.items()) if before.get(name) is not module}
        added = [place for place in sys.path if place not in (*search, *map(str, self.folders))]
        self.table.search = list(dict.fromkeys(added))
        sys.path[:] = search
        if not (self.check and self.packages):
            sys.meta_path.remove(self)  # type: ignore[arg-type]
        UserImports._running = None
        self.table.modules |= {name: module for name, module in new.items() if _of_user(module) and not _common(name)}
        taken = {
            name.partition(".")[0] for name, module in hidden.items() if self.table.modules.get(name) is not module
        }
        for name in [name for name in self.table.modules if name.partition(".")[0] in taken]:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)

    def _offered(self) -> set[str]:
        """Return the names of modules in the folders for which the process has another user's module."""
        names = {entry.partition(".")[0] for folder in self.folders if folder.is_dir() for entry in os.listdir(folder)}
        known = {name: sys.modules[name] for name in names & sys.modules.keys() - {"__main__"}}
        return {name for name, module in known.items() if _of_user(module) and not self._here(module)}

    def _here(self, module: ModuleType) -> bool:
        file = _file(module)
        return file is not None and any(file.is_relative_to(folder) for folder in self.folders)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module in the folders, or in a package that was found there."""
        if path is None and UserImports._running is not self:
            return None
        return self._any(name, path) if self.check is None else self._python_file(name, path)

    def _any(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """Find what Python finds; source of users is loaded so that its own imports come here."""
        spec = PathFinder.find_spec(name, path)
        if spec is None or type(spec.loader) is not SourceFileLoader or installed(Path(spec.origin or "").resolve()):
            return spec
        return self._spec(name, Path(spec.origin or ""), spec.submodule_search_locations)

    def _python_file(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
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
        loader = _Loader(name, str(file), self)
        return spec_from_file_location(name, file, loader=loader, submodule_search_locations=locations)


class _Loader(SourceFileLoader):
    """Runs a Python file whose imports are those of its folders.

    With a check, it runs the very bytes that were checked, never a compiled copy beside the file.
    """

    def __init__(self, name: str, path: str, imports: UserImports) -> None:
        super().__init__(name, path)
        self.imports = imports

    def get_code(self, fullname: str) -> Any:
        """Read, check and compile the file."""
        check = self.imports.check
        if check is None:
            return super().get_code(fullname)
        path = self.get_filename(fullname)
        data = self.get_data(path)
        check(Path(path), data)
        self.imports.table.checked[fullname] = (Path(path), data)
        return self.source_to_code(data, path)

    def exec_module(self, module: ModuleType) -> None:
        """Run the file in its module."""
        vars(module)["__builtins__"] = self.imports.builtins
        super().exec_module(module)


def _of_user(module: ModuleType) -> bool:
    file = _file(module)
    return file is not None and not installed(file)


def _common(name: str) -> bool:
    """Return whether every part of the process finds the package of a module, which is in ``sys.modules``."""
    top = name.partition(".")[0]
    found = next(filter(None, (finder.find_spec(top, None) for finder in sys.meta_path)), None)
    place = getattr(getattr(sys.modules.get(top), "__spec__", None), "origin", None)
    return found is not None and place is not None and found.origin == place


def _file(module: ModuleType) -> Path | None:
    """Return the file of a module, or the first folder of a package without one; None for modules built in."""
    place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return Path(place).resolve() if isinstance(place, str) else None
