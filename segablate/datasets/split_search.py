"""Find which folders hold images and label maps, how they pair, and which splits they are."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path

from segablate.datasets.dataset import Item
from segablate.datasets.folder_words import MASK_WORDS, is_further, is_mask_name, rank, split_word
from segablate.datasets.heaps import count_codes
from segablate.datasets.pairing import label_maps_alone, labelled, pair_folders, usual_suffix
from segablate.datasets.planes import pair_planes
from segablate.datasets.planes_search import Classes, find_classes
from segablate.datasets.suffix_matching import Match, best_match
from segablate.errors import DatasetError, SegablateError
from segablate.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, visible_files
from segablate.images.label_maps import read_label_map
from segablate.images.other_files import what_is_there

_FEW_CODES = 64


@dataclass(frozen=True)
class Split:
    """Two folders in which images have a label map of the same name up to the suffix, or label maps alone.

    - `classes`: where each class has masks of its own, its name and their pattern.
    - `partial`: whether some images have no label map; they are left out; `unlabelled`: these.
    - `list`, `where`: the file that names its images, and the values that its rows must have.
    - `others`: folders of label maps that pair with all images just as well.
    """

    name: str
    images: Path | None
    masks: Path
    image_suffix: str
    label_suffix: str
    items: tuple[Item, ...]
    classes: Classes = ()
    partial: bool = False
    unlabelled: tuple[Item, ...] = ()
    list: Path | None = None
    where: tuple[tuple[str, str], ...] = ()
    others: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Group:
    """The files of one folder with one extension that are images, or that are label maps."""

    folder: Path
    suffix: str
    masks: bool
    paths: tuple[Path, ...]


def find_splits(folder: Path) -> list[Split]:
    """Return the splits below a folder, as their names and files suggest. Raises DatasetError when nothing pairs."""
    groups = list(_groups(folder))
    masks = [group for group in groups if group.masks]
    if not masks:
        masks = [replace(group, masks=True) for group in groups if _looks_like_masks(group.paths[0])]
        groups = [group for group in groups if replace(group, masks=True) not in masks]
    found: dict[str, list[Split]] = defaultdict(list)
    for group in groups:
        if not group.masks and group.suffix in IMAGE_SUFFIXES and (split := _paired(group, masks, folder)):
            found[split.name].append(split)
    splits = _of_one_form([joined for parts in found.values() if (joined := _joined(parts))])
    if not splits and not any(not group.masks for group in groups):
        splits = _of_one_form([_alone(group) for group in masks if group.suffix in LABEL_SUFFIXES])
    if not splits:
        raise DatasetError(
            what_is_there(folder)
            or f"{folder}: no folder of images pairs with a folder of label maps; use the same base names in both, as "
            f"in images/val/a.jpg and labels/val/a.png"
        )
    return splits


def _groups(root: Path) -> Iterator[Group]:
    """Yield the files of each folder by extension: as label maps those that a word in name or folder calls so.

    In a folder of both kinds, the name decides.
    """
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in visible_files(root, tuple({*IMAGE_SUFFIXES, *LABEL_SUFFIXES})):
        by_folder[path.parent].append(path)
    for folder, paths in by_folder.items():
        named = {path: is_mask_name(path) for path in paths}
        mixed = len(set(named.values())) > 1 and _halves(named)
        in_masks = rank(folder, root) < len(MASK_WORDS)
        parts: dict[tuple[str, bool], list[Path]] = defaultdict(list)
        for path in paths:
            parts[usual_suffix(path.suffix), named[path] if mixed else in_masks].append(path)
        for (suffix, masks), members in parts.items():
            yield Group(folder, suffix, masks, tuple(members))


def _halves(named: Mapping[Path, bool]) -> bool:
    """Tell whether files called masks and others are images and their masks: some pair."""
    masks, others = ([path for path, is_mask in named.items() if is_mask == kind] for kind in (True, False))
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in others) and best_match(others, masks) is not None


def _looks_like_masks(path: Path) -> bool:
    try:
        values = read_label_map(path)
    except SegablateError:
        return False
    return values.ndim == 2 and len(count_codes(values)) <= _FEW_CODES


def _paired(group: Group, masks: Sequence[Group], root: Path) -> Split | None:
    """Return the split of a group of images and the likeliest label maps, those that all images have first."""
    likely = sorted(
        masks,
        key=lambda other: (
            is_further(other.folder, root),
            rank(other.folder, root),
            -_likeness(group.folder, other.folder),
        ),
    )
    pairs = [(other, match) for other in likely if (match := best_match(group.paths, other.paths))]
    whole = [pair for pair in pairs if pair[1].whole]
    for other, match in (*whole, *sorted(pairs, key=lambda pair: -len(pair[1].names))):
        if match.whole or 2 * len(match.names) >= min(len(other.paths), match.images):
            split = _split(group, other, match, masks, root)
            if split is None or split.classes:
                return split
            alike = [
                each.folder for each, _ in whole if each is not other and _as_likely(each.folder, other.folder, root)
            ]
            return replace(split, others=tuple(alike))
    return None


def _as_likely(one: Path, chosen: Path, root: Path) -> bool:
    """Tell whether nothing in the names of two folders of one split makes either the likelier one."""
    kinds = {(rank(folder, root), is_further(folder, root)) for folder in (one, chosen)}
    return one.parent == chosen.parent != one and len(kinds) == 1 and split_word(one) == split_word(chosen)


def _likeness(images: Path, masks: Path) -> float:
    """Return how alike two paths are, 0..1: folders of one city or split have one name."""
    return SequenceMatcher(None, images.as_posix(), masks.as_posix(), autojunk=False).ratio()


def _split(group: Group, other: Group, match: Match, masks: Sequence[Group], root: Path) -> Split | None:
    name = (
        split_word(*(folder for folder in (group.folder, group.folder.parent) if folder.is_relative_to(root))) or "all"
    )
    folders = [(each.folder, each.paths) for each in masks]
    place, classes = find_classes(group.paths, (other.folder, other.paths), match, folders, root)
    return _opened(Split(name, group.folder, place, match.image_suffix, match.label_suffix, (), classes))


def _opened(split: Split) -> Split | None:
    """Return a split with the items that have a label map; None where there are none, or where names repeat."""
    assert split.images is not None
    patterns = [(pattern,) for _, pattern in split.classes]
    try:
        if split.classes:
            items, _ = pair_planes(split.images, split.masks, split.image_suffix, patterns)
        else:
            suffixes = {"image_suffix": split.image_suffix, "label_suffix": split.label_suffix}
            items, _ = pair_folders(split.images, split.masks, **suffixes, required=False)
    except DatasetError:
        return None
    kept, _ = labelled(items)
    known = {item.name for item in kept}
    left = tuple(item for item in items if item.name not in known)
    return replace(split, items=kept, partial=bool(left), unlabelled=left) if kept else None


def _alone(group: Group) -> Split:
    items, _ = label_maps_alone(group.folder, label_suffix=group.suffix)
    return Split(split_word(group.folder) or "all", None, group.folder, "", group.suffix, items)


def _joined(parts: Sequence[Split]) -> Split | None:
    """Join the folders of one split, such as one for each city, into the folder above them."""
    first = max(parts, key=lambda part: len(part.items))
    if len(parts) == 1:
        return first
    images, masks = (
        Path(os.path.commonpath(paths)) for paths in zip(*((p.images, p.masks) for p in parts), strict=True)
    )
    suffixes = {part.image_suffix for part in parts}
    plain = len(suffixes) > 1 and suffixes <= set(IMAGE_SUFFIXES) and images != masks
    classes = next((part.classes for part in parts if part.classes), ())
    joined = replace(
        first, images=images, masks=masks, image_suffix="" if plain else first.image_suffix, classes=classes
    )
    opened = _opened(joined)
    return opened if opened and len(opened.items) > len(first.items) else first


def _of_one_form(splits: list[Split]) -> list[Split]:
    """Keep the splits with the suffixes and masks of the largest: a description has one for all splits."""
    if not splits:
        return []
    classes = next((split.classes for split in splits if split.classes), ())
    if classes:
        splits = [split if split.classes else _opened(replace(split, classes=classes)) or split for split in splits]
    largest = max(splits, key=lambda split: len(split.items))
    plain = {split.image_suffix for split in splits} <= {"", *IMAGE_SUFFIXES}
    return [
        split
        for split in splits
        if split.label_suffix == largest.label_suffix
        and split.classes == largest.classes
        and (plain or split.image_suffix == largest.image_suffix)
    ]
