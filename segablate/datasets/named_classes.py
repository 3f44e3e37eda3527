"""Find the names of classes in the files that annotation tools write beside label maps.

==================  =========================================  ================================
``labelmap.txt``    CVAT, Datumaro: ``cat:250,50,83::``        colours
``class_dict.csv``  ``name,r,g,b``                             colours
``dataset.json``    nnU-Net: ``"labels": {"cat": 1}``          codes; ``ignore`` is void
``_classes.csv``    Roboflow: ``1, cat``                       codes
``id2label.json``   ``{"1": "cat"}``                           codes
``obj.names``       one name a line; also ``classes.txt``      codes, from 0
==================  =========================================  ================================
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from segablate.errors import SegablateError
from segablate.files import is_file
from segablate.labels import Encoding, pack_colour
from segablate.text_files import read_json, read_text

_IGNORED = ("__ignore__", "_ignore_", "ignore", "void")


ISPRS = {
    0xFFFFFF: "impervious_surface",
    0x0000FF: "building",
    0x00FFFF: "low_vegetation",
    0x00FF00: "tree",
    0xFFFF00: "car",
    0xFF0000: "clutter",
}
"""Packed colours of the ISPRS 2D semantic labelling contest, which come without a file."""


@dataclass(frozen=True)
class NamedClasses:
    """Names by code, or by packed colour, in the order of their file; `void`: codes that it has for no class."""

    path: Path
    encoding: Encoding
    names: dict[int, str]
    void: tuple[int, ...] = ()
    listed: bool = field(default=False)
    """Whether codes are places in a list."""


def find_names(folders: Sequence[Path]) -> list[NamedClasses]:
    """Return the names in the first file of each kind that one of the folders has; unreadable files are left out."""
    found = []
    for name, read in _READERS.items():
        path = next((folder / name for folder in folders if is_file(folder / name)), None)
        try:
            if path is not None and (named := read(path)) is not None and named.names:
                found.append(named)
        except (SegablateError, ValueError, KeyError, TypeError, AttributeError, IndexError, csv.Error):
            continue
    return found


def _labelmap(path: Path) -> NamedClasses | None:
    names = {}
    for line in read_text(path).splitlines():
        fields = line.strip().split(":")
        if line.startswith("#") or len(fields) < 2:
            continue
        red, green, blue = (int(part) for part in fields[1].split(","))
        names[pack_colour((red, green, blue))] = fields[0].strip()
    return NamedClasses(path, "colours", names)


def _class_dict(path: Path) -> NamedClasses | None:
    rows = _rows(path)
    header = [cell.lower() for cell in rows[0]]
    name, *colour = (header.index(heading) for heading in ("name", "r", "g", "b"))
    return NamedClasses(
        path, "colours", {pack_colour([int(row[place]) for place in colour]): row[name] for row in rows[1:]}
    )


def _nnunet(path: Path) -> NamedClasses | None:
    labels = read_json(path)["labels"]
    pairs = dict(_code_and_name(key, value) for key, value in labels.items())
    void = tuple(code for code, name in pairs.items() if name.lower() in _IGNORED)
    return NamedClasses(path, "codes", {code: name for code, name in pairs.items() if code not in void}, void)


def _code_and_name(key: Any, value: Any) -> tuple[int, str]:
    """Return code and name of an entry, in the first version of the format `"1": "cat"`, in the second `"cat": 1`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, str(key)
    return int(key), str(value)


def _id2label(path: Path) -> NamedClasses | None:
    return NamedClasses(path, "codes", {int(code): str(name) for code, name in read_json(path).items()})


def _roboflow(path: Path) -> NamedClasses | None:
    rows = [row for row in _rows(path) if len(row) > 1 and re.fullmatch(r"\d+", row[0])]
    return NamedClasses(path, "codes", {int(row[0]): row[1] for row in rows})


def _list(path: Path) -> NamedClasses | None:
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    names = [line for line in lines if line.lower() not in _IGNORED]
    if len(set(names)) != len(names):
        return None
    return NamedClasses(path, "codes", dict(enumerate(names)), listed=True)


def _rows(path: Path) -> list[list[str]]:
    return [[cell.strip() for cell in row] for row in csv.reader(StringIO(read_text(path), newline="")) if row]


_READERS: dict[str, Callable[[Path], NamedClasses | None]] = {
    "labelmap.txt": _labelmap,
    "class_dict.csv": _class_dict,
    "label_class_dict.csv": _class_dict,
    "dataset.json": _nnunet,
    "_classes.csv": _roboflow,
    "id2label.json": _id2label,
    "obj.names": _list,
    "class_names.txt": _list,
    "classes.txt": _list,
    "labels.txt": _list,
}


def folders_above(paths: Sequence[Path], root: Path) -> list[Path]:
    """Return the root, and all folders between it and these, each once."""
    return list(dict.fromkeys([root, *(folder for path in paths for folder in _up(path, root))]))


def _up(path: Path, root: Path) -> Iterator[Path]:
    yield path
    yield from (folder for folder in path.parents if folder.is_relative_to(root))
