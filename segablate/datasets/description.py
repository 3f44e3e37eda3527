"""Read ``dataset.yaml``: the classes, codes and folders of a user's own images and label maps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segablate.errors import DatasetError, did_you_mean
from segablate.labels import Encoding, LabelSet, pack_colour

_KEYS = ("name", "classes", "void", "encoding", "splits", "default_split", "image_suffix", "label_suffix")
_CLASS_KEYS = ("name", "code", "colour")


def read_description(path: Path, keys: tuple[str, ...] = _KEYS) -> dict[str, Any]:
    """Return the mapping in a ``dataset.yaml``.

    Raises DatasetError when the file is missing or malformed, or has a key that is not in `keys`.
    """
    import yaml

    if not path.is_file():
        raise DatasetError(f"there is no such file; `segablate datasets init {path.parent}` generates a first one")
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"is not valid YAML: {' '.join(str(error).split())}") from None
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
        str(described.get("name", name)),
        tuple(name for name, _, _ in classes),
        tuple(codes for _, codes, _ in classes),
        _void(described.get("void", [255] if encoding == "codes" else []), encoding),
        colours if len(colours) == len(classes) else (),
        encoding,
    )


def _class(entry: Any, index: int, encoding: Encoding) -> tuple[str, tuple[int, ...], tuple[int, int, int] | None]:
    """Return name, codes and colour of one entry; the code of a bare name is its index."""
    if isinstance(entry, str):
        entry = {"name": entry, "code": index}
    if not isinstance(entry, dict) or "name" not in entry:
        raise DatasetError(f"class {index} is {entry!r}, but must be a name or {{name: road, code: 0}}")
    refuse_unknown(entry, _CLASS_KEYS, f"key of class {entry['name']!r}")
    colour = _colour(entry["colour"], entry["name"]) if entry.get("colour") is not None else None
    if encoding == "colours":
        if colour is None:
            raise DatasetError(f"class {entry['name']!r} has no colour, but encoding is colours; add colour: [r, g, b]")
        return str(entry["name"]), (pack_colour(colour),), colour
    return str(entry["name"]), _codes(entry.get("code", index), f"code of class {entry['name']!r}"), colour


def _colour(value: Any, name: str) -> tuple[int, int, int]:
    if isinstance(value, list) and len(value) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in value):
        return value[0], value[1], value[2]
    raise DatasetError(f"colour of {name!r} is {value!r}, but must be [r, g, b] with values in 0..255")


def _codes(value: Any, what: str) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 65536 for v in values):
        raise DatasetError(f"{what} is {value!r}, but must be one or several integers in 0..65535")
    return tuple(values)


def _void(value: Any, encoding: Encoding) -> tuple[int, ...] | None:
    if value == "rest":
        return None
    if encoding == "codes":
        return _codes([] if value is None else value, "void")
    colours = value if not value or isinstance(value[0], list) else [value]
    return tuple(pack_colour(_colour(colour, "void")) for colour in colours or ())


def refuse_unknown(mapping: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    """Raise DatasetError for a key of `mapping` that is not in `known`."""
    for key in mapping:
        if key not in known:
            raise DatasetError(f"has an unknown {what}, {key!r}{did_you_mean(str(key), known)}")
