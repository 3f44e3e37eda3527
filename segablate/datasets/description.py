"""Read ``dataset.yaml``: the classes, codes and folders of a user's own images and label maps."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from segablate.datasets.label_sizes import read_label_size
from segablate.errors import DatasetError, did_you_mean
from segablate.files import is_file
from segablate.images.pictures import Reading
from segablate.labels import Colour, Encoding, LabelSet, ignore_index, pack_colour
from segablate.yaml_files import read_yaml

READING_KEYS = ("exif", "image_range", "palettes", "label_size")
_KEYS = (
    "name",
    "classes",
    "void",
    "threshold",
    "encoding",
    "splits",
    "default_split",
    "image_suffix",
    "label_suffix",
    *READING_KEYS,
)
_CLASS_KEYS = ("name", "code", "colour", "masks")
Class = tuple[str, tuple[int, ...], Colour | None]
"""Name, codes and colour."""

_RANGE = re.compile(r"\s*(-?\d+)\s*\.\.\s*(-?\d+)\s*")
_MOST_CODES = 1 << 16
"""Most codes of one class."""


def read_description(path: Path, keys: tuple[str, ...] = _KEYS) -> dict[str, Any]:
    """Return the mapping in a ``dataset.yaml``.

    Raises DatasetError when the file is missing or has a key that is not in `keys`, and MalformedText for bad YAML.
    """
    if not is_file(path):
        raise DatasetError(f"there is no such file; `segablate datasets init {path.parent}` generates a first one")
    described = read_yaml(path)
    if not isinstance(described, dict):
        raise DatasetError("is not a mapping; expected the keys classes and splits")
    refuse_unknown(described, keys, "key")
    return described


def read_label_set(described: Mapping[str, Any], name: str) -> LabelSet:
    """Return the label set of a description, by default called `name`.

    Raises DatasetError for an incomplete class, and LabelError for a code or name of two classes.
    """
    encoding = described.get("encoding", "codes")
    if encoding not in ("codes", "colours"):
        raise DatasetError(f"encoding is {encoding!r}, but must be codes or colours")
    entries = described.get("classes")
    if not isinstance(entries, list) or not entries:
        raise DatasetError("classes must be a list such as [{name: road, code: 0}, ...]")
    classes = [_class(entry, index, encoding) for index, entry in enumerate(entries)]
    if described.get("threshold") is not None:
        classes = _divided(described, classes)
    colours = tuple(colour for _, _, colour in classes if colour is not None)
    return LabelSet(
        text(described.get("name", name), "name"),
        tuple(name for name, _, _ in classes),
        tuple(codes for _, codes, _ in classes),
        _void(_stated_void(described, encoding, len(classes)), encoding),
        colours if len(colours) == len(classes) else (),
        encoding,
    )


def _stated_void(described: Mapping[str, Any], encoding: Encoding, classes: int) -> Any:
    """Return the entry of void; by default its class index, where that is no value of a class below a threshold."""
    usual = [ignore_index(classes)] if encoding == "codes" and described.get("threshold") is None else []
    return described.get("void", usual)


def _divided(described: Mapping[str, Any], classes: list[Class]) -> list[Class]:
    """Return two classes with the codes below a threshold, and from it on, but for those of void."""
    threshold, entries = described["threshold"], described["classes"]
    if not _is_integer(threshold) or not 1 <= threshold < _MOST_CODES:
        raise DatasetError(
            f"threshold is {threshold!r}, but must be an integer in 1..65535: the least value of class 2"
        )
    coded = any(isinstance(entry, dict) and not {"code", "masks"}.isdisjoint(entry) for entry in entries)
    if len(classes) != 2 or coded or described.get("encoding", "codes") != "codes":
        raise DatasetError(
            "threshold divides the values of two classes, which then have names alone, as in classes: [background, "
            "lesion]; for more classes state ranges, as in code: 128..255"
        )
    end = 256 if threshold < 256 else _MOST_CODES
    void = set(_void(_stated_void(described, "codes", len(classes)), "codes") or ())
    below, above = (
        tuple(code for code in part if code not in void)
        for part in (range(threshold), (end - 1, *range(threshold, end - 1)))
    )
    return [(name, codes, colour) for (name, _, colour), codes in zip(classes, (below, above), strict=True)]


def read_reading(described: Mapping[str, Any]) -> Reading:
    """Return how a description has images and label maps read. Raises DatasetError for a value that is none."""
    exif, palettes = described.get("exif"), described.get("palettes", "check")
    if exif not in (None, "apply", "ignore"):
        raise DatasetError(f"exif is {exif!r}, but must be apply or ignore")
    if palettes not in ("check", "ignore"):
        raise DatasetError(f"palettes is {palettes!r}, but must be check or ignore")
    compared: Literal["classes", "ignore"] = "classes" if palettes == "check" else "ignore"
    label_size = read_label_size(described.get("label_size"), "label_size")
    return Reading(exif, _image_range(described.get("image_range")), compared, label_size)


def _image_range(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] < value[1]:
        return float(value[0]), float(value[1])
    raise DatasetError(f"image_range is {value!r}, but must be the values of black and white, e.g. [0, 4095]")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def text(value: Any, what: str) -> str:
    """Return a value that must be text, or a whole number as text. Raises DatasetError for what YAML read as others."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    remedy = "" if isinstance(value, list | dict) else f'; quote it, e.g. "{value}"'
    raise DatasetError(f"{what} is {value!r}, but must be text{remedy}")


