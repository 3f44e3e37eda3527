"""What lies where a file should be, when it is not a file that can be read."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

Surrounding = Callable[[Path], None]


def folder(path: Path) -> None:
    """A folder with something in it."""
    _remove(path)
    path.mkdir()
    (path / "inside").write_text("x")


def missing(path: Path) -> None:
    """Nothing."""
    _remove(path)


def broken_link(path: Path) -> None:
    """A link to nothing."""
    _link(path, "nowhere")


def link_to_itself(path: Path) -> None:
    """A link without an end."""
    _link(path, path.name)


def link_to_folder_above(path: Path) -> None:
    """A link to the folder above."""
    _link(path, "..")


def forbidden(path: Path) -> None:
    """A file that nobody may read; the superuser may all the same."""
    path.chmod(0)


def failing(path: Path) -> None:
    """A file of which the system cannot read the first byte, as on a broken disk."""
    _link(path, "/proc/self/mem")


def endless(path: Path) -> None:
    """A file without an end."""
    _link(path, "/dev/zero")


def full(path: Path) -> None:
    """A device that reads as zeros and takes nothing."""
    _link(path, "/dev/full")


def nothing(path: Path) -> None:
    """A device that is always at its end."""
    _link(path, os.devnull)


KINDS: tuple[Surrounding, ...] = (
    folder, missing, broken_link, link_to_itself, link_to_folder_above, forbidden, failing, endless, full, nothing,
)  # fmt: skip


def _link(path: Path, target: str) -> None:
    _remove(path)
    path.symlink_to(target)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
