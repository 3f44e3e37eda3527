"""The catalogue of sources: one file each in ``sources/``, and those of other packages, imported on demand.

What a source of this program is and defines is read from the text of its file, so that listing them imports none.
"""

import ast
import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, NamedTuple

from segablate.checkpoints import sources
from segablate.checkpoints.plugin_sources import PluginSource, load_source
from segablate.errors import UserCodeError
from segablate.plugins import Plugin, left_out, package_of, plugins

_WEIGHTED = ("python", "torchvision", "smp", "builtin")
_FIRST_LINE = re.compile(r"(?P<what>.+?): (?P<form>``.+)\.")


@cache
def own_sources() -> tuple[str, ...]:
    """Return the names of the sources of this program, sorted."""
    return tuple(sorted(module.name for module in iter_modules(sources.__path__)))


def plugin_sources() -> Mapping[str, Plugin]:
    """Return the sources of other packages by name, sorted; imports none of them."""
    return plugins("source", own_sources())


def left_out_sources() -> tuple[str, ...]:
    """Return notes on sources of other packages whose names cannot be used."""
    return left_out("source", own_sources())


def checkpoint_sources() -> list[str]:
    """Return the names of all sources, sorted, those of other packages last; imports nothing."""
    return [*own_sources(), *plugin_sources()]


def source_module(name: str) -> Any:
    """Import a source: an object with ``open_source``. UserCodeError where that of another package cannot be loaded."""
    return import_module(f"segablate.checkpoints.sources.{name}") if name in own_sources() else _loaded(name)


@cache
def _loaded(name: str) -> PluginSource:
    return load_source(plugin_sources()[name])


def source_package(spec: str) -> str:
    """Return package, version and code of the source that a specification names; empty for one of this program."""
    found = plugin_sources().get(spec.partition(":")[0])
    return package_of(found) if found is not None else ""


class SourceDescription(NamedTuple):
    """The form of a source's specification, and what the source is.

    `package`: the other package that brings it; empty for a source of this program.
    """

    form: str
    what: str
    package: str = ""


def described_sources() -> dict[str, SourceDescription]:
    """Return the description of every source by name, from its docstring.

    Sources of this program are not imported. Those of other packages are, and one that fails says why.
    """
    own = {name: _described(name, ast.get_docstring(tree) or "") for name, tree in _texts().items()}
    return own | {name: _of_plugin(name, plugin) for name, plugin in plugin_sources().items()}


def form_of(name: str) -> str:
    """Return the form of a source's specification."""
    return described_sources()[name].form if name in own_sources() else _of_plugin(name, plugin_sources()[name]).form


def _of_plugin(name: str, plugin: Plugin) -> SourceDescription:
    try:
        return _described(name, source_module(name).docstring, plugin.package)
    except UserCodeError as error:
        return SourceDescription(f"{name}:...", str(error), plugin.package)


def _described(name: str, docstring: str, package: str = "") -> SourceDescription:
    line = docstring.partition("\n")[0]
    found = _FIRST_LINE.fullmatch(line)
    what, form = found.groups() if found else (line or "A source without a description", f"{name}:...")
    return SourceDescription(form.replace("``", ""), what.replace("``", ""), package)


@cache
def by_suffix() -> dict[str, str]:
    """Map file suffixes to the sources that open such files without being named; no source is imported."""
    stated = {name: _stated(tree, "SUFFIXES") for name, tree in _texts().items()}
    return {suffix: name for name, suffixes in stated.items() for suffix in suffixes}


def defines(source: str, function: str) -> bool:
    """Return whether a source has an optional function; one of this program is not imported for it.

    Raises UserCodeError for a source of another package that cannot be loaded.
    """
    if source in own_sources():
        return source in defining(function)
    return source in plugin_sources() and source_module(source).defines(function)


def takes_weights(source: str) -> bool:
    """Return whether a specification of a source names a network and, after ``@``, the file of its weights."""
    return source in _WEIGHTED or (source in plugin_sources() and defines(source, "open_new"))


@cache
def defining(function: str) -> tuple[str, ...]:
    """Return the sources of this program that define a function of that name; none is imported."""
    return tuple(
        source
        for source, tree in _texts().items()
        if any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)
    )


@cache
def _texts() -> dict[str, ast.Module]:
    files = {name: Path(sources.__path__[0], f"{name}.py") for name in own_sources()}
    return {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in files.items()}


def _stated(tree: ast.Module, name: str) -> tuple[str, ...]:
    """Return the literal that a module assigns to a name, or an empty tuple."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return ast.literal_eval(node.value)
    return ()
