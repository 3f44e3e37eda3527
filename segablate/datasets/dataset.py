"""A split of a dataset: names, image files, label files, and the label set that decodes them."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from segablate.errors import DatasetError, at, did_you_mean, shorten
from segablate.files import ARRAY_SUFFIXES, checked_bytes, decode_label_map, read_image, read_label_map
from segablate.labels import LabelSet
from segablate.samples import Sample


@dataclass(frozen=True)
class Item:
    """One image and its label file. `name` is unique in the split: the path of the image without suffixes."""

    name: str
    image: Path
    labels: Path


class ItemReader(Protocol):
    """How the pixels of an item are read. A layout whose files are not an image and a label map each has its own."""

    def image(self, item: Item) -> np.ndarray:
        """H, W, 3 uint8 RGB."""
        ...

    def labels(self, item: Item) -> tuple[bytes, np.ndarray]:
        """The stored bytes, for a hash, and the codes: H, W integer, or H, W, 3 RGB for colours."""
        ...


@dataclass(frozen=True)
class ImageAndLabelFiles:
    """One image file and one label file for each item."""

    def image(self, item: Item) -> np.ndarray:
        """The image file, decoded."""
        return read_image(item.image)

    def labels(self, item: Item) -> tuple[bytes, np.ndarray]:
        """The label file and its values."""
        data = checked_bytes(item.labels)
        array = item.labels.suffix.lower() in ARRAY_SUFFIXES
        return data.tobytes(), read_label_map(item.labels) if array else decode_label_map(data, item.labels)


@dataclass(frozen=True)
class LabelFiles(ImageAndLabelFiles):
    """Label files without images."""

    def image(self, item: Item) -> np.ndarray:
        """DatasetError: there is none."""
        raise DatasetError(
            f"{item.labels}: there is no image beside this label map; a network needs images, name their folder in "
            f"dataset.yaml"
        )


@dataclass(frozen=True)
class Dataset:
    """A split that can be read by index. It is picklable, so that worker processes can read it.

    - `spec`: what the user wrote; `layout`, `split`: what was opened.
    - `notes`: what a reader of the numbers should know (a subset, files that were left out).
    - `source`: how the files of an item become an image and codes.
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
        """Names of the images, in order."""
        return tuple(item.name for item in self.items)

    def read(self, index: int, *, image: bool = True) -> Sample:
        """Decode one item. Raises a SegablateError that names the file."""
        item = self.items[index]
        data, raw = self.source.labels(item)
        with at(item.labels if item.labels != item.image else f"{item.labels}, {item.name}"):
            indices = self.labels.decode(raw)
        pixels = self.source.image(item) if image else None
        if pixels is not None and pixels.shape[:2] != indices.shape:
            raise DatasetError(
                f"{item.labels}: the label map is {_size(indices)} but its image {item.image.name} is {_size(pixels)}; "
                f"they must have one size"
            )
        return Sample(index, item.name, pixels, indices, hashlib.sha256(data).hexdigest()[:16])

    def stamp(self, index: int, *, image: bool = True) -> str:
        """16 hexadecimal digits that change when a file of an item does, by place, size and times; nothing is read.

        Empty for an item that does not lie in files.
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
        """`limit` items, evenly spaced over the split, the first among them."""
        if limit >= len(self):
            return self
        chosen = [index * len(self) // limit for index in range(limit)]
        note = f"--limit: {limit} of {len(self)} images, evenly spaced"
        return replace(self, items=tuple(self.items[index] for index in chosen), notes=(*self.notes, note))

    def only(self, names: Sequence[str], source: str) -> "Dataset":
        """The items of these names, in the split's order. DatasetError when a name is not in the split."""
        known = set(self.names)
        missing = [name for name in names if name not in known]
        if missing:
            near = did_you_mean(missing[0], known) if len(missing) == 1 else ""
            raise DatasetError(f"{source} names {shorten(missing)}, not in split {self.split!r} of {self.spec}{near}")
        wanted = set(names)
        note = f"--images: {len(wanted)} of {len(self)} images"
        items = tuple(item for item in self.items if item.name in wanted)
        return replace(self, items=items, notes=(*self.notes, note))


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
