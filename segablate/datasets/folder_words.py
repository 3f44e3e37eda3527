"""Judge by words in their paths which files are images and which are label maps."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

MASK_WORDS = ("label", "annot", "gt", "truth", "manual", "seg", "mask")
"""Words for label maps; the first count more."""

_IMAGE_WORDS = ("image", "img", "jpeg", "photo", "rgb", "ortho", "picture", "frame", "input")
_OTHERS = ("object", "instance", "inst", "colour", "color", "vis", "overlay", "edge", "boundary", "fov", "panoptic")
"""Words for further maps beside the label maps; "noboundary" too."""

_MASK_NAME = re.compile(
    r"[_\-. ](label(s|id|ids|ed|map|trainids)?|lbl|annot\w*|gt\w*|\w*truth|manual\d*|seg\w*|\w*masks?|matte|L|P)"
    r"([_\- ]?\(?\d+\)?)?$",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"(?<![a-z])(train|val|test|dev)[a-z]*", re.IGNORECASE)


def rank(folder: Path, root: Path) -> int:
    """Rank a folder by the word for masks in its path: 0 is the best, ``len(MASK_WORDS)`` means no such word.

    The last part of the path that has a word for masks or for images decides.
    """
    for part in reversed(folder.relative_to(root).parts):
        name = part.lower()
        found = next((place for place, word in enumerate(MASK_WORDS) if word in name), None)
        if found is not None:
            return found
        if any(word in name for word in _IMAGE_WORDS):
            break
    return len(MASK_WORDS)


def is_further(path: Path, root: Path) -> bool:
    """Tell whether a path has a word for maps beside the label maps, such as those of instances."""
    return names_others(path.relative_to(root).as_posix())


def names_others(text: str) -> bool:
    """Tell whether a text has a word for maps beside the label maps."""
    return any(word in text.lower() for word in _OTHERS)


def is_mask_name(path: Path) -> bool:
    """Tell whether the name of a file ends in a word for masks, maybe numbered, as in ``a_mask_1.png``."""
    return _MASK_NAME.search(os.path.splitext(path.name)[0]) is not None


def split_word(*folders: Path) -> str | None:
    """Return the word for a split in the name of the first of these folders that has one, in small letters."""
    found = (_SPLIT.search(folder.name) for folder in folders)
    return next((match[0].lower() for match in found if match), None)


def has_split_word(names: Sequence[str]) -> bool:
    """Tell whether one of these names is or begins with a word for a split."""
    return any(_SPLIT.search(name) for name in names)
