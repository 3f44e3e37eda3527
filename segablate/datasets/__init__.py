"""Open datasets by layout and directory: ``open_dataset("camvid:/data/camvid", split="val")``.

A dataset specification is ``LAYOUT:DIRECTORY``, or ``sample`` for the data that comes with the package. Each layout is
one file in ``layouts/``.
"""

from contextlib import suppress
from pathlib import Path

from segablate.datasets.catalogue import dataset_layouts, label_set_named, layout_module
from segablate.datasets.dataset import Dataset, Item, ItemReader
from segablate.datasets.layout import Layout, choose_split
from segablate.datasets.pairing import pair_folders
from segablate.datasets.sample_files import sample_data
from segablate.errors import DatasetError, SegablateError, UnknownSplit
from segablate.files import is_file, is_folder, shortened, user_path

__all__ = [
    "Dataset",
    "Item",
    "ItemReader",
    "Layout",
    "choose_split",
    "dataset_layouts",
    "label_set_named",
    "layout_module",
    "open_dataset",
    "other_splits",
    "pair_folders",
]


def open_dataset(spec: str, split: str | None = None) -> Dataset:
    """Open ``LAYOUT:DIRECTORY`` (or ``sample``) at a split; reads lists and directories, but no image.

    Args:
        spec: the layout and the root of the dataset; ``segablate datasets list`` names the layouts.
        split: by default the layout's, mostly "val".

    Returns:
        A dataset of N items: ``read(index)`` returns image (H W 3 uint8) and labels (H W, class indices), ``labels`` is
        its :class:`segablate.LabelSet`, ``names`` those of the images, and ``evenly(n)`` a part of it.

    Raises:
        DatasetError: for an unknown layout, a missing directory or split, images without label maps and an empty split.
        UserCodeError: for a layout of another package that fails.

    Examples:
        >>> import segablate
        >>> dataset = segablate.open_dataset("sample", "val").evenly(3)
        >>> sample = dataset.read(0)
        >>> len(dataset), sample.image.shape[:2] == sample.labels.shape, dataset.labels.names[0]
        (3, True, 'sky')
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
    if split is not None and not split.strip():
        raise UnknownSplit(f"{spec}: split is {split!r}, but must be the name of a split, or None for the default")
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
