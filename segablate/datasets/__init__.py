"""Datasets, by what lies on the disk: ``open_dataset("camvid:/data/camvid", split="val")``.

A specification is ``LAYOUT:DIRECTORY``, or ``sample`` for the data that comes with the package. Each layout is one file
here, with ``open_split(root, split)`` and a docstring that draws the expected tree.
"""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from segablate.datasets.dataset import Dataset, Item
from segablate.errors import DatasetError, did_you_mean

__all__ = ["Dataset", "Item", "dataset_layouts", "open_dataset"]

_PARTS = {"dataset", "pairing", "reading", "scribbles"}


def dataset_layouts() -> list[str]:
    """Names of the layouts that can be opened, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if module.name not in _PARTS)


def open_dataset(spec: str, split: str | None = None) -> Dataset:
    """Open ``LAYOUT:DIRECTORY`` (or ``sample``) at a split, or at the layout's default split.

    Nothing but lists and directories is read here. Raises DatasetError for an unknown layout, a missing directory or
    split, images without label maps and an empty split.
    """
    layout, _, place = spec.partition(":")
    if layout not in dataset_layouts():
        hint = f"; for your own images and masks, write folder:{spec}" if Path(spec).is_dir() else ""
        raise DatasetError(f"no dataset layout is called {layout!r}{hint or did_you_mean(layout, dataset_layouts())}")
    module = import_module(f"segablate.datasets.{layout}")
    if layout == "sample":
        return module.open_split(split)
    if not place:
        raise DatasetError(f"dataset {spec!r} names no directory; write {layout}:DIRECTORY")
    root = Path(place).expanduser()
    if not root.is_dir():
        raise DatasetError(f"{root} is not a directory; give the root of the dataset, as in {layout}:DIRECTORY")
    return module.open_split(root, split)
