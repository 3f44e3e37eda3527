"""A split of a dataset: its image and label files, and the label set that decodes them."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from segablate.datasets.label_sizes import alike, nearest, refuse_sizes
from segablate.datasets.lists import find_listed
from segablate.datasets.palettes import Reference, agreed, check_class_colours
from segablate.errors import DatasetError, SegablateError, at, counted, did_you_mean, shorten, thousands
from segablate.files import Unreadable
from segablate.images.label_maps import LabelFile, read_label_file
from segablate.images.pictures import LabelSize, Orientation, Picture, Reading, read_picture
from segablate.labels import LabelSet
from segablate.samples import Remark, Sample


def evenly_spaced(count: int, limit: int) -> list[int]:
    """Return `limit` indices of `count` items, evenly spaced from the first on; all where there are no more."""
    limit = min(limit, count)
    return [index * count // limit for index in range(limit)]


@dataclass(frozen=True, slots=True)
class Item:
    """An image file and its label file. `name` is unique in the split: the path of the image without suffixes.

    `parts`: where several masks make the label map, the index of the class and the file of each; `labels` is the first.
    """

    name: str
    image: Path
    labels: Path
    parts: tuple[tuple[int, Path], ...] = ()

    @property
    def label_files(self) -> tuple[Path, ...]:
        """Return all files of the label map."""
        return tuple(path for _, path in self.parts) or (self.labels,)


class ItemReader(Protocol):
    """Reads the pixels of an item; a layout that stores them other than in one image and one label file has its own."""

    def image(self, item: Item, reading: Reading) -> Picture:
        """Decode the image."""
        ...

    def labels(self, item: Item, reading: Reading) -> LabelFile:
        """Read the label map."""
        ...


@dataclass(frozen=True)
class ImageAndLabelFiles:
    """Reads one image file and one label file for each item."""

    def image(self, item: Item, reading: Reading) -> Picture:
        """Decode the image file."""
        return read_picture(item.image, reading)

    def labels(self, item: Item, reading: Reading) -> LabelFile:
        """Read the label file."""
        return read_label_file(item.labels, reading.exif)


@dataclass(frozen=True)
class LabelFiles(ImageAndLabelFiles):
    """Reads label files without images."""

    def image(self, item: Item, reading: Reading) -> Picture:
        """Raise DatasetError: a network needs images."""
        raise DatasetError(
            f"{item.labels}: has no image, which a network needs; add the folder of images to the split in dataset.yaml"
        )


@dataclass(frozen=True)
class Stored:
    """An item as stored.

    - `codes`: H, W integers, colours packed.
    - `pixels`: H, W, 3 uint8 RGB, upright; None where not read.
    - `remarks`: choices made in reading.
    """

    codes: np.ndarray
    pixels: np.ndarray | None
    remarks: Remark


@dataclass(frozen=True)
class Dataset:
    """A split whose items are read by index; picklable, so that worker processes can read it.

    - `spec`: the specification given by the user; `layout`, `split`: what was opened.
    - `notes`: facts that matter for the numbers (a subset, files that were left out).
    - `source`: reads image and codes from the files of an item; `reading`: how, where files leave a choice.
    """

    spec: str
    layout: str
    split: str
    labels: LabelSet
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()
    source: ItemReader = ImageAndLabelFiles()
    reading: Reading = field(default_factory=Reading)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def described(self) -> bool:
        """Return whether a dataset.yaml can state how its files are read."""
        return self.layout in ("folder", "hf")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the items, in order."""
        return tuple(item.name for item in self.items)

    def read(self, index: int, *, image: bool = True) -> Sample:
        """Decode one item, without its image if `image` is false. Raises a SegablateError that names the file.

        Where image and label map differ in size, the labels come at the size at which both meet.
        """
        item = self.items[index]
        label_hash, indices, remarks = self._read_labels(item)
        needed = image or (self.reading.label_size == "image" and not isinstance(self.source, LabelFiles))
        pixels, others = self._read_image(item, indices.shape) if needed else (None, Remark.NONE)
        if pixels is not None and pixels.shape[:2] != indices.shape:
            with at(_where(item)):
                refuse_sizes(pixels.shape[:2], indices.shape, self.reading.label_size, item.image.name)
            if self.reading.label_size == "image":
                indices, others = nearest(indices, pixels.shape[:2]), others | Remark.LABELS_RESIZED
            else:
                others |= Remark.SCORES_RESIZED
        return Sample(index, item.name, pixels if image else None, indices, label_hash, remarks | others)

    def meeting_at(self, label_size: LabelSize | None) -> "Dataset":
        """Return the dataset with label maps and images meeting at this size; unchanged for None."""
        return self if label_size is None else replace(self, reading=replace(self.reading, label_size=label_size))

    def with_bands(self, bands: int) -> "Dataset":
        """Return the dataset with images of this many bands: 3, or 4 with alpha or near infrared."""
        return self if bands == self.reading.bands else replace(self, reading=replace(self.reading, bands=bands))

    def stored(self, index: int, *, image: bool = True) -> "Stored":
        """Return the pixels and codes of one item, whatever their size and codes. Raises as :meth:`read`."""
        item = self.items[index]
        _, codes, remarks = self._read_codes(item)
        pixels, others = self._read_image(item, codes.shape) if image else (None, Remark.NONE)
        return Stored(codes, pixels, remarks | others)

    def _read_labels(self, item: Item) -> tuple[str, np.ndarray, Remark]:
        """Return hash and class indices of a label file; its bytes are freed before the image is read."""
        file, codes, remarks = self._read_codes(item)
        with at(_where(item)):
            return hashlib.sha256(file.data).hexdigest()[:16], self.labels.decode_codes(codes), remarks

    def _read_codes(self, item: Item) -> tuple[LabelFile, np.ndarray, Remark]:
        file = self.source.labels(item, self.reading)
        with at(_where(item)):
            codes = self.labels.as_codes(file.coloured() if self.labels.encoding == "colours" else file.values)
            return file, codes, file.remarks | self._palette_remarks(file, codes)

    def _read_image(self, item: Item, size: Sequence[int]) -> tuple[np.ndarray, Remark]:
        picture = self.source.image(item, self.reading)
        if picture.pixels.shape[-1] < self.reading.bands:
            raise Unreadable(
                f"{item.image}: has no band 4, which the network is to take; state --channels of the bands it has, or "
                f"give images of {self.reading.bands} bands"
            )
        pixels, turned = oriented(picture, size, self.reading.exif)
        return pixels, picture.remarks | turned

    def _palette_remarks(self, file: LabelFile, codes: np.ndarray) -> Remark:
        """Check the palette of a label file against that of the others, and the user's class colours."""
        if file.palette is None or self.labels.encoding == "colours" or self.reading.palettes == "ignore":
            return Remark.NONE
        if self._reference is not None:
            self._reference.check(file.palette, codes)
        if self.reading.palettes == "classes" and not check_class_colours(file.palette, self.labels):
            return Remark.OTHER_COLOURS
        return Remark.NONE

    @cached_property
    def _reference(self) -> Reference | None:
        """The palette that all must agree with, of the first three label maps; None where the first has none."""
        found: list[Reference] = []
        for item in self.items[:8]:
            with suppress(SegablateError):
                palette = self.source.labels(item, self.reading).palette
                if palette is not None:
                    found.append(Reference(palette, _where(item)))
                if not found or len(found) == 3:
                    break
        return agreed(found) if found else None

    def __getstate__(self) -> dict[str, object]:
        """Return the fields alone: worker processes read the reference themselves."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def stamp(self, index: int, *, image: bool = True) -> str:
        """Return 16 hexadecimal digits that change with the path, size or times of an item's files; no file is read.

        Empty for an item without files.
        """
        item = self.items[index]
        paths = [*item.label_files, *([item.image] if image else [])]
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
        chosen = evenly_spaced(len(self), limit)
        note = f"--limit: {thousands(limit)} of {counted(len(self), 'image')}, evenly spaced"
        return replace(self, items=tuple(self.items[index] for index in chosen), notes=(*self.notes, note))

    def only(self, lines: Sequence[str], source: str) -> "Dataset":
        """Return the dataset with the items in the lines of a list, in the split's order; `source` names the list.

        Raises DatasetError for a line that names no item; see :func:`segablate.datasets.lists.find_listed`.
        """
        found = find_listed(lines, self.names)
        if found.absent:
            near = did_you_mean(found.absent[0], self.names) if len(found.absent) == 1 else ""
            raise DatasetError(
                f"{source}: {counted(len(found.absent), 'name')} not in split {self.split!r} of {self.spec} "
                f"(first: {shorten(found.absent)}){near}"
            )
        if not found.names:
            raise DatasetError(f"{source}: names no image; a list has one name per line")
        chosen = set(found.names)
        items = tuple(item for item in self.items if item.name in chosen)
        note = f"--images: {thousands(len(items))} of {counted(len(self), 'image')}"
        return replace(self, items=items, notes=(*self.notes, note, *found.notes("--images")))


def oriented(picture: Picture, size: Sequence[int], exif: Orientation | None) -> tuple[np.ndarray, Remark]:
    """Return the pixels of a picture upright, or as stored where `exif` or the size of the label map says so."""
    if picture.orientation == 1:
        return picture.pixels, Remark.NONE
    turned = picture.turned() if exif != "ignore" else None
    if turned is not None and (exif == "apply" or _fits(turned, picture.pixels, size)):
        return turned, Remark.TURNED
    return picture.pixels, Remark.NOT_TURNED


def _where(item: Item) -> str:
    """Return the place of an item's label map for a message: its file, and its name if that is in the file."""
    return str(item.labels) if item.labels != item.image else f"{item.labels}, {item.name}"


def _fits(turned: np.ndarray, stored: np.ndarray, size: Sequence[int]) -> bool:
    """Tell whether a label map of this size is that of the turned image, by its proportions if neither has the size."""
    if turned.shape[:2] == tuple(size) or stored.shape[:2] == tuple(size):
        return turned.shape[:2] == tuple(size)
    return alike(turned.shape[:2], size)
