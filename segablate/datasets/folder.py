"""Anybody's images and masks, described by a ``dataset.yaml`` in their folder.

::

    mydata/
      dataset.yaml
      images/val/a.jpg      labels/val/a.png

    # dataset.yaml
    name: mydata
    classes:                       # the order gives the class index
      - {name: road, code: 0, colour: [128, 64, 128]}
      - {name: car, code: [1, 7]}  # several codes may mean one class
    void: [255]                    # codes without a label; "rest": every code that is no class; []: none
    encoding: codes                # codes (grey, palette, .npy, .mat) or colours (RGB, by each class's colour)
    splits:
      val: {images: images/val, labels: labels/val}   # optionally list: val.txt, one name a line
      test: {labels: labels/test}                     # without images: to be compared with predictions
    default_split: val
    image_suffix: _rgb.png         # optional: what follows the name in an image file
    label_suffix: _mask.png        # optional (.png): what follows the name in a label file
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segablate.datasets.dataset import Dataset, Files, LabelMaps
from segablate.datasets.layout import Layout
from segablate.datasets.pairing import label_maps_alone, listed, pair_folders
from segablate.errors import DatasetError, at, did_you_mean, shorten
from segablate.labels import Encoding, LabelSet, pack_colour

LAYOUT = Layout((), "dataset.yaml, which names folders, classes and codes", always_void=False)

_KEYS = ("name", "classes", "void", "encoding", "splits", "default_split", "image_suffix", "label_suffix")
_SPLIT_KEYS = ("images", "labels", "list")
_CLASS_KEYS = ("name", "code", "colour")


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open the folder `root` at a split of its ``dataset.yaml``."""
    path = root / "dataset.yaml"
    with at(path):
        described = read_description(path)
        labels = read_label_set(described, root.name)
        name, entry = _choose_split(described, split)
        suffixes = {key: str(described[key]) for key in ("image_suffix", "label_suffix") if described.get(key)}
        masks = root / _required(entry, "labels", f"split {name!r}")
        images = root / str(entry["images"]) if entry.get("images") else None
    items, notes = (
        pair_folders(images, masks, **suffixes)
        if images
        else label_maps_alone(masks, label_suffix=suffixes.get("label_suffix", ".png"))
    )
    if entry.get("list"):
        items = listed(items, root / str(entry["list"]), suffixes.get("image_suffix", ""))
    if not items:
        raise DatasetError(f"{path}: split {name!r} is empty: no files in {images or masks}; correct path and suffix")
    source = Files() if images else LabelMaps()
    return Dataset(f"folder:{root}", "folder", name, labels, items, notes, source)


def splits(root: Path) -> list[str]:
    """The splits that its ``dataset.yaml`` describes."""
    described = read_description(root / "dataset.yaml").get("splits")
    return list(described) if isinstance(described, dict) else []


def read_description(path: Path, keys: tuple[str, ...] = _KEYS) -> dict[str, Any]:
    """The mapping in a ``dataset.yaml``; DatasetError when it is missing, malformed or has other than these keys."""
    import yaml

    if not path.is_file():
        raise DatasetError(f"is missing; `segablate datasets init {path.parent}` writes a first one by looking")
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(described, dict):
        raise DatasetError("is not a mapping; expected keys classes and splits")
    _refuse_unknown(described, keys, "key")
    return described


def read_label_set(described: Mapping[str, Any], name: str) -> LabelSet:
    """The label set of a description. Raises DatasetError or LabelError when a class is incomplete or codes clash."""
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
    """Name, codes and colour of one entry; a bare name has its place as its code."""
    if isinstance(entry, str):
        entry = {"name": entry, "code": index}
    if not isinstance(entry, dict) or "name" not in entry:
        raise DatasetError(f"class {index} is {entry!r}, but must be a name or {{name: road, code: 0}}")
    _refuse_unknown(entry, _CLASS_KEYS, f"key of class {entry['name']!r}")
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


def _choose_split(described: Mapping[str, Any], split: str | None) -> tuple[str, dict[str, Any]]:
    splits = described.get("splits")
    if not isinstance(splits, dict) or not splits:
        raise DatasetError("splits must map names to folders, as in val: {images: images/val, labels: labels/val}")
    name = split or described.get("default_split") or ("val" if "val" in splits else next(iter(splits)))
    if name not in splits:
        raise DatasetError(f"has no split {name!r}; there are {shorten(splits, 10)}")
    if not isinstance(splits[name], dict):
        raise DatasetError(f"split {name!r} must be a mapping with images and labels")
    _refuse_unknown(splits[name], _SPLIT_KEYS, f"key of split {name!r}")
    return name, splits[name]


def _required(entry: Mapping[str, Any], key: str, where: str) -> str:
    if not entry.get(key):
        raise DatasetError(f"{where} names no {key} folder")
    return str(entry[key])


def _refuse_unknown(mapping: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in mapping:
        if key not in known:
            raise DatasetError(f"has an unknown {what}, {key!r}{did_you_mean(str(key), known)}")
