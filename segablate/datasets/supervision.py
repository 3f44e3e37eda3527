"""Labels to train from in place of the full ones: scribbles, or the label maps of a folder.

Simulated scribbles are drawn once and kept in the user's cache folder, under a hash of what decides them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from segablate.datasets import layout_module, open_dataset
from segablate.datasets.dataset import Dataset, Item, ItemReader
from segablate.datasets.label_sizes import by
from segablate.datasets.reading import Failure, ahead
from segablate.datasets.sample_files import sample_data
from segablate.datasets.scribbles import Strokes, refuse_unwritable, scribble_of
from segablate.errors import DatasetError, counted, did_you_mean, shorten, unskippable
from segablate.files import cache_folder, is_file, is_folder, user_path
from segablate.images.label_maps import LabelFile, read_label_file, write_label_map
from segablate.images.pictures import Picture, Reading

FULL, SCRIBBLE = "full", "scribble"

SEED = 0
"""Seed of simulated scribbles: they are the data of a training, the same under each of its seeds."""

_FORMAT = 1
"""Changes with the way in which scribbles are drawn."""


@dataclass(frozen=True)
class Supervision:
    """What a network is trained from.

    - `kind`: "full", or what identifies the labels.
    - `notes`: their source, with the share of the labelled pixels that is left; classes that the split does not label.
    """

    kind: str = FULL
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MapsElsewhere:
    """Reads images as another reader does, and label maps from the files of `maps`, by the name of an item."""

    images: ItemReader
    maps: Mapping[str, Path]

    def image(self, item: Item, reading: Reading) -> Picture:
        """Decode the image."""
        return self.images.image(item, reading)

    def labels(self, item: Item, reading: Reading) -> LabelFile:
        """Read the label file."""
        return read_label_file(self.maps[item.name], reading.exif)


def supervised(
    dataset: Dataset, labels: str, workers: int = 0, progress: Callable[[int], None] = lambda images: None
) -> tuple[Dataset, Supervision]:
    """Return a dataset with the labels to train from, and what they are.

    `labels`: "full"; "scribble" for the scribbles that the dataset has as split ``NAME-scribble``, else for simulated
    ones; or a folder of label maps ``NAME.png``, as ``segablate datasets scribble`` writes them. `workers`: processes
    that draw and read. Raises DatasetError for a folder that is missing or incomplete, sizes that differ from those of
    the full label maps, and a class that is labelled in full but has no scribble.
    """
    if labels == FULL:
        return dataset, Supervision()
    given, kind, source = _given(dataset, labels)
    pixels = _count(dataset, given, isinstance(given.source, MapsElsewhere) and labels == SCRIBBLE, workers, progress)
    full, left = pixels  # C each
    names = np.array(dataset.labels.names)
    if lost := names[(full > 0) & (left == 0)].tolist():
        raise DatasetError(
            f"{source}: no scribble of {shorten(map(repr, lost))}, which split {dataset.split!r} labels; draw at least "
            f"one of each class, or train with --labels full"
        )
    notes = [f"trained from {source}: {left.sum() / max(full.sum(), 1) * 100:.1f} % of the labelled pixels are left"]
    if absent := names[full == 0].tolist():
        notes.append(f"classes without a labelled pixel in split {dataset.split!r}: {shorten(absent, 20)}")
    return given, Supervision(kind, tuple(notes))


def _given(dataset: Dataset, labels: str) -> tuple[Dataset, str, str]:
    """Return the dataset with other labels, what identifies them, and where they are from, for messages."""
    if labels != SCRIBBLE:
        folder = _folder(labels)
        return _in_folder(dataset, folder), f"folder {folder.resolve()}", str(folder)
    if own := _own(dataset):
        return own, f"scribbles of split {own.split}", f"the scribbles of split {own.split!r}"
    drawn = ", ".join(f"{name} {value}" for name, value in asdict(Strokes()).items())
    return _simulated(dataset), f"scribbles, simulated: format {_FORMAT}, seed {SEED}, {drawn}", "simulated scribbles"


def _folder(labels: str) -> Path:
    folder = user_path(labels)
    if not labels.strip() or not is_folder(folder):  # an empty path would be the current folder
        near = did_you_mean(labels, (FULL, SCRIBBLE)) if folder.parent == Path() else ""
        near = near if "did you mean" in near else ""
        raise DatasetError(f"--labels is {labels!r}, but must be full, scribble or a folder of label maps{near}")
    return folder


def _in_folder(dataset: Dataset, folder: Path) -> Dataset:
    maps = {name: folder / f"{name}.png" for name in dataset.names}
    if missing := [name for name, path in maps.items() if not is_file(path)]:
        raise DatasetError(
            f"{folder}: no label map for {len(missing)} of {counted(len(maps), 'image')} (first: {missing[0]}.png); "
            f"segablate datasets scribble {dataset.spec} --split {dataset.split} --out FOLDER writes all"
        )
    items = tuple(replace(item, labels=maps[item.name], parts=()) for item in dataset.items)
    return replace(dataset, items=items, source=MapsElsewhere(dataset.source, maps))


def _own(dataset: Dataset) -> Dataset | None:
    """Return the dataset with the scribbles that come with it, where they do."""
    split = f"{dataset.split}-scribble"
    root = sample_data() if dataset.layout == "sample" else user_path(dataset.spec.partition(":")[2])
    if split not in layout_module(dataset.layout).splits(root):
        return None
    found = open_dataset(dataset.spec, split)
    items = {item.name: item for item in found.items}
    if missing := [name for name in dataset.names if name not in items]:
        raise DatasetError(
            f"{dataset.spec}: split {split!r} has no scribbles for {counted(len(missing), 'image')} of split "
            f"{dataset.split!r} (first: {missing[0]}); add them, or train with --labels full"
        )
    return replace(dataset, split=split, items=tuple(items[name] for name in dataset.names), source=found.source)


def _simulated(dataset: Dataset) -> Dataset:
    """Return the dataset with label maps in the cache folder, which :func:`_draw` writes."""
    refuse_unwritable(dataset.labels)
    described = [_FORMAT, SEED, asdict(Strokes()), repr(dataset.labels), dataset.reading.label_size]
    folder = cache_folder() / "scribbles" / _digest(described)
    stamps = [dataset.stamp(index) for index in range(len(dataset))]
    maps = {name: folder / f"{_digest([name, stamp])}.png" for name, stamp in zip(dataset.names, stamps, strict=True)}
    return replace(dataset, source=MapsElsewhere(dataset.source, maps))


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:32]


def _count(
    full: Dataset, given: Dataset, draw: bool, workers: int, progress: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Count the pixels of each class in the full labels and in those given, C each; missing ones are drawn first."""
    total = np.zeros((2, len(full.labels)), np.int64)
    with ahead(partial(_pixels, full, given, draw), range(len(full)), workers) as found:
        for pixels in found:
            if isinstance(pixels, Failure):
                raise unskippable(pixels.error)
            total += pixels
            progress(1)
    return total[0], total[1]


def _pixels(full: Dataset, given: Dataset, draw: bool, index: int) -> np.ndarray:
    """Return the pixels of each class of one item, 2 C; DatasetError where the two label maps differ in size."""
    labels = full.read(index, image=False).labels
    if draw:
        _draw(given, index, labels)
    others = given.read(index, image=False).labels
    if others.shape != labels.shape:
        raise DatasetError(
            f"{given.items[index].labels}: is {by(others.shape)}, but the full label map is {by(labels.shape)}; draw "
            f"scribbles at its size"
        )
    classes = len(full.labels)
    return np.stack([np.bincount(each.ravel(), minlength=classes)[:classes] for each in (labels, others)])


def _draw(dataset: Dataset, index: int, labels: np.ndarray) -> None:
    """Write the scribbles of an item into the cache, unless they are there. Unwritable where that cannot be done."""
    name = dataset.names[index]
    assert isinstance(dataset.source, MapsElsewhere)
    path = dataset.source.maps[name]
    if not is_file(path):
        write_label_map(path, dataset.labels.encode(scribble_of(name, labels, SEED)))
