"""A first ``dataset.yaml``, by looking: which folders hold images and masks, how they pair, what codes are in use."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from pathlib import Path

import numpy as np

from segablate.datasets.dataset import Item
from segablate.datasets.description import read_description, read_label_set
from segablate.datasets.pairing import label_maps_alone, pair_folders
from segablate.datasets.survey import count_codes
from segablate.errors import DatasetError, SegablateError
from segablate.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, read_label_map, visible_files, write_atomically
from segablate.labels import IGNORE, Colour, Encoding

_MASK_WORDS = ("label", "annot", "gt", "truth", "manual", "seg", "mask")  # the first words count more
_SPLIT = re.compile(r"(?<![a-z])(train|val|test|dev)[a-z]*", re.IGNORECASE)
_MOST_CODES = 256
_LOOKED_AT = 400


@dataclass(frozen=True)
class Split:
    """Two folders that pair: every image, without its suffix, has a mask. Or masks without images."""

    name: str
    images: Path | None
    masks: Path
    image_suffix: str
    label_suffix: str
    items: tuple[Item, ...]


def draft(folder: Path) -> tuple[Path, str]:
    """Write ``dataset.yaml`` into `folder`; returns its path and what was found, in one line.

    Raises DatasetError when there is such a file, or nothing that pairs.
    """
    path = folder / "dataset.yaml"
    if path.exists():
        raise DatasetError(f"{path} exists already; move it away, or correct it by hand")
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a directory; give the folder that holds images and masks")
    splits = _find_splits(folder)
    masks = [item.labels for split in splits for item in split.items]
    chosen = masks[:: -(-len(masks) // _LOOKED_AT)]
    codes, encoding = _codes_in_use(chosen)
    write_atomically(path, _description(folder, splits, codes, encoding))
    read_label_set(read_description(path), folder.name)
    found = ", ".join(
        f"{len(split.items)} {'pairs' if split.images else 'masks without images'} in {split.name}" for split in splits
    )
    looked_at = "" if len(chosen) == len(masks) else f" looked at ({len(chosen)} of {len(masks)})"
    return path, f"{found}; {len(codes)} {encoding} in the masks{looked_at}"


def _find_splits(folder: Path) -> list[Split]:
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in visible_files(folder, tuple({*IMAGE_SUFFIXES, *LABEL_SUFFIXES})):
        groups[path.parent, path.suffix].append(path)
    masks = [key for key in groups if _rank(key[0], folder) < len(_MASK_WORDS)]
    masks = masks or [key for key in groups if _looks_like_masks(groups[key][0])]
    found: dict[str, list[Split]] = defaultdict(list)
    for key in groups:
        if key not in masks and key[1].lower() in IMAGE_SUFFIXES:
            likely = sorted(masks, key=lambda other: (_rank(other[0], folder), -_likeness(key[0], other[0])))
            pairs = (_pair(key[0], groups[key], other[0], groups[other]) for other in likely)
            split = next(filter(None, pairs), None)
            if split:
                found[split.name].append(split)
    splits = _of_one_suffix([joined for parts in found.values() if (joined := _joined(parts))])
    splits = splits or _of_one_suffix([_alone(*key) for key in masks])
    if not splits:
        raise DatasetError(
            f"{folder}: no folder of images pairs with a folder of masks; give both the same base names, as in "
            f"images/val/a.jpg and labels/val/a.png"
        )
    return splits


def _rank(folder: Path, root: Path) -> int:
    """How well the name of a folder says that it holds masks, 0 the best; the number of words: not at all."""
    name = folder.relative_to(root).as_posix().lower()
    return next((place for place, word in enumerate(_MASK_WORDS) if word in name), len(_MASK_WORDS))


def _likeness(images: Path, masks: Path) -> float:
    """How alike two paths are, 0..1: cities and splits have folders of one name."""
    return SequenceMatcher(None, images.as_posix(), masks.as_posix(), autojunk=False).ratio()


def _looks_like_masks(path: Path) -> bool:
    try:
        values = read_label_map(path)
    except SegablateError:
        return False
    return values.ndim == 2 and len(count_codes(values)) <= _MOST_CODES // 4


def _pair(images: Path, pictures: Sequence[Path], masks: Path, labels: Sequence[Path]) -> Split | None:
    """The split that two folders make, if every image has a mask: by stem, else by what all names end in."""
    endings = [(pictures[0].suffix, labels[0].suffix), (_ending(pictures), _ending(labels))]
    for image_suffix, label_suffix in endings:
        names = {path.name.removesuffix(image_suffix) for path in pictures}
        if names <= {path.name.removesuffix(label_suffix) for path in labels}:
            try:
                items, _ = pair_folders(images, masks, image_suffix=image_suffix, label_suffix=label_suffix)
            except DatasetError:
                continue
            word = _SPLIT.search(images.name) or _SPLIT.search(images.parent.name)
            return Split(word[0].lower() if word else "all", images, masks, image_suffix, label_suffix, items)
    return None


def _alone(masks: Path, suffix: str) -> Split:
    items, _ = label_maps_alone(masks, label_suffix=suffix)
    word = _SPLIT.search(masks.name)
    return Split(word[0].lower() if word else "all", None, masks, "", suffix, items)


def _ending(paths: Iterable[Path]) -> str:
    """What all names end in, from its first separator on: ``_training.tif``."""
    letters = zip(*(reversed(path.name) for path in paths), strict=False)
    common = "".join(found[0] for found in takewhile(lambda found: len(set(found)) == 1, letters))[::-1]
    start = re.search(r"[_.\-]", common)
    return common[start.start() :] if start else common


def _joined(parts: Sequence[Split]) -> Split | None:
    """Folders of one split, such as one for each city, under the folder that holds them all."""
    if len(parts) == 1:
        return parts[0]
    images, masks = (
        Path(os.path.commonpath(paths)) for paths in zip(*((p.images, p.masks) for p in parts), strict=True)
    )
    first = parts[0]
    try:
        items, _ = pair_folders(images, masks, image_suffix=first.image_suffix, label_suffix=first.label_suffix)
    except DatasetError:
        return first
    return Split(first.name, images, masks, first.image_suffix, first.label_suffix, items)


def _of_one_suffix(splits: list[Split]) -> list[Split]:
    """The splits whose label maps end like those of the largest: a description has one suffix for all."""
    if not splits:
        return []
    largest = max(splits, key=lambda split: len(split.items))
    plain = {split.image_suffix for split in splits} <= set(IMAGE_SUFFIXES)
    return [
        split
        for split in splits
        if split.label_suffix == largest.label_suffix and (plain or split.image_suffix == largest.image_suffix)
    ]


def _codes_in_use(masks: Sequence[Path]) -> tuple[list[int], Encoding]:
    """The codes in these masks, ascending; and whether they are codes or colours."""
    found: set[int] = set()
    encodings: set[Encoding] = set()
    for path in masks:
        values = read_label_map(path)
        if values.ndim == 3:
            values = values.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
            encodings.add("colours")
        else:
            encodings.add("codes")
        found |= set(count_codes(values))
        if len(found) > _MOST_CODES:
            raise DatasetError(f"{path}: more than {_MOST_CODES} different values up to here; is it a mask?")
    if len(encodings) > 1:
        raise DatasetError(f"{masks[0].parent}: some masks hold codes and some colours; save them all alike")
    return sorted(found), encodings.pop()


def _classes(codes: Sequence[int], encoding: Encoding, mask: Path) -> Iterator[str]:
    """One line of YAML for each code that is a class."""
    palette = _palette(mask) if encoding == "codes" else {}
    for index, code in enumerate(code for code in codes if code not in _void(codes, encoding)):
        number = code if encoding == "codes" else index
        name = ("background", "foreground")[index] if len(codes) == 2 else f"class_{number}"
        if encoding == "colours":
            yield f"{{name: {name}, colour: [{code >> 16}, {code >> 8 & 255}, {code & 255}]}}"
        else:
            colour = f", colour: {list(palette[code])}" if code in palette else ""
            yield f"{{name: {name}, code: {code}{colour}}}"


def _description(folder: Path, splits: Sequence[Split], codes: Sequence[int], encoding: Encoding) -> str:
    """The text of the file."""
    classes = _classes(codes, encoding, splits[0].items[0].labels)
    default = next((split.name for name in ("val", "test") for split in splits if split.name.startswith(name)), None)
    suffixes = {split.image_suffix for split in splits}
    lines = [
        "# Written by looking: name the classes, correct what is wrong. `segablate datasets show folder` has all keys.",
        f"name: {json.dumps(folder.resolve().name)}",
        "classes: # the order gives the class index",
        *(f"  - {line}" for line in classes),
        f"void: {_void(codes, encoding)} # without a label",
        f"encoding: {encoding}",
        "splits:",
        *(f"  {split.name}: {{{_images(split, folder)}labels: {_place(split.masks, folder)}}}" for split in splits),
        f"default_split: {default or splits[0].name}",
        *(f"image_suffix: {suffix}" for suffix in suffixes if suffix and len(suffixes) == 1),
        f"label_suffix: {splits[0].label_suffix}",
    ]
    return "\n".join(lines) + "\n"


def _images(split: Split, root: Path) -> str:
    return f"images: {_place(split.images, root)}, " if split.images else ""


def _place(folder: Path, root: Path) -> str:
    return json.dumps(folder.relative_to(root).as_posix())


def _void(codes: Sequence[int], encoding: Encoding) -> list[int]:
    return [IGNORE] if encoding == "codes" and IGNORE in codes and len(codes) > 2 else []


def _palette(mask: Path) -> dict[int, Colour]:
    """The colours of a palette image, by code; empty for other files."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(mask) as picture:
            flat = picture.getpalette() if picture.mode == "P" else None
    except (UnidentifiedImageError, OSError):
        return {}
    return (
        {code: (flat[3 * code], flat[3 * code + 1], flat[3 * code + 2]) for code in range(len(flat) // 3)}
        if flat
        else {}
    )
