"""The catalogue of layouts: one file each in ``layouts/``, and those of other packages, imported on demand."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NamedTuple

from segablate.datasets import layouts
from segablate.datasets.layout import Layout
from segablate.datasets.plugin_layouts import PluginLayout, load_layout
from segablate.errors import DatasetError, UserCodeError, did_you_mean
from segablate.labels import LabelSet
from segablate.plugins import Plugin, left_out, package_of, plugins


def own_layouts() -> list[str]:
    """Return the names of the layouts of this program, sorted."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(layouts.__path__))


def plugin_layouts() -> Mapping[str, Plugin]:
    """Return the layouts of other packages by name, sorted; imports none of them."""
    return plugins("layout", tuple(own_layouts()))


def left_out_layouts() -> tuple[str, ...]:
    """Return notes on layouts of other packages whose names cannot be used."""
    return left_out("layout", tuple(own_layouts()))


def dataset_layouts() -> list[str]:
    """Return the names of the layouts, sorted, those of other packages last; imports nothing."""
    return [*own_layouts(), *plugin_layouts()]


def layout_module(name: str) -> Any:
    """Import the module of a layout, with `LAYOUT`, `splits` and `open_split`.

    Raises DatasetError with the nearest name for an unknown layout, and UserCodeError for one of another package that
    cannot be loaded.
    """
    if name in own_layouts():
        return import_module(f"segablate.datasets.layouts.{name.replace('-', '_')}")
    if name not in plugin_layouts():
        raise DatasetError(f"no dataset layout is called {name!r}{did_you_mean(name, dataset_layouts())}")
    return _loaded(name)


@cache
def _loaded(name: str) -> PluginLayout:
    return load_layout(plugin_layouts()[name])


def layout_package(name: str) -> str:
    """Return package, version and code of the layout of another package; empty for one of this program."""
    found = plugin_layouts().get(name)
    return package_of(found) if found is not None else ""


class LayoutDescription(NamedTuple):
    """A layout for the list of all.

    - `layout`: its properties, or None where it cannot be loaded, for the reason `problem`.
    - `package`: the other package that brings it; empty for a layout of this program.
    """

    layout: Layout | None
    package: str = ""
    problem: str = ""


def described_layouts() -> dict[str, LayoutDescription]:
    """Return the description of every layout by name. Imports all of them; one that fails does not stop the others."""
    found = {name: LayoutDescription(layout_module(name).LAYOUT) for name in own_layouts()}
    for name, plugin in plugin_layouts().items():
        try:
            found[name] = LayoutDescription(layout_module(name).LAYOUT, plugin.package)
        except UserCodeError as error:
            found[name] = LayoutDescription(None, plugin.package, str(error))
    return found


def label_set_named(name: str) -> LabelSet:
    """Return the label set of a published dataset. DatasetError with the nearest name for an unknown one."""
    wanted, known = name.lower().replace("-", "_"), _own_label_sets()
    if wanted not in known:
        known = {**_plugin_label_sets(), **known}
    found = known.get(wanted)
    if found is None:
        raise DatasetError(f"no label set is called {name!r}{did_you_mean(name, known)}")
    return found


@cache
def _own_label_sets() -> dict[str, LabelSet]:
    return _label_sets({name: layout_module(name).LAYOUT for name in own_layouts()})


def _plugin_label_sets() -> dict[str, LabelSet]:
    """Return the label sets of the layouts of other packages, as far as these can be loaded."""
    described = {name: each.layout for name, each in described_layouts().items() if each.package and each.layout}
    return _label_sets(described)


def _label_sets(known: Mapping[str, Layout]) -> dict[str, LabelSet]:
    """Return the label sets of layouts by their own names, and the default ones by the names of the layouts."""
    found: dict[str, LabelSet] = {}
    for layout, each in known.items():
        own = each.label_sets
        found |= {labels.name: labels for labels in reversed(own)}
        found |= {layout.replace("-", "_"): own[0]} if own else {}
    return found
