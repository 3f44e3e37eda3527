"""Label maps made of several masks: one or more files for each class and image.

``masks: "{name}_car*.png"`` states the files of a class below the folder of labels: ``{name}`` is the name of an image,
``*`` any characters but a slash. A mask is the class where it has more than half its highest value. Where masks
overlap, the later class counts; pixels in no mask are the one class without masks, or else void.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segablate.datasets.dataset import ImageAndLabelFiles, Item
from segablate.datasets.heaps import LOSSY_SUFFIXES
from segablate.datasets.pairing import folded, names_below, plain_name, refuse_twins, require_folder
from segablate.errors import DatasetError, at
from segablate.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, Unreadable, visible_files
from segablate.images.label_maps import LabelFile, read_label_file
from segablate.images.pictures import Reading
from segablate.labels import LabelSet, single_channel
from segablate.samples import Remark

_NAME = "{name}"
_NOISE = 32
"""Highest value of a JPEG that is a mask without a pixel: compression adds no more to black."""


@dataclass(frozen=True)
class PlaneFiles(ImageAndLabelFiles):
    """Reads the masks of an item as one label map. `codes`: that of each class; `rest`: that of pixels in no mask."""

    codes: tuple[int, ...]
    rest: int

    def labels(self, item: Item, reading: Reading) -> LabelFile:
        """Return the codes, H, W int32; a remark tells that masks of several classes overlap."""
        codes: np.ndarray | None = None
        taken, remarks, data = None, Remark.NONE, b""
        for index, path in item.parts:
            file = read_label_file(path, reading.exif)
            with at(path):
                mask = as_mask(file, path.suffix)
                if codes is None or taken is None:
                    codes, taken = np.full(mask.shape, self.rest, np.int32), np.full(mask.shape, -1, np.int32)
                if mask.shape != codes.shape:
                    raise Unreadable(
                        f"is {_size(mask)}, but {item.labels.name} {_size(codes)}; export both at one size"
                    )
            if (mask & (taken >= 0) & (taken != index)).any():
                remarks |= Remark.OVERLAPPING
            codes[mask], taken[mask] = self.codes[index], index
            data += file.data
            remarks |= file.remarks
        assert codes is not None, "an item without masks is refused before"
        return LabelFile(data, codes, None, remarks)


def as_mask(file: LabelFile, suffix: str) -> np.ndarray:
    """Return where a mask has more than half its highest value, H, W bool. Raises Unreadable for colours."""
    values = single_channel(file.values)
    if values.ndim != 2:
        raise Unreadable("holds colours; expected the mask of one class, grey or black and white")
    highest = int(values.max()) if values.size else 0
    if highest <= 0 or (highest < _NOISE and suffix.lower() in LOSSY_SUFFIXES):
        return np.zeros(values.shape, bool)
    return values > highest / 2


def read_patterns(classes: Sequence[Any]) -> tuple[tuple[str, ...], ...]:
    """Return the patterns of masks for each class of a description; empty where no class has any.

    Raises DatasetError for a malformed pattern, and for two classes without masks.
    """
    found = tuple(_patterns(entry) if isinstance(entry, Mapping) else () for entry in classes)
    if any(found) and sum(not patterns for patterns in found) > 1:
        raise DatasetError("several classes have no masks; one at most is that of all pixels in no mask")
    return found if any(found) else ()


def _patterns(entry: Mapping[str, Any]) -> tuple[str, ...]:
    value = entry.get("masks")
    patterns = () if value is None else tuple(value) if isinstance(value, list) else (value,)
    for pattern in patterns:
        if not isinstance(pattern, str) or pattern.count(_NAME) != 1 or not Path(pattern).suffix:
            raise DatasetError(
                f"masks of class {entry.get('name')!r} is {pattern!r}, but must be file names with {{name}}, as in "
                f'"{{name}}_car*.png"'
            )
    return patterns


def pair_planes(
    images: Path, labels: Path, image_suffix: str, patterns: Sequence[Sequence[str]]
) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Pair the images below one folder with their masks below another; `patterns`: those of each class.

    An item without masks has a label file that does not exist. Raises DatasetError as
    :func:`segablate.datasets.pairing.pair_folders`, but for images without masks.
    """
    for folder, what in ((images, "images"), (labels, "label maps")):
        require_folder(folder, what)
    masks = _by_name(labels, patterns)
    found = {path for parts in masks.values() for _, path in parts}
    names = {
        path: name
        for path in visible_files(images, IMAGE_SUFFIXES)
        if path not in found
        for name in names_below(path, images, (image_suffix,))
        if name is not None
    }
    expected = next(pattern for each in patterns for pattern in each)
    items = []
    for path, name in names.items():
        parts = tuple(sorted(masks.get(plain_name(name), ())))
        first = parts[0][1] if parts else labels / expected.replace(_NAME, name).replace("*", "")
        items.append(Item(name, path, first, parts))
    refuse_twins(items, images)
    return tuple(items), ()


def _by_name(folder: Path, patterns: Sequence[Sequence[str]]) -> dict[str, list[tuple[int, Path]]]:
    """Return the masks below a folder, with the index of their class, by the name of their image."""
    compiled = [(index, _compiled(pattern)) for index, each in enumerate(patterns) for pattern in each]
    found: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for path in visible_files(folder, tuple({*LABEL_SUFFIXES, *IMAGE_SUFFIXES})):
        below = folded(path.relative_to(folder).as_posix())
        for index, pattern in compiled:
            if match := pattern.fullmatch(below):
                found[plain_name(match["name"])].append((index, path))
                break
    return found


def _compiled(pattern: str) -> re.Pattern:
    head, _, tail = folded(pattern).partition(_NAME)
    before, after = (re.escape(part).replace(r"\*", "[^/]*") for part in (head, tail))
    return re.compile(f"{before}(?P<name>.+?){after}")


def planes_of(labels: LabelSet, patterns: Sequence[Sequence[str]]) -> PlaneFiles:
    """Return the reader of masks for a label set."""
    without = [index for index, each in enumerate(patterns) if not each]
    codes = tuple(codes[0] for codes in labels.codes)
    if not without and labels.void == ():
        raise DatasetError("pixels in no mask are void, but void is []; state void: [255], or a class without masks")
    return PlaneFiles(codes, codes[without[0]] if without else labels.stored_void)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
