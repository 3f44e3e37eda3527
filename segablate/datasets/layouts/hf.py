"""A dataset of the Hugging Face hub, or written by ``save_to_disk`` of the library `datasets`. Needs pyarrow.

::

    mydata/                     a snapshot of the hub, as downloaded
      README.md                 the card: which files are which split, and the features; optional
      id2label.json             the classes, by code: {"0": "road", "1": "car"}; 255 is void
      data/train-00000-of-00002.parquet   data/validation-00000-of-00001.parquet

    mydata/                     as save_to_disk writes it
      dataset_dict.json         the splits; without this file there is one split, "all"
      id2label.json
      validation/
        state.json  dataset_info.json  data-00000-of-00001.arrow

Images are encoded images in one column, label maps encoded images or H x W integers in another. Both columns are found
by type and usual name (image, label, annotation, mask, ...). Classes may also be the names of a ClassLabel. A
``dataset.yaml`` may state all this, with the keys name, classes, void, encoding, exif, image_range and palettes of the
layout "folder", and:

    image_column: photo
    label_column: trimap

"val" also opens the split "validation". Splits of the card's other configurations are called CONFIG/SPLIT. The folder
may also be a repository in the hub's cache, such as ``datasets--OWNER--NAME``. An image is called by the file it was
made from, or else by its number.
"""

from pathlib import Path
from typing import Any

from segablate.datasets.arrow_columns import Columns, class_names, find_columns
from segablate.datasets.arrow_rows import Rows, file_names, number_of_rows
from segablate.datasets.dataset import Dataset, Item
from segablate.datasets.description import READING_KEYS, read_description, read_label_set, read_reading, text
from segablate.datasets.hub_files import features_of, hub_root, hub_splits, require_split
from segablate.datasets.layout import Layout, choose_split
from segablate.errors import DatasetError, at, shorten
from segablate.files import is_file
from segablate.images.pictures import Reading
from segablate.labels import LabelSet, ignore_index
from segablate.text_files import read_json

LAYOUT = Layout(
    (), "dataset_dict.json or state.json, as save_to_disk writes them, or *.parquet", "validation", always_void=False
)

_KEYS = ("name", "classes", "void", "encoding", "image_column", "label_column", *READING_KEYS)
_ALL = "all"
_USUAL = ("val", "validation", "test")


