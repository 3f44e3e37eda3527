"""Find the images that a text file lists: one name or path per line, as tools of any system write them.

A line is a whole name, also one with spaces or in quotes; or the first of several fields, divided by tabs, commas,
semicolons or spaces. Paths may be of another machine, with slashes or backslashes, with or without suffix. Lines that
start with ``#`` are comments.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segablate.errors import DatasetError, at, counted, shorten
from segablate.files import is_file, shortened
from segablate.text_files import read_text

_DIVIDERS = (re.compile(r"[\t,;]"), re.compile(r"\s"))


@dataclass(frozen=True)
class Found:
    """Names found in a list, each once, in its order; lines that name nothing; and names that it has repeatedly."""

    names: tuple[str, ...]
    absent: tuple[str, ...]
    repeated: tuple[str, ...]

    def notes(self, source: str) -> tuple[str, ...]:
        """Return a note on images that the list has several times."""
        if not self.repeated:
            return ()
        once = f"{counted(len(self.repeated), 'image')} listed several times"
        return (f"{source}: {once}, evaluated once ({shorten(self.repeated)})",)


def read_list(path: Path) -> list[str]:
    """Return the lines of a list, without those that are empty. Raises DatasetError when it is missing."""
    if not is_file(path):
        raise DatasetError(f"{shortened(path)}: no such list of images; correct the path, or choose another split")
    with at(path):
        lines = re.split(r"\r\n|\r|\n", read_text(path))
    return [line.strip() for line in lines if line.strip()]


def find_listed(lines: Iterable[str], names: Iterable[str], image_suffix: str = "") -> Found:
    """Find each line of a list among the names of a split: by whole name, or by the longest unique end of a path."""
    known = _Names(names)
    found: dict[str, int] = {}
    absent = []
    for line in lines:
        name = next((name for entry in entries(line) if (name := known.find(entry, image_suffix)) is not None), None)
        if name is not None:
            found[name] = found.get(name, 0) + 1
        elif not line.startswith("#"):
            absent.append(line)
    return Found(tuple(found), tuple(absent), tuple(name for name, times in found.items() if times > 1))


def entries(line: str) -> Iterator[str]:
    """Yield what a line may name, the likelier first: all of it, also without quotes, or the first of its fields."""
    yield line
    if line[:1] == line[-1:] and line[:1] in "\"'":
        yield line[1:-1]
    for divider in _DIVIDERS:
        if divider.search(line):
            yield divider.split(line)[0].strip().strip('"')


class _Names:
    """The names of a split, by themselves and by the ends of their paths that no other has."""

    def __init__(self, names: Iterable[str]) -> None:
        self.whole: dict[str, str] = {}
        self.ends: dict[str, str | None] = {}
        for name in names:
            plain = unicodedata.normalize("NFC", name)
            self.whole[plain] = name
            for end in _ends(plain):
                self.ends[end] = None if end in self.ends else name

    def find(self, entry: str, image_suffix: str) -> str | None:
        """Return the name that an entry stands for, with or without suffix, or None."""
        path = unicodedata.normalize("NFC", entry).replace("\\", "/")
        suffix = image_suffix if path.lower().endswith(image_suffix.lower()) else ""
        stem = path[: -len(suffix)] if suffix else os.path.splitext(path)[0]
        plain = [path, stem]
        for name in plain:
            if name in self.whole:
                return self.whole[name]
        ends = (end for name in plain[::-1] for end in (name, *_ends(name)))
        return next((found for end in ends if (found := self.whole.get(end) or self.ends.get(end))), None)


def _ends(path: str) -> Sequence[str]:
    """Return the ends of a path after each slash, the longest first; for a bare name, itself."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(1, len(parts))] or [path]
