"""A split of a dataset: its image and label files, and the label set that decodes them."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from segablate.errors import DatasetError, at, counted, did_you_mean, shorten
from segablate.files import ARRAY_SUFFIXES, checked_bytes, decode_label_map, read_image, read_label_map
from segablate.labels import LabelSet
from segablate.samples import Sample


@dataclass(frozen=True)
class Item:
    """An image file and its label file. `name` is unique in the split: the path of the image without suffixes."""

    name: str
    image: Path
    labels: Path


class ItemReader(Protocol):
    """Reads the pixels of an item; a layout that stores them other than in one image and one label file has its own."""

    def image(self, item: Item) -> np.ndarray:
        """Return the image, H, W, 3 uint8 RGB."""
        ...

    def labels(self, item: Item) -> tuple[bytes, np.ndarray]:
        """Return the stored bytes, for a hash, and the codes: H, W integer, or H, W, 3 RGB for colours."""
        ...


@dataclass(frozen=True)
class ImageAndLabelFiles:
    """Reads one image file and one label file for each item."""

    def image(self, item: Item) -> np.ndarray:
        """Decode the image file as H, W, 3 uint8 RGB."""
        return read_image(item.image)

    def labels(self, item: Item) -> tuple[bytes, np.ndarray]:
        """Return the bytes of the label file and its codes."""
        data = checked_bytes(item.labels)
        array = item.labels.suffix.lower() in ARRAY_SUFFIXES
        return data.tobytes(), read_label_map(item.labels) if array else decode_label_map(data, item.labels)


@dataclass(frozen=True)
class LabelFiles(ImageAndLabelFiles):
    """Reads label files without images."""

    def image(self, item: Item) -> np.ndarray:
        """Raise DatasetError: a network needs images."""
        raise DatasetError(
            f"{item.labels}: has no image, which a network needs; add the folder of images to the split in dataset.yaml"
        )


@dataclass(frozen=True)
class Dataset:
    """A split whose items are read by index; picklable, so that worker processes can read it.

    - `spec`: the specification given by the user; `layout`, `split`: what was opened.
    - `notes`: facts that matter for the numbers (a subset, files that were left out).
    - `source`: reads image and codes from the files of an item.
    """

    spec: str
    layout: str
    split: str
    labels: LabelSet
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()
    source: ItemReader = ImageAndLabelFiles()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the items, in order."""
        return tuple(item.name for item in self.items)

    def read(self, index: int, *, image: bool = True) -> Sample:
        """Decode one item, without its image if `image` is false. Raises a SegablateError that names the file."""
        item = self.items[index]
        data, raw = self.source.labels(item)
        with at(item.labels if item.labels != item.image else f"{item.labels}, {item.name}"):
            indices = self.labels.decode(raw)
        pixels = self.source.image(item) if image else None
        if pixels is not None and pixels.shape[:2] != indices.shape:
            raise DatasetError(
                f"{item.labels}: the label map is {_size(indices)}, but its image {item.image.name} is {_size(pixels)}"
                f"; export both at one size"
            )
        return Sample(index, item.name, pixels, indices, hashlib.sha256(data).hexdigest()[:16])

    def stamp(self, index: int, *, image: bool = True) -> str:
        """Return 16 hexadecimal digits that change with the path, size or times of an item's files; no file is read.

        Empty for an item without files.
        """
        item = self.items[index]
        paths = [item.labels, item.image] if image else [item.labels]
        try:
            found = [(path.stat(), os.path.abspath(path)) for path in paths]
        except OSError:
            return ""
        entries = [(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for stat, path in found]
        return hashlib.sha256(repr(entries).encode()).hexdigest()[:16]

    def evenly(self, limit: int) -> "Dataset":
        """Return the dataset with `limit` items, evenly spaced over the split from the first on."""
        if limit >= len(self):
            return self
        chosen = [index * len(self) // limit for index in range(limit)]
        note = f"--limit: {limit} of {len(self)} images, evenly spaced"
        return replace(self, items=tuple(self.items[index] for index in chosen), notes=(*self.notes, note))

    def only(self, names: Sequence[str], source: str) -> "Dataset":
        """Return the dataset with the items of these names, in the split's order; `source` names the list.

        Raises DatasetError for a name that is not in the split.
        """
        known = set(self.names)
        missing = [name for name in names if name not in known]
        if missing:
            near = did_you_mean(missing[0], known) if len(missing) == 1 else ""
            raise DatasetError(
                f"{source}: {counted(len(missing), 'name')} not in split {self.split!r} of {self.spec} "
                f"(first: {shorten(missing)}){near}"
            )
        wanted = set(names)
        note = f"--images: {len(wanted)} of {len(self)} images"
        items = tuple(item for item in self.items if item.name in wanted)
        return replace(self, items=items, notes=(*self.notes, note))


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
