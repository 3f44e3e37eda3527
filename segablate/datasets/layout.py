"""The properties of a dataset layout, and the steps that opening any layout shares."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segablate.errors import UnknownSplit, shorten
from segablate.files import is_folder
from segablate.labels import LabelSet


@dataclass(frozen=True)
class Layout:
    """A way of storing a dataset in files and folders.

    - `label_sets`: the label sets it can be read with, the default first; none where the user describes the classes.
    - `expects`: the folders or files that it consists of, in one line.
    - `default_split`: the split that is opened by default.
    - `always_void`: whether every split of the official release has pixels without a label.
    """

    label_sets: tuple[LabelSet, ...]
    expects: str
    default_split: str = "val"
    always_void: bool = True


def choose_split(root: Path, split: str, present: Sequence[str], expected: str) -> str:
    """Return `split` if it is `present`.

    Raises UnknownSplit with the available splits otherwise, or with the `expected` folders where there are none.
    """
    if split in present:
        return split
    there = (
        f"available: {shorten(present, 10)}"
        if present
        else f"expected {expected}; for other folders, `segablate datasets init {root}` generates a description"
    )
    raise UnknownSplit(f"{root}: no split {split!r}; {there}")


def first_folder(candidates: Iterable[Path]) -> Path | None:
    """Return the first folder that exists, or None."""
    return next((folder for folder in candidates if is_folder(folder)), None)


def beneath(root: Path, *names: str) -> Path:
    """Return the folder of one of these names in `root`, where an archive was unpacked one level deeper, or `root`."""
    return first_folder(root / name for name in names) or root


def subfolders(folder: Path) -> list[str]:
    """Return the names of the visible folders in a folder, sorted; none if it does not exist."""
    if not is_folder(folder):
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
