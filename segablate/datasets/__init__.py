"""Datasets, by what lies on the disk: ``open_dataset("camvid:/data/camvid", split="val")``.

A specification is ``LAYOUT:DIRECTORY``, or ``sample`` for the data that comes with the package. Each layout is one file
in ``layouts/``.
"""

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from segablate.datasets import layouts
from segablate.datasets.dataset import Dataset, Item
from segablate.datasets.sample_files import sample_data
from segablate.errors import DatasetError, SegablateError, did_you_mean

__all__ = ["Dataset", "Item", "dataset_layouts", "layout_module", "open_dataset", "other_splits"]


def dataset_layouts() -> list[str]:
    """Names of the layouts that can be opened, sorted."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(layouts.__path__))


def layout_module(name: str) -> ModuleType:
    """The module of a layout: `LAYOUT`, `splits`, `open_split`. DatasetError with the nearest name for none."""
    if name not in dataset_layouts():
        raise DatasetError(f"no dataset layout is called {name!r}{did_you_mean(name, dataset_layouts())}")
    return import_module(f"segablate.datasets.layouts.{name.replace('-', '_')}")


def open_dataset(spec: str, split: str | None = None) -> Dataset:
    """Open ``LAYOUT:DIRECTORY`` (or ``sample``) at a split, or at the layout's default split.

    Nothing but lists and directories is read here. Raises DatasetError for an unknown layout, a missing directory or
    split, images without label maps and an empty split.
    """
    layout, _, place = spec.partition(":")
    if layout not in dataset_layouts() and Path(spec).is_dir():
        if any((Path(spec) / name).is_file() for name in ("dataset_dict.json", "state.json")):
            raise DatasetError(f"{spec} is a dataset that save_to_disk wrote; write hf:{spec}")
        raise DatasetError(
            f"no dataset layout is called {layout!r}; for your own images and masks, write folder:{spec}"
        )
    module = layout_module(layout)
    if layout == "sample":
        return module.open_split(split)
    if not place:
        raise DatasetError(f"dataset {spec!r} names no directory; write {layout}:DIRECTORY")
    root = Path(place).expanduser()
    if not root.is_dir():
        raise DatasetError(f"{root} is not a directory; give the root of the dataset, as in {layout}:DIRECTORY")
    return module.open_split(root, split)


def other_splits(dataset: Dataset) -> dict[str, Dataset]:
    """The other splits of an opened dataset that can be opened, by name."""
    module = layout_module(dataset.layout)
    root = sample_data() if dataset.layout == "sample" else Path(dataset.spec.partition(":")[2])
    found = {}
    for split in module.splits(root):
        if split != dataset.split:
            with suppress(SegablateError):
                found[split] = open_dataset(dataset.spec, split)
    return found
