"""Find which folders hold images and label maps, how they pair, and which splits they are."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from pathlib import Path

from segablate.datasets.dataset import Item
from segablate.datasets.pairing import folded, label_maps_alone, names_below, pair_folders, usual_suffix
from segablate.datasets.survey import count_codes
from segablate.errors import DatasetError, SegablateError
from segablate.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, visible_files
from segablate.images.label_maps import read_label_map

MOST_CODES, MOST_WIDE_CODES = 256, 1024
"""More values than this in label maps are no codes."""

_MASK_WORDS = ("label", "annot", "gt", "truth", "manual", "seg", "mask")  # the first words count more
_SPLIT = re.compile(r"(?<![a-z])(train|val|test|dev)[a-z]*", re.IGNORECASE)


@dataclass(frozen=True)
class Split:
    """Two folders in which every image has a label map of the same name up to the suffix, or label maps alone."""

    name: str
    images: Path | None
    masks: Path
    image_suffix: str
    label_suffix: str
    items: tuple[Item, ...]


def find_splits(folder: Path) -> list[Split]:
    """Return the splits below a folder, as their names and files suggest. Raises DatasetError when nothing pairs."""
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in visible_files(folder, tuple({*IMAGE_SUFFIXES, *LABEL_SUFFIXES})):
        groups[path.parent, usual_suffix(path.suffix)].append(path)
    masks = [key for key in groups if _rank(key[0], folder) < len(_MASK_WORDS)]
    masks = masks or [key for key in groups if _looks_like_masks(groups[key][0])]
    found: dict[str, list[Split]] = defaultdict(list)
    for key in groups:
        if key not in masks and key[1] in IMAGE_SUFFIXES:
            likely = sorted(masks, key=lambda other: (_rank(other[0], folder), -_likeness(key[0], other[0])))
            pairs = (_pair(key[0], groups[key], other[0], groups[other]) for other in likely)
            split = next(filter(None, pairs), None)
            if split:
                found[split.name].append(split)
    splits = _of_one_suffix([joined for parts in found.values() if (joined := _joined(parts))])
    splits = splits or _of_one_suffix([_alone(*key) for key in masks])
    if not splits:
        raise DatasetError(
            f"{folder}: no folder of images pairs with a folder of label maps; use the same base names in both, as in "
            f"images/val/a.jpg and labels/val/a.png"
        )
    return splits


def _rank(folder: Path, root: Path) -> int:
    """Rank a folder by the word for masks in its path: 0 is the best, ``len(_MASK_WORDS)`` means no such word."""
    name = folder.relative_to(root).as_posix().lower()
    return next((place for place, word in enumerate(_MASK_WORDS) if word in name), len(_MASK_WORDS))


def _likeness(images: Path, masks: Path) -> float:
    """Return how alike two paths are, 0..1: folders of one city or split have one name."""
    return SequenceMatcher(None, images.as_posix(), masks.as_posix(), autojunk=False).ratio()


def _looks_like_masks(path: Path) -> bool:
    try:
        values = read_label_map(path)
    except SegablateError:
        return False
    return values.ndim == 2 and len(count_codes(values)) <= MOST_CODES // 4


def _pair(images: Path, pictures: Sequence[Path], masks: Path, labels: Sequence[Path]) -> Split | None:
    """Return the split of two folders if every image has a label map, by stem or else without the common endings."""
    plain = (usual_suffix(pictures[0].suffix), usual_suffix(labels[0].suffix))
    for image_suffix, label_suffix in (plain, (_ending(pictures), _ending(labels))):
        names = {name for path in pictures for name in names_below(path, images, (image_suffix,))}
        if names <= {name for path in labels for name in names_below(path, masks, (label_suffix,))}:
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
    """Return the common ending of all names from its first separator on, as in ``_training.tif``."""
    letters = zip(*(reversed(folded(path.name)) for path in paths), strict=False)
    common = "".join(found[0] for found in takewhile(lambda found: len(set(found)) == 1, letters))[::-1]
    start = re.search(r"[_.\-]", common)
    return common[start.start() :] if start else common


def _joined(parts: Sequence[Split]) -> Split | None:
    """Join the folders of one split, such as one for each city, into the folder above them."""
    if len(parts) == 1:
        return parts[0]
    images, masks = (
        Path(os.path.commonpath(paths)) for paths in zip(*((p.images, p.masks) for p in parts), strict=True)
    )
    first = parts[0]
    suffixes = {part.image_suffix for part in parts}
    suffix = "" if len(suffixes) > 1 and suffixes <= set(IMAGE_SUFFIXES) and images != masks else first.image_suffix
    try:
        items, _ = pair_folders(images, masks, image_suffix=suffix, label_suffix=first.label_suffix)
    except DatasetError:
        return first
    return Split(first.name, images, masks, suffix, first.label_suffix, items)


def _of_one_suffix(splits: list[Split]) -> list[Split]:
    """Keep the splits with the suffixes of the largest: a description has one suffix for all splits."""
    if not splits:
        return []
    largest = max(splits, key=lambda split: len(split.items))
    plain = {split.image_suffix for split in splits} <= {"", *IMAGE_SUFFIXES}
    return [
        split
        for split in splits
        if split.label_suffix == largest.label_suffix and (plain or split.image_suffix == largest.image_suffix)
    ]
