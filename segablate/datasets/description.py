"""Read ``dataset.yaml``: the classes, codes and folders of a user's own images and label maps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from segablate.errors import DatasetError, did_you_mean
from segablate.files import is_file
from segablate.images.pictures import Reading
from segablate.labels import Encoding, LabelSet, ignore_index, pack_colour
from segablate.yaml_files import read_yaml

READING_KEYS = ("exif", "image_range", "palettes")
_KEYS = (
    "name",
    "classes",
    "void",
    "encoding",
    "splits",
    "default_split",
    "image_suffix",
    "label_suffix",
    *READING_KEYS,
)
_CLASS_KEYS = ("name", "code", "colour")


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
    colours = tuple(colour for _, _, colour in classes if colour is not None)
    return LabelSet(
        text(described.get("name", name), "name"),
        tuple(name for name, _, _ in classes),
        tuple(codes for _, codes, _ in classes),
        _void(described.get("void", [ignore_index(len(classes))] if encoding == "codes" else []), encoding),
        colours if len(colours) == len(classes) else (),
        encoding,
    )


def read_reading(described: Mapping[str, Any]) -> Reading:
    """Return how a description has images and label maps read. Raises DatasetError for a value that is none."""
    exif, palettes = described.get("exif"), described.get("palettes", "check")
    if exif not in (None, "apply", "ignore"):
        raise DatasetError(f"exif is {exif!r}, but must be apply or ignore")
    if palettes not in ("check", "ignore"):
        raise DatasetError(f"palettes is {palettes!r}, but must be check or ignore")
    compared: Literal["classes", "ignore"] = "classes" if palettes == "check" else "ignore"
    return Reading(exif, _image_range(described.get("image_range")), compared)


def _image_range(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] < value[1]:
        return float(value[0]), float(value[1])
    raise DatasetError(f"image_range is {value!r}, but must be the values of black and white, e.g. [0, 4095]")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any, end: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < end


def text(value: Any, what: str) -> str:
    """Return a value that must be text, or a whole number as text. Raises DatasetError for what YAML read as others."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    remedy = "" if isinstance(value, list | dict) else f'; quote it, e.g. "{value}"'
    raise DatasetError(f"{what} is {value!r}, but must be text{remedy}")


def _class(entry: Any, index: int, encoding: Encoding) -> tuple[str, tuple[int, ...], tuple[int, int, int] | None]:
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
    return name, _codes(entry.get("code", index), f"code of class {name!r}"), colour


def _colour(value: Any, name: str) -> tuple[int, int, int]:
    if isinstance(value, list) and len(value) == 3 and all(_is_integer(v, 256) for v in value):
        return value[0], value[1], value[2]
    raise DatasetError(f"colour of {name!r} is {value!r}, but must be [r, g, b] with values in 0..255")


def _codes(value: Any, what: str) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(_is_integer(v, 65536) for v in values):
        raise DatasetError(f"{what} is {value!r}, but must be one or several integers in 0..65535")
    return tuple(values)


def _void(value: Any, encoding: Encoding) -> tuple[int, ...] | None:
    if value == "rest":
        return None
    if encoding == "codes":
        return _codes([] if value is None else value, "void")
    colours = [] if value is None else value if isinstance(value, list) else [value]
    colours = colours if all(isinstance(colour, list) for colour in colours) else [colours]
    return tuple(pack_colour(_colour(colour, "void")) for colour in colours)


def refuse_unknown(mapping: Mapping[Any, Any], known: tuple[str, ...], what: str) -> None:
    """Raise DatasetError for a key of `mapping` that is not in `known`."""
    for key in mapping:
        if key not in known:
            raise DatasetError(f"has an unknown {what}, {key!r}{did_you_mean(str(key), known)}")
