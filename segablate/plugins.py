"""What other packages bring by entry points: losses, dataset layouts and sources of checkpoints.

In the ``pyproject.toml`` of such a package::

    [project.entry-points."segablate.losses"]
    tversky = "tiny_package.losses:tversky"

    [project.entry-points."segablate.layouts"]
    tiles = "tiny_package.tiles"

    [project.entry-points."segablate.sources"]
    lab = "tiny_package.lab"

Finding them imports nothing. A name of this program cannot be taken, and a package that fails, fails alone.
"""

import hashlib
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from typing import Any, Literal

from segablate.errors import SegablateError, UserCodeError
from segablate.files import fingerprint
from segablate.user_code import innermost, own_output

Kind = Literal["loss", "layout", "source"]

GROUPS: dict[Kind, str] = {"loss": "segablate.losses", "layout": "segablate.layouts", "source": "segablate.sources"}

_IN_FORMULAS = (r"[A-Za-z_]\w*", "letters, digits and _")
_BEFORE_A_COLON = (r"[A-Za-z][\w-]+", "two or more letters, digits, _ or -")  # one letter is a drive on Windows
_NAMES: dict[Kind, tuple[str, str]] = {"loss": _IN_FORMULAS, "layout": _BEFORE_A_COLON, "source": _BEFORE_A_COLON}


@dataclass(frozen=True)
class Plugin:
    """A loss, layout or source of another package.

    - `package`, `version`: the distribution that brings it; `entry`: where it is.
    """

    kind: Kind
    name: str
    package: str
    version: str
    entry: EntryPoint

    def load(self) -> Any:
        """Import what the entry point names. Raises UserCodeError where that fails."""
        try:
            with own_output():
                return self.entry.load()
        except (Exception, SystemExit) as error:
            remedy = "update or uninstall the package"
            raise self.failure(f"cannot be loaded: {_reason(error)}; {remedy}") from error

    def failure(self, reason: str) -> UserCodeError:
        """Return the error that names the package and says what is wrong with what it brings."""
        return UserCodeError(f"{self} {reason}")

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of package {self.package}"

    @cached_property
    def code(self) -> str:
        """The version, and 16 hexadecimal digits of the Python files of its package: ``1.2, code 3f2a9c0d11223344``."""
        self.load()
        lines = [f"{path.name} {fingerprint(path)}" for path in _files(_module(self.entry))]  # wherever installed
        digest = hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return f"{self.version}, code {digest}"


@contextmanager
def running(plugin: str) -> Iterator[None]:
    """Run code of another package: what it prints goes to standard error, what it raises becomes a UserCodeError."""
    try:
        with own_output():
            yield
    except SegablateError:
        raise
    except Exception as error:
        raise UserCodeError(f"{plugin} raises {_reason(error)}; report it to its authors") from error


@cache
def plugins(kind: Kind, own: Collection[str]) -> Mapping[str, Plugin]:
    """Return what other packages bring by name, in alphabetical order; `own`: the names of this program, a tuple."""
    return {plugin.name: plugin for plugin, refused in _judged(kind, own) if not refused}


@cache
def left_out(kind: Kind, own: Collection[str]) -> tuple[str, ...]:
    """Return notes on the entry points that cannot be used because of their name, and why."""
    return tuple(f"{plugin.failure(refused)}" for plugin, refused in _judged(kind, own) if refused)


def package_of(plugin: Plugin) -> str:
    """Return the package with its version and a digest of its code, for the facts and the identity of a run."""
    return f"{plugin.package} {plugin.code}"


@cache
def _judged(kind: Kind, own: Collection[str]) -> list[tuple[Plugin, str]]:
    """Return all entry points of a kind, each with the reason to leave it out, or empty."""
    taken: dict[str, str] = dict.fromkeys(own, "segablate")
    judged = []
    for plugin in sorted(_found(kind), key=lambda each: (each.name, each.package)):
        if not re.fullmatch(_NAMES[kind][0], plugin.name):
            refused = f"is left out: the name of a {kind} has {_NAMES[kind][1]}"
        elif plugin.name in taken:
            refused = f"is left out: the name belongs to {taken[plugin.name]}"
        else:
            refused = ""
            taken[plugin.name] = f"package {plugin.package}"
        judged.append((plugin, refused))
    return judged


def _found(kind: Kind) -> list[Plugin]:
    """Return the entry points of a group. One that has no package, as of a test, is of the package of its module."""
    found = []
    for entry in _entries(GROUPS[kind]):
        top = _module(entry).partition(".")[0]
        package, version = (entry.dist.name, entry.dist.version) if entry.dist is not None else (top, "")
        found.append(Plugin(kind, entry.name, package or top, version or "", entry))
    return found


def _entries(group: str) -> list[EntryPoint]:
    """Return the entry points of a group, also beside a package whose list of them is damaged."""
    try:
        return list(entry_points(group=group))
    except Exception:  # that of any package in the environment
        return [entry for each in distributions() for entry in _readable(each) if entry.group == group]


def _readable(distribution: Any) -> list[EntryPoint]:
    try:
        return list(distribution.entry_points)
    except Exception:
        return []


def _module(entry: EntryPoint) -> str:
    return entry.value.partition(":")[0].strip()


def _files(module: str) -> list[Path]:
    """Return the Python files of the package of a module that is loaded, or its own file where it is in none."""
    for name in (module.partition(".")[0], module):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            path = Path(file)
            return sorted(path.parent.rglob("*.py")) if path.stem == "__init__" else [path]
    return []


def _reason(error: BaseException) -> str:
    return innermost(error) if isinstance(error, Exception) else f"it ends the program ({error!r})"
