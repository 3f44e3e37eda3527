"""Mapillary Vistas: 18 000 train and 2 000 val images; 65 classes in version 1.2, up to 123 in version 2.0.

::

    mapillary/                                   version 1.2
      config.json                                the labels, also as config_v1.2.json
      validation/images/a.jpg                    validation/labels/a.png     palette PNG, the indices are label ids

    mapillary/                                   version 2.0, which has both
      config_v1.2.json                           config_v2.0.json
      validation/images/a.jpg                    validation/v1.2/labels/a.png     validation/v2.0/labels/a.png

Classes are the labels that the config file marks for evaluation, in its order and by its full names; the others are
void. Without the file of version 1.2, its published labels are taken. Where both versions are there, "val" reads 1.2,
on which most results are published, and "val-v2.0" the other. Neuhold et al., The Mapillary Vistas Dataset for Semantic
Understanding of Street Scenes, ICCV 2017.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from segablate.datasets.class_lists import listed_classes
from segablate.datasets.dataset import Dataset
from segablate.datasets.layout import Layout, choose_split, first_folder
from segablate.datasets.pairing import pair_folders
from segablate.errors import DatasetError, at
from segablate.files import is_file
from segablate.labels import Colour, LabelSet
from segablate.text_files import read_json

LABELS = replace(listed_classes("mapillary_v12", (65,)), name="mapillary")
LABELS_20 = replace(listed_classes("mapillary_v20", (123,)), name="mapillary")
LAYOUT = Layout((LABELS, LABELS_20), "validation/images/ validation/labels/, or validation/v2.0/labels/; config.json")

_FOLDERS = {"train": "training", "val": "validation", "test": "testing"}
_VERSIONS = ("v1.2", "v2.0")


def splits(root: Path) -> list[str]:
    """Return the splits that have a folder of labels; each also with its version where both are there."""
    found = []
    for split, folder in _FOLDERS.items():
        versions = [version for version in _VERSIONS if _labels(root / folder, version)]
        found += [split, *(f"{split}-{version}" for version in versions if len(versions) > 1)] if versions else []
    return found


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "val" (the default) or "train"; at "val-v2.0" where both versions are there."""
    wanted = split or "val"
    for name, folder in _FOLDERS.items():
        wanted = name + wanted.removeprefix(folder) if wanted.startswith(folder) else wanted
    split = choose_split(root, wanted, splits(root), "folders validation/images/ and validation/labels/")
    part, _, stated = split.partition("-")
    folder = root / _FOLDERS[part]
    version = stated or next(version for version in _VERSIONS if _labels(folder, version))
    masks = _labels(folder, version)
    assert masks is not None
    items, notes = pair_folders(folder / "images", masks)
    if not items:
        raise DatasetError(f"{folder / 'images'} has no images; unpack the release there")
    labels = _label_set(root, version if masks.parent != folder else None)
    both = () if stated or _labels(folder, _VERSIONS[1]) in (None, masks) else (f"labels are those of {version}",)
    return Dataset(f"mapillary:{root}", "mapillary", split, labels, items, (*notes, *both))


def _labels(folder: Path, version: str) -> Path | None:
    """Return the folder of the label maps of a version; that of version 1.2 may be without its name."""
    plain = (folder / "labels",) if version == _VERSIONS[0] else ()
    return first_folder((folder / version / "labels", *plain))


def _label_set(root: Path, version: str | None) -> LabelSet:
    """Return the labels of a config file. `version` is None where the folders do not name it.

    Raises DatasetError where version 2.0 has no such file: it alone states which of its labels are evaluated.
    """
    names = [f"config_{version}.json"] if version else ["config.json", "config_v1.2.json", "config_v2.0.json"]
    path = next((root / name for name in names if is_file(root / name)), None)
    if path is None and version != _VERSIONS[1]:
        return LABELS
    if path is None:
        raise DatasetError(f"{root / names[0]}: no such file; copy it from the release: it states which labels count")
    with at(path):
        return _described(read_json(path))


def _described(config: Any) -> LabelSet:
    """Return the label set of a config; a label's place is its code. Raises DatasetError for another form."""
    try:
        entries: list[tuple[int, str, Colour, bool]] = []
        for code, label in enumerate(config["labels"]):
            red, green, blue = (int(value) for value in label["color"])
            entries.append((code, str(label["name"]), (red, green, blue), bool(label.get("evaluate", True))))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DatasetError('expected {"labels": [{"name": ..., "color": [r, g, b], "evaluate": true}]}') from None
    counted = [entry for entry in entries if entry[3]]
    return LabelSet(
        "mapillary",
        tuple(name for _, name, _, _ in counted),
        tuple((code,) for code, _, _, _ in counted),
        tuple(code for code, _, _, evaluated in entries if not evaluated),
        tuple(colour for _, _, colour, _ in counted),
    )
