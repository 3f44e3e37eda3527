"""The names of splits, from the folders and files of a source."""

import re
from collections.abc import Iterable

ALL = "all"
"""The split of images that belong to none."""

_WORD = re.compile(r"(?<![a-z])(train|training|validation|valid|val|testing|test|dev)(?![a-z])", re.IGNORECASE)
_DEFAULTS = ("val", "valid", "validation", "test", "dev")


def split_of(path: str) -> str:
    """Return the split that a folder in a path names, as in ``val/a``, or "all"."""
    folders = path.replace("\\", "/").split("/")[:-1]
    return next((folder.lower() for folder in folders if _WORD.fullmatch(folder)), ALL)


def split_in(name: str) -> str | None:
    """Return the split that a file's name mentions, as in ``instances_val2017``."""
    found = _WORD.search(name)
    return found[0].lower() if found else None


def default_split(splits: Iterable[str]) -> str:
    """Return the split to evaluate on by default."""
    splits = list(splits)
    return next((name for name in _DEFAULTS if name in splits), splits[0])
