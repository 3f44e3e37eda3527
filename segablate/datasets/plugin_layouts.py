"""Layouts of other packages, by entry points of the group ``segablate.layouts``.

Such a layout is a module, or an object, with the names that every file in ``layouts/`` has: ``LAYOUT``,
``splits(root)`` and ``open_split(root, split)``.
"""

from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

from segablate.datasets.dataset import Dataset, ImageAndLabelFiles, Item, ItemReader, LabelFiles
from segablate.datasets.layout import Layout
from segablate.images.label_maps import LabelFile
from segablate.images.pictures import Picture, Reading
from segablate.plugins import Plugin, running

_FUNCTIONS = ("splits", "open_split")


@dataclass(frozen=True)
class PluginReader:
    """Reads items by the code of another package.

    - `plugin`: what messages call it; `reader`: the reader of the package.
    """

    plugin: str
    reader: ItemReader

    def image(self, item: Item, reading: Reading) -> Picture:
        """Decode the image. Raises UserCodeError where the package's code fails."""
        with running(self.plugin):
            return self.reader.image(item, reading)

    def labels(self, item: Item, reading: Reading) -> LabelFile:
        """Read the label map. Raises UserCodeError where the package's code fails."""
        with running(self.plugin):
            return self.reader.labels(item, reading)


@dataclass(frozen=True)
class PluginLayout:
    """A layout of another package, whose results are checked.

    - `plugin`: where it comes from; `found`: the module or object that the package brings.
    """

    plugin: Plugin
    found: Any

    def __post_init__(self) -> None:
        vars(self).update(__doc__=self.found.__doc__)  # for `segablate datasets show`

    @property
    def LAYOUT(self) -> Layout:  # the name that a layout's module has
        """Return its properties."""
        return self.found.LAYOUT

    def splits(self, root: Path) -> list[str]:
        """Return the names of the splits in `root`. Raises UserCodeError where its code fails or returns others."""
        with running(str(self.plugin)):
            found = self.found.splits(root)
        if not isinstance(found, list | tuple) or not all(isinstance(name, str) for name in found):
            raise self.plugin.failure(f"has splits {found!r:.80}, but must return a list of names")
        return list(found)

    def open_split(self, root: Path, split: str | None = None) -> Dataset:
        """Open `root` at a split. Raises UserCodeError where its code fails or returns no dataset."""
        with running(str(self.plugin)):
            found = self.found.open_split(root, split)
        if not isinstance(found, Dataset):
            raise self.plugin.failure(f"opens {type(found).__name__}; open_split must return a segablate Dataset")
        if not is_dataclass(found.source) or isinstance(found.source, type):  # its fields identify it in every process
            raise self.plugin.failure(f"reads items by {type(found.source).__name__}, which must be a dataclass")
        if not found.items:
            raise self.plugin.failure(f"finds no items in split {found.split!r} of {root}; is it the right folder?")
        spec, source = f"{self.plugin.name}:{root}", found.source
        if not isinstance(source, LabelFiles) and type(source) is not ImageAndLabelFiles:
            source = PluginReader(str(self.plugin), source)
        return replace(found, spec=spec, layout=self.plugin.name, source=source)


def load_layout(plugin: Plugin) -> PluginLayout:
    """Import a layout. Raises UserCodeError for one that fails, or lacks a part of a layout."""
    found = plugin.load()
    remedy = "update or uninstall the package"
    if not isinstance(getattr(found, "LAYOUT", None), Layout):
        raise plugin.failure(f"is no layout: {plugin.entry.value} has no LAYOUT of segablate's Layout; {remedy}")
    for name in _FUNCTIONS:
        if not callable(getattr(found, name, None)):
            raise plugin.failure(f"is no layout: {plugin.entry.value} has no function {name}; {remedy}")
    return PluginLayout(plugin, found)
