"""Generate a first ``dataset.yaml`` by inspecting a folder: images, label maps, how they pair, and codes in use."""

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
from segablate.datasets.pairing import folded, label_maps_alone, names_below, pair_folders, usual_suffix
from segablate.datasets.survey import count_codes
from segablate.errors import DatasetError, SegablateError, counted
from segablate.files import (
    IMAGE_SUFFIXES,
    LABEL_SUFFIXES,
    is_folder,
    shortened,
    visible_files,
    write_atomically,
    writing,
)
from segablate.images.label_maps import read_label_map
from segablate.labels import IGNORE, Colour, Encoding

_MASK_WORDS = ("label", "annot", "gt", "truth", "manual", "seg", "mask")  # the first words count more
_SPLIT = re.compile(r"(?<![a-z])(train|val|test|dev)[a-z]*", re.IGNORECASE)
_MOST_CODES = 256
_MOST_INSPECTED = 400


@dataclass(frozen=True)
class Split:
    """Two folders in which every image has a label map of the same name up to the suffix, or label maps alone."""

    name: str
    images: Path | None
    masks: Path
    image_suffix: str
    label_suffix: str
    items: tuple[Item, ...]


def draft(folder: Path) -> tuple[Path, str]:
    """Write ``dataset.yaml`` into `folder`; return its path and a summary of one line.

    Raises DatasetError when the file exists, or when no images pair with label maps.
    """
    path = folder / "dataset.yaml"
    if not is_folder(folder):
        raise DatasetError(f"{shortened(folder)} is not a directory; pass the folder of the images and label maps")
    if path.exists():
        raise DatasetError(f"{path} already exists; edit it, or move it away and run this again")
    splits = _find_splits(folder)
    masks = [item.labels for split in splits for item in split.items]
    chosen = masks[:: -(-len(masks) // _MOST_INSPECTED)]
    codes, encoding = _codes_in_use(chosen)
    with writing(path):
        write_atomically(path, _description(folder, splits, codes, encoding))
    read_label_set(read_description(path), folder.name)
    found = ", ".join(
        f"{counted(len(split.items), 'pair')} in {split.name}"
        if split.images
        else f"{counted(len(split.items), 'label map')} without images in {split.name}"
        for split in splits
    )
    part = "" if len(chosen) == len(masks) else f" (in {len(chosen)} of {len(masks)})"
    return path, f"{found}; {counted(len(codes), encoding.removesuffix('s'))} in the label maps{part}"


def _find_splits(folder: Path) -> list[Split]:
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
    return values.ndim == 2 and len(count_codes(values)) <= _MOST_CODES // 4


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


def _codes_in_use(masks: Sequence[Path]) -> tuple[list[int], Encoding]:
    """Return the codes in these label maps, ascending, and their encoding.

    Raises DatasetError for more than 256 codes, or for two encodings.
    """
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
            raise DatasetError(
                f"{path}: more than {_MOST_CODES} values in the label maps up to here; is it a label map?"
            )
    if len(encodings) > 1:
        raise DatasetError(f"{masks[0].parent}: some label maps hold codes, others colours; save all in one encoding")
    return sorted(found), encodings.pop()


def _classes(codes: Sequence[int], encoding: Encoding, mask: Path) -> Iterator[str]:
    """Yield one line of YAML for each code that is a class."""
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
    """Return the text of ``dataset.yaml``."""
    classes = _classes(codes, encoding, splits[0].items[0].labels)
    default = next((split.name for name in ("val", "test") for split in splits if split.name.startswith(name)), None)
    suffixes = {split.image_suffix for split in splits}
    lines = [
        "# Generated by inspecting the folder: name the classes, check the rest. Keys: segablate datasets show folder",
        f"name: {json.dumps(folder.resolve().name)}",
        "classes: # in the order of their indices",
        *(f"  - {line}" for line in classes),
        f"void: {_void(codes, encoding)} # codes without a label",
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
    """Return the colours of a palette image, by code; empty for other files."""
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
