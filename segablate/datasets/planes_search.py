"""Find masks of which each holds one class: several files for an image, or a folder for each class."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from segablate.datasets.folder_words import MASK_WORDS, has_split_word, rank
from segablate.datasets.heaps import LOSSY_SUFFIXES, Values, find_heaps
from segablate.datasets.suffix_matching import Match, best_match, is_number, matches, numbered, without_number
from segablate.errors import SegablateError
from segablate.images.label_maps import read_label_map
from segablate.labels import single_channel

Classes = tuple[tuple[str, str], ...]
"""Name of each class with masks of its own, and the pattern of their names."""

Folder = tuple[Path, Sequence[Path]]
"""A folder, and the label maps in it."""

_INSPECTED = 3


def find_classes(
    pictures: Sequence[Path], masks: Folder, match: Match, others: Sequence[Folder], root: Path
) -> tuple[Path, Classes]:
    """Return the folder of label maps and, where each class has masks of its own, the classes and their patterns.

    `masks`: those found for the `pictures`, under `match`; `others`: all folders of label maps.
    """
    folder, paths = masks
    if classes := _in_folders(pictures, folder, match, others, root):
        return folder.parent, classes
    if classes := _by_ending(pictures, paths, match):
        return folder, classes
    spare = numbered(match, paths)
    if spare and _binary([*spare, *paths]):
        stem, dot, extension = match.label_suffix.rpartition(".")
        return folder, ((_class_name(stem), f"{{name}}{stem}*{dot}{extension}"),)
    return folder, ()


def _in_folders(pictures: Sequence[Path], folder: Path, match: Match, others: Sequence[Folder], root: Path) -> Classes:
    """Return the classes of sibling folders that are called after them, as in masks/car and masks/road."""
    beside = [(place, paths) for place, paths in others if place.parent == folder.parent]
    names = [place.name for place, _ in beside]
    named = folder != root and rank(folder.parent, root) < len(MASK_WORDS)
    if len(set(names)) < 2 or not named or has_split_word(names) or pictures[0].parent.name in names:
        return ()
    found = {
        place.name: other.label_suffix
        for place, paths in beside
        if (other := best_match(pictures, paths)) and other.image_suffix == match.image_suffix and _binary(paths)
    }
    return tuple((name, f"{name}/{{name}}{suffix}") for name, suffix in sorted(found.items())) if len(found) > 1 else ()


def _by_ending(pictures: Sequence[Path], masks: Sequence[Path], match: Match) -> Classes:
    """Return the classes of several masks in one folder, as in ``a_car.png`` and ``a_road.png``."""
    alike = [
        other
        for other in matches(pictures, masks)
        if other.image_suffix == match.image_suffix and 2 * len(other.names) >= len(match.names)
    ]
    endings = sorted({other.label_suffix for other in alike})
    kinds = {without_number(ending) for ending in endings}
    if len(endings) < 2 or (len(kinds) < 2 and not all(map(is_number, endings))):
        return ()
    if not all(_binary([path for path in masks if path.name.lower().endswith(ending.lower())]) for ending in endings):
        return ()
    if all(is_number(ending) for ending in endings):
        extension = os.path.splitext(endings[0])[1]
        separator = endings[0][0] if not endings[0][0].isdigit() else ""
        return (("foreground", f"{{name}}{separator}*{extension}"),)
    patterns = {}
    for kind in sorted(kinds):
        stem, dot, extension = kind.rpartition(".")
        several = [ending for ending in endings if without_number(ending) == kind] != [kind]
        patterns[_class_name(stem)] = f"{{name}}{stem}{'*' if several else ''}{dot}{extension}"
    return tuple(patterns.items())


def _class_name(ending: str) -> str:
    """Return the name of a class from the ending of its masks; "foreground" for a word that means a mask."""
    words = [word for word in re.split(r"[_\-. ]", ending) if word]
    kept = [word for word in words if not any(mask in word.lower() for mask in MASK_WORDS)]
    return "_".join(kept) or "foreground"


def _binary(paths: Sequence[Path]) -> bool:
    """Tell whether label maps hold two values, or two heaps of them."""
    try:
        for path in paths[:: -(-len(paths) // _INSPECTED) or 1]:
            values = single_channel(read_label_map(path))
            if values.ndim != 2:
                return False
            counted = Values()
            counted.add(values)
            lossy = path.suffix.lower() in LOSSY_SUFFIXES
            if len(counted.codes) > 2 and len(find_heaps(counted, lossy)) != 2:
                return False
    except SegablateError:
        return False
    return bool(paths)
