"""Find the image files that annotations name, and their sizes."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segablate.datasets.conversion.shapes import Annotated, Flaw, Size
from segablate.datasets.conversion.source import Source
from segablate.errors import SegablateError
from segablate.files import IMAGE_SUFFIXES, is_file, visible_files
from segablate.images.header import read_header

_FOLDERS_OF_ANNOTATIONS = ("annotations", "labels", "ann", "json")
"""Folders beside which, rather than below which, images are found."""

_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif", "PNM": ".ppm"}


@dataclass
class Pictures:
    """The images below a folder, by the ends of their paths."""

    source: Source
    _index: dict[str, list[Path]] | None = field(default=None, repr=False)

    @property
    def root(self) -> Path:
        """Return the folder below which images are looked for."""
        if self.source.stated is not None:
            return self.source.stated
        folder = self.source.folder
        return folder.resolve().parent if folder.resolve().name.lower() in _FOLDERS_OF_ANNOTATIONS else folder

    def find(self, image: Annotated) -> Path | None:
        """Return the file of an image: where the annotations state it, or else the only one of its name below the root.

        None where there is none. Raises Flaw where several could be meant.
        """
        names = [name.replace("\\", "/") for name in image.files if name]
        for name in names:
            for base in (self.root,) if self.source.stated else (image.beside, image.beside.parent, self.root):
                if is_file(base / name):
                    return base / name
        for name in names:
            found = self._ending(name.split("/"))
            if len(found) > 1:
                found = [path for path in found if image.split in path.parts] or found
            if len(found) > 1:
                raise Flaw("of a name that several files have")
            if found:
                return found[0]
        return None

    def others(self, used: set[Path]) -> list[Path]:
        """Return the images beside those used that are not among them."""
        beside = {path.parent for path in used}
        found = (path for folder in beside for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        return sorted(path for path in found if path not in used and not path.name.startswith("."))

    def _ending(self, parts: list[str]) -> list[Path]:
        """Return the files that share the longest end of a path, at least the name."""
        found = self._all().get(parts[-1].lower(), [])
        for length in range(2, len(parts) + 1):
            end = [part.lower() for part in parts[-length:]]
            nearer = [path for path in found if [part.lower() for part in path.parts[-length:]] == end]
            if not nearer:
                break
            found = nearer
        return found

    def _all(self) -> dict[str, list[Path]]:
        if self._index is None:
            self._index = defaultdict(list)
            for path in visible_files(self.root, IMAGE_SUFFIXES):
                self._index[path.name.lower()].append(path)
        return self._index


@dataclass(frozen=True)
class Contents:
    """What the header of an image states: its size upright and as stored, and the suffix of its format."""

    upright: Size
    stored: Size
    suffix: str

    def size(self, stated: Size | None) -> Size:
        """Return the size in which shapes are drawn: the stated one, or that of the image, upright.

        Raises Flaw where the stated one is that of another image.
        """
        if stated is not None and stated not in (self.stored, self.upright):
            raise Flaw("of another size than its annotations state")
        return stated or self.upright


def contents(data: np.ndarray, where: str) -> Contents:
    """Return what the header of an image (uint8) states. Raises Flaw for one that cannot be read."""
    try:
        header = read_header(data, where)
    except SegablateError:
        raise Flaw("that cannot be read") from None
    stored, turned = (header.height, header.width), (header.width, header.height)
    upright = turned if header.orientation in (5, 6, 7, 8) else stored
    return Contents(upright, stored, _SUFFIXES.get(header.format, f".{header.format.lower()}"))
