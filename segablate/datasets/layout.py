"""What every layout states about itself, and the small steps of opening one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segablate.errors import DatasetError, shorten
from segablate.labels import LabelSet


@dataclass(frozen=True)
class Layout:
    """One way in which a dataset lies on the disk.

    - `label_sets`: the label sets it can be read with, the default first; none where the user describes the classes.
    - `expects`: the folders that are looked for, in one line.
    - `default_split`: what is opened when no split is asked for.
    - `always_void`: every split of the official release has pixels without a label.
    """

    label_sets: tuple[LabelSet, ...]
    expects: str
    default_split: str = "val"
    always_void: bool = True


def choose_split(root: Path, split: str, present: Sequence[str], expected: str) -> str:
    """`split` when it is `present`; DatasetError with what there is, or with what would be `expected`, otherwise."""
    if split in present:
        return split
    there = (
        f"there are {shorten(present, 10)}"
        if present
        else f"expected {expected}; for files that lie otherwise, `segablate datasets init {root}` describes them"
    )
    raise DatasetError(f"{root}: there is no split {split!r} here; {there}")


def first_folder(candidates: Iterable[Path]) -> Path | None:
    """The first of the folders that exists."""
    return next((folder for folder in candidates if folder.is_dir()), None)


def beneath(root: Path, *names: str) -> Path:
    """`root`, or the folder of one of these names below it, where an archive was unpacked one level deeper."""
    return first_folder(root / name for name in names) or root


def subfolders(folder: Path) -> list[str]:
    """Names of the visible folders in a folder, sorted; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
