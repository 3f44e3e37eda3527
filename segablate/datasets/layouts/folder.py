"""Your own images and label maps, described by a ``dataset.yaml`` in their folder.

::

    mydata/
      dataset.yaml
      images/val/a.jpg      labels/val/a.png

    # dataset.yaml
    name: mydata
    classes:                       # in the order of their indices
      - {name: road, code: 0, colour: [128, 64, 128]}
      - {name: car, code: [1, 7]}  # a class may have several codes, or ranges of them: 128..255
    void: [255]                    # codes without a label; "rest": all codes of no class; []: none
    threshold: 128                 # optional: codes below are the first of two classes, all others the second
    encoding: codes                # codes (grey, palette, .npy, .mat) or colours (RGB, by each class's colour)
    splits:
      val: {images: images/val, labels: labels/val}   # optionally list: val.txt, one name per line
      test: {labels: labels/test}                     # without images: only to compare with predictions
      some: {images: images, labels: labels, unlabelled: skip}   # leave out images without a label map
      fold: {images: images, labels: labels, list: folds.csv, where: {fold: 1}}   # the rows of a table
    default_split: val
    image_suffix: _rgb.png         # optional: end of the name of an image file
    label_suffix: _mask.png        # optional (.png): end of the name of a label file
    # one mask for each class: below labels, the files of an image {name}; * for any characters
    # classes: [background, {name: cyst, masks: "{name}_cyst*.png"}, {name: node, masks: "node/{name}.png"}]
    exif: apply                    # optional: apply or ignore; by default applied if label maps fit the turned images
    image_range: [0, 4095]         # optional: values of black and white in images beyond 8 bits, otherwise refused
    label_size: label              # optional: label, image or refuse, where sizes differ; see --label-size
    palettes: ignore               # optional (check): palettes may differ between label maps and from the colours
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segablate.datasets.dataset import Dataset, ImageAndLabelFiles, Item, LabelFiles
from segablate.datasets.description import read_description, read_label_set, read_reading, refuse_unknown, text
from segablate.datasets.layout import Layout
from segablate.datasets.pairing import label_maps_alone, labelled, listed, nothing_in, pair_folders, require_labels
from segablate.datasets.planes import pair_planes, planes_of, read_patterns
from segablate.errors import DatasetError, UnknownSplit, at, shorten
from segablate.files import IMAGE_SUFFIXES, LABEL_SUFFIXES

LAYOUT = Layout((), "dataset.yaml, which names folders, classes and codes", always_void=False)

_SPLIT_KEYS = ("images", "labels", "list", "where", "unlabelled")


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at a split of its ``dataset.yaml``, by default ``default_split``, "val" or the first."""
    path = root / "dataset.yaml"
    with at(path):
        described = read_description(path)
    return open_described(root, described, split)


def open_described(root: Path, described: Mapping[str, Any], split: str | None = None) -> Dataset:
    """Open `root` at a split of the description in its ``dataset.yaml``."""
    path = root / "dataset.yaml"
    with at(path):
        labels = read_label_set(described, root.name)
        reading = read_reading(described)
        name, entry = _choose_split(described, split)
        suffixes = {
            key: text(described[key], key)
            for key in ("image_suffix", "label_suffix")
            if described.get(key) not in (None, "")
        }
        if entry.get("labels") in (None, ""):
            raise DatasetError(f"split {name!r} has no key labels; add the path of its folder")
        masks, images, lines = (_path(entry, key, root) for key in ("labels", "images", "list"))
        assert masks is not None
        patterns = read_patterns(described["classes"])
        where, skip = _where(entry), _skips_unlabelled(entry)
        source = planes_of(labels, patterns) if patterns else ImageAndLabelFiles() if images else LabelFiles()
        if patterns and not images:
            raise DatasetError(f"classes have masks, but split {name!r} has no images; add the path of their folder")
    items, notes = _paired(images, masks, suffixes, patterns)
    empty = "" if items else nothing_in(images or masks, IMAGE_SUFFIXES if images else LABEL_SUFFIXES)
    if lines:
        items, repeated = listed(items, lines, suffixes.get("image_suffix", ""), where)
        notes, empty = (*notes, *repeated), empty or f"{lines} lists no image"
    if images and skip:
        items, left = labelled(items)
        notes, empty = (*notes, *left), empty or "none of its images has a label map; correct label_suffix"
    elif images:
        require_labels(items)
    if not items:
        raise DatasetError(f"{path}: split {name!r} is empty: {empty}")
    return Dataset(f"folder:{root}", "folder", name, labels, items, (*notes, *reading.notes), source, reading)


def _paired(
    images: Path | None, masks: Path, suffixes: Mapping[str, str], patterns: Sequence[Sequence[str]]
) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Return all items, also images without a label map, and notes."""
    if images and patterns:
        return pair_planes(images, masks, suffixes.get("image_suffix", ""), patterns)
    if images:
        return pair_folders(images, masks, **suffixes, required=False)
    return label_maps_alone(masks, label_suffix=suffixes.get("label_suffix", ".png"))


def _where(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the values that rows of a table must have, by column."""
    where = entry.get("where") or {}
    if not isinstance(where, dict) or (where and not entry.get("list")):
        raise DatasetError(f"where is {where!r}, but must map columns of the list to values, as in {{fold: 1}}")
    return {str(column): text(value, f"where {column}") for column, value in where.items()}


def _skips_unlabelled(entry: Mapping[str, Any]) -> bool:
    if entry.get("unlabelled") not in (None, "skip"):
        raise DatasetError(f"unlabelled is {entry['unlabelled']!r}, but must be skip, or left out")
    return entry.get("unlabelled") == "skip"


def splits(root: Path) -> list[str]:
    """Return the splits that the ``dataset.yaml`` of `root` describes."""
    described = read_description(root / "dataset.yaml").get("splits")
    return [str(name) for name in described] if isinstance(described, dict) else []


def _choose_split(described: Mapping[str, Any], split: str | None) -> tuple[str, dict[str, Any]]:
    splits = described.get("splits")
    if not isinstance(splits, dict) or not splits:
        raise DatasetError("splits must map names to folders, as in val: {images: images/val, labels: labels/val}")
    splits = {str(name): entry for name, entry in splits.items()}
    default = described.get("default_split")
    name = split or (text(default, "default_split") if default else "val" if "val" in splits else next(iter(splits)))
    if name not in splits:
        raise UnknownSplit(f"has no split {name!r}; available: {shorten(splits, 10)}")
    if not isinstance(splits[name], dict):
        raise DatasetError(f"split {name!r} must be a mapping with the keys images and labels")
    refuse_unknown(splits[name], _SPLIT_KEYS, f"key of split {name!r}")
    return name, splits[name]


def _path(entry: Mapping[str, Any], key: str, root: Path) -> Path | None:
    """Return the path of a key, below `root` unless it is absolute; None where the entry has none."""
    value = entry.get(key)
    if value in (None, ""):
        return None
    path = root / text(value, key)
    return path if os.path.exists(path) else root / text(value, key).replace("\\", "/")