def _class(entry: Any, index: int, encoding: Encoding) -> Class:
    """Return name, codes and colour of one entry; the code of a bare name is its index."""
    if isinstance(entry, str):
        entry = {"name": entry, "code": index}
    if not isinstance(entry, dict) or "name" not in entry:
        raise DatasetError(f"class {index} is {entry!r}, but must be a name or {{name: road, code: 0}}")
    name = text(entry["name"], f"name of class {index}")
    refuse_unknown(entry, _CLASS_KEYS, f"key of class {name!r}")
    colour = _colour(entry["colour"], name) if entry.get("colour") is not None else None
    if encoding == "colours":
        if colour is None:
            raise DatasetError(f"class {name!r} has no colour, but encoding is colours; add colour: [r, g, b]")
        return name, (pack_colour(colour),), colour
    return name, read_codes(entry.get("code", index), f"code of class {name!r}"), colour


def _colour(value: Any, name: str) -> Colour:
    if isinstance(value, list) and len(value) == 3 and all(_is_integer(v) and 0 <= v < 256 for v in value):
        return value[0], value[1], value[2]
    raise DatasetError(f"colour of {name!r} is {value!r}, but must be [r, g, b] with values in 0..255")


def read_codes(value: Any, what: str) -> tuple[int, ...]:
    """Return the codes that integers and ranges such as "128..255" state; `what` is for messages.

    Raises DatasetError for other values, and for a range that is empty or of more than 65 536 codes.
    """
    return tuple(
        code for part in (value if isinstance(value, list) else [value]) for code in _integers(part, value, what)
    )


def _integers(part: Any, value: Any, what: str) -> "tuple[int] | range":
    if _is_integer(part):
        return (part,)
    ends = _RANGE.fullmatch(part) if isinstance(part, str) else None
    if ends is None:
        raise DatasetError(
            f"{what} is {value!r}, but must be one or several integers, or a range of them such as 128..255"
        )
    first, last = int(ends[1]), int(ends[2])
    if not 0 <= last - first < _MOST_CODES:
        raise DatasetError(
            f"{what}: the range {part} has {max(last - first + 1, 0)} codes, but must have 1 to {_MOST_CODES}; for all "
            f"codes of no class, state void: rest"
        )
    return range(first, last + 1)


def _void(value: Any, encoding: Encoding) -> tuple[int, ...] | None:
    if value == "rest":
        return None
    if encoding == "codes":
        return read_codes([] if value is None else value, "void")
    colours = [] if value is None else value if isinstance(value, list) else [value]
    colours = colours if all(isinstance(colour, list) for colour in colours) else [colours]
    return tuple(pack_colour(_colour(colour, "void")) for colour in colours)


def refuse_unknown(mapping: Mapping[Any, Any], known: tuple[str, ...], what: str) -> None:
    """Raise DatasetError for a key of `mapping` that is not in `known`."""
    for key in mapping:
        if key not in known:
            raise DatasetError(f"has an unknown {what}, {key!r}{did_you_mean(str(key), known)}")
