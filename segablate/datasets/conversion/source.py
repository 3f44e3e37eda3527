"""The files of a source, found and parsed once, whichever format asks for them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from segablate.errors import SegablateError, at
from segablate.files import is_folder, visible_files
from segablate.text_files import MalformedText, read_bytes, read_json

FILE_BYTES = 2**30
"""Most bytes of one file of annotations; that of COCO's train split has 450 MB."""

_PEEKED = 20


@dataclass
class Source:
    """A file or folder of annotations. `stated`: the folder of its images, where the user names it."""

    path: Path
    stated: Path | None = None
    _last: tuple[Path, Any] | None = field(default=None, repr=False)
    _listed: dict[str, list[Path]] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """Return the folder of the annotations."""
        return self.path if is_folder(self.path) else self.path.parent

    def files(self, *suffixes: str) -> list[Path]:
        """Return the visible files with one of the suffixes, sorted; the source itself where it is such a file."""
        if not is_folder(self.path):
            return [self.path] if self.path.suffix.lower() in suffixes else []
        key = " ".join(suffixes)
        if key not in self._listed:
            self._listed[key] = visible_files(self.path, suffixes)
        return self._listed[key]

    def json(self, path: Path) -> Any:
        """Return the value in a JSON file; the last one is kept. Raises MalformedText and TooLarge, with the path."""
        if self._last is None or self._last[0] != path:
            with at(path):
                self._last = (path, read_json(path, FILE_BYTES))
        return self._last[1]

    def first_json(self) -> list[tuple[Path, Any]]:
        """Return the first JSON files that can be read, and their values without the largest parts."""
        found = []
        for path in self.files(".json", ".geojson")[:_PEEKED]:
            try:
                found.append((path, self.json(path)))
            except SegablateError:
                if path == self.path:
                    raise
        return found


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file. Raises MalformedText for bad syntax."""
    with at(path):
        try:
            return ElementTree.fromstring(read_bytes(path, FILE_BYTES))
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise MalformedText(f"is not valid XML ({error}); export it again") from None


def is_labelme(value: Any) -> bool:
    """Tell whether a JSON value is of labelme, or of a tool that writes the same."""
    return isinstance(value, dict) and isinstance(value.get("shapes"), list) and "imagePath" in value


def is_coco(value: Any) -> bool:
    """Tell whether a JSON value is of COCO's instances or stuff."""
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(key), list) for key in ("images", "annotations", "categories"))
        and not any("segments_info" in entry for entry in value["annotations"][:1] if isinstance(entry, dict))
    )