def splits(root: Path) -> list[str]:
    """Return the splits in `root`; "all" for a dataset without splits."""
    if (root / "dataset_dict.json").is_file():
        return [str(name) for name in _entry(root / "dataset_dict.json", "splits", list)]
    return [_ALL] if (root / "state.json").is_file() else list(hub_splits(hub_root(root)))


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at a split, by default "val", "validation", "test" or the first one."""
    present = splits(root)
    wanted = split or next((name for name in (*_USUAL, *present) if name in present), "validation")
    if wanted == "val" and wanted not in present and "validation" in present:
        wanted = "validation"
    name = choose_split(root, wanted, present, LAYOUT.expects)
    folder, paths, features = _stored(root, name)
    described = root / "dataset.yaml"
    with at(described):
        said = read_description(described, _KEYS) if described.is_file() else {}
        reading = read_reading(said)
        image, label = (text(said[key], key) if said.get(key) else None for key in ("image_column", "label_column"))
    with at(folder):
        columns = find_columns(features, image, label)
    items, rows = _items(folder, paths, columns)
    source = Rows(columns.images, columns.maps, rows)
    labels = _label_set(root, said, features[columns.maps])
    if labels is None:
        raise DatasetError(_unnamed(root, source, items[0]))
    notes = (f"images are in column {columns.images!r}, label maps in {columns.maps!r}", *reading.notes)
    return Dataset(f"hf:{root}", "hf", name, labels, items, notes, source, reading)


def _read(path: Path) -> Any:
    """Return the value in a JSON file. Raises DatasetError when it is missing or invalid."""
    if not is_file(path):
        raise DatasetError(f"{path}: no such file; save the dataset again with save_to_disk")
    with at(path):
        return read_json(path)


def _entry(path: Path, key: str, kind: type) -> Any:
    """Return an entry of the object in a JSON file.

    Raises DatasetError when it is missing, empty or of another type.
    """
    found = _read(path)
    if not isinstance(found, dict) or not found.get(key) or not isinstance(found[key], kind):
        raise DatasetError(f"{path}: has no {key!r}; save the dataset again with save_to_disk")
    return found[key]


def _stored(root: Path, split: str) -> tuple[Path, list[Path], dict[str, Any]]:
    """Return the folder of a split, its files in order, and its features."""
    if not any(is_file(root / name) for name in ("dataset_dict.json", "state.json")):
        place = hub_root(root)
        files = require_split(hub_splits(place), split, place)
        return place, files, features_of(place, files)
    folder = root / split if is_file(root / "dataset_dict.json") else root
    features = _entry(folder / "dataset_info.json", "features", dict)
    files = _entry(folder / "state.json", "_data_files", list)
    if not all(isinstance(entry, dict) and isinstance(entry.get("filename"), str) for entry in files):
        raise DatasetError(f"{folder / 'state.json'}: names no files; save the dataset again with save_to_disk")
    return folder, [folder / entry["filename"] for entry in files], features


def _items(folder: Path, paths: list[Path], columns: Columns) -> tuple[tuple[Item, ...], dict[str, int]]:
    """Return an item for each row of a split, in order, and the index of its row in its file."""
    places = [(path, row) for path in paths for row in range(number_of_rows(path))]
    if not places:
        raise DatasetError(f"{folder} has no rows; choose another split")
    names = _names(paths, columns.images) or [f"{index:06d}" for index in range(len(places))]
    items = tuple(Item(name, path, path) for name, (path, _) in zip(names, places, strict=True))
    return items, {name: row for name, (_, row) in zip(names, places, strict=True)}


def _names(paths: list[Path], column: str) -> list[str] | None:
    """Return the names of the files that the images were made from; None when one is missing or two are equal."""
    names = [Path(str(file or "")).stem for path in paths for file in file_names(path, column)]
    return names if all(names) and len(set(names)) == len(names) else None


def _label_set(root: Path, said: dict[str, Any], feature: Any) -> LabelSet | None:
    """Read the label set from dataset.yaml, id2label.json or the feature; None when none of them names classes."""
    if "classes" in said:
        with at(root / "dataset.yaml"):
            return read_label_set(said, root.name)
    path = next((path for above in (root, hub_root(root)) if is_file(path := above / "id2label.json")), None)
    if path is not None:
        return _numbered(root.name, _read(path), path)
    names = [str(name) for name in class_names(feature) or ()]
    return LabelSet(root.name, tuple(names), tuple((code,) for code in range(len(names)))) if names else None


def _numbered(name: str, names: Any, path: Path) -> LabelSet:
    """Return the label set of names by code; 255 (65535 beyond 255 classes) is void unless it is named."""
    try:
        classes = sorted((int(code), str(name)) for code, name in names.items())
    except (ValueError, AttributeError):
        raise DatasetError(f'{path}: expected names by code, as in {{"0": "road", "1": "car"}}') from None
    codes, void = tuple((code,) for code, _ in classes), ignore_index(len(classes))
    with at(path):
        return LabelSet(name, tuple(name for _, name in classes), codes, () if (void,) in codes else (void,))


def _unnamed(root: Path, source: Rows, item: Item) -> str:
    """Return the message for a dataset without class names, with the codes of its first label map."""
    codes = sorted({int(code) for code in source.labels(item, Reading()).values.reshape(-1)})
    return (
        f"{root}: has no class names (codes in the first label map: {shorten(codes, 10)}); write "
        f'id2label.json there, as in {{"0": "road", "1": "car"}}, or a dataset.yaml (see `segablate datasets show hf`)'
    )
