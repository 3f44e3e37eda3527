"""Open datasets by layout and directory: ``open_dataset("camvid:/data/camvid", split="val")``.

A dataset specification is ``LAYOUT:DIRECTORY``, or ``sample`` for the data that comes with the package. Each layout is
one file in ``layouts/``.
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
from segablate.files import is_file, is_folder, shortened, user_path
from segablate.labels import LabelSet

__all__ = [
    "Dataset",
    "Item",
    "dataset_layouts",
    "label_set_named",
    "layout_module",
    "open_dataset",
    "other_splits",
]


def dataset_layouts() -> list[str]:
    """Return the names of the layouts, sorted."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(layouts.__path__))


def layout_module(name: str) -> ModuleType:
    """Import the module of a layout, with `LAYOUT`, `splits` and `open_split`.

    Raises DatasetError with the nearest name for an unknown layout.
    """
    if name not in dataset_layouts():
        raise DatasetError(f"no dataset layout is called {name!r}{did_you_mean(name, dataset_layouts())}")
    return import_module(f"segablate.datasets.layouts.{name.replace('-', '_')}")


def open_dataset(spec: str, split: str | None = None) -> Dataset:
    """Open ``LAYOUT:DIRECTORY`` (or ``sample``) at a split, by default the layout's.

    Reads lists and directories, but no image. Raises DatasetError for an unknown layout, a missing directory or split,
    images without label maps and an empty split.
    """
    layout, _, place = spec.partition(":")
    if layout not in dataset_layouts() and is_folder(Path(spec)):
        if any(is_file(Path(spec) / name) for name in ("dataset_dict.json", "state.json")):
            raise DatasetError(f"{spec} was written by save_to_disk of the library datasets; open it as hf:{spec}")
        if any(any(Path(spec).glob(below)) for below in ("*.parquet", "*/*.parquet", "snapshots/*/*/*.parquet")):
            raise DatasetError(
                f"{spec} holds Parquet files, as the Hugging Face hub stores datasets; open it as hf:{spec}"
            )
        raise DatasetError(
            f"no dataset layout is called {layout!r}; open your own images and label maps as folder:{spec}"
        )
    module = layout_module(layout)
    if layout == "sample":
        if place:
            raise DatasetError(f"{spec!r} is no dataset; write sample, of which there is one ({spec} is a checkpoint)")
        return module.open_split(split)
    if not place:
        raise DatasetError(f"dataset {spec!r} names no directory; write {layout}:DIRECTORY")
    root = user_path(place)
    if not is_folder(root):
        raise DatasetError(
            f"{shortened(root)} is not a directory; give the root of the dataset, as in {layout}:DIRECTORY"
        )
    return module.open_split(root, split)


def label_set_named(name: str) -> LabelSet:
    """Return the label set of a published dataset. DatasetError with the nearest name for an unknown one."""
    known = _label_sets()
    found = known.get(name.lower().replace("-", "_"))
    if found is None:
        raise DatasetError(f"no label set is called {name!r}{did_you_mean(name, known)}")
    return found


def _label_sets() -> dict[str, LabelSet]:
    found: dict[str, LabelSet] = {}
    for layout in dataset_layouts():
        own = layout_module(layout).LAYOUT.label_sets
        found |= {labels.name: labels for labels in reversed(own)}
        found |= {layout.replace("-", "_"): own[0]} if own else {}
    return found


def other_splits(dataset: Dataset) -> dict[str, Dataset]:
    """Open the other splits of a dataset, by name; those that cannot be opened are left out."""
    module = layout_module(dataset.layout)
    root = sample_data() if dataset.layout == "sample" else Path(dataset.spec.partition(":")[2])
    found = {}
    for split in module.splits(root):
        if split != dataset.split:
            with suppress(SegablateError):
                found[split] = open_dataset(dataset.spec, split).meeting_at(dataset.reading.label_size)
    return found
