"""COCO: one JSON file for each split, with polygons and run lengths.

::

    coco/
      annotations/instances_val2017.json      also stuff_val2017.json, or any file of that form
      val2017/000000000139.jpg                also images/val2017/, or beside the JSON file, as Roboflow exports

Masks are those of pycocotools. An annotation with several polygons is their union; holes are in run lengths. Crowds
are drawn like single objects. Where an annotation has a box, but no outline that can be drawn, its box is void.
Categories of one name are one class, with a note. Lin et al., Microsoft COCO, ECCV 2014.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segablate.datasets.conversion.names import dataset_name
from segablate.datasets.conversion.rasters import box, outline, runs
from segablate.datasets.conversion.shapes import Annotated, Annotations, Faults, Flaw, Shape, Size
from segablate.datasets.conversion.source import Source, is_coco
from segablate.datasets.conversion.splits import ALL, split_in, split_of
from segablate.errors import DatasetError, SegablateError, counted, shorten
from segablate.labels import Colour

TITLE = "COCO"


def find(source: Source) -> list[Path]:
    """Return the JSON files of COCO; where some are called ``instances_*``, these."""
    files = source.files(".json")
    instances = [path for path in files if path.name.startswith("instances_")]
    if instances:
        return instances
    return files if any(is_coco(value) for _, value in source.first_json()) else []


def read(files: Sequence[Path], source: Source) -> Annotations:
    """Read the annotations of each file; each is a split."""
    faults, classes, images = Faults(), dict[str, Colour | None](), list[Annotated]()
    splits: dict[str, Path] = {}
    crowds, alike = 0, dict[str, None]()
    for path in files:
        try:
            value = source.json(path)
        except SegablateError:
            if len(files) == 1:
                raise
            faults.add("JSON file", "that cannot be parsed", path.name)
            continue
        if not is_coco(value):
            faults.add("JSON file", "of another format", path.name)
            continue
        split = _split(path, source)
        if splits.setdefault(split, path) != path:
            raise DatasetError(
                f"{splits[split]} and {path.name} both describe split {split!r}; convert one of them alone"
            )
        names = _categories(path, value)
        classes |= dict.fromkeys(names.values())
        alike |= dict.fromkeys(_alike(names))
        images += _images(path, value, names, split, faults)
        crowds += sum(bool(_entry(note).get("iscrowd")) for note in value["annotations"])
    _refuse_boxes(images, files[0])
    notes = [f"{counted(crowds, 'crowd')} drawn like single objects"] if crowds else []
    return Annotations(TITLE, "pycocotools", classes, tuple(images), faults, notes=(*notes, *alike))


def _split(path: Path, source: Source) -> str:
    named = split_in(path.stem)
    if named:
        return named
    below = path.relative_to(source.folder).as_posix() if path != source.path else f"{path.parent.name}/{path.name}"
    return split_of(below) if split_of(below) != ALL else ALL


def _entry(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _categories(path: Path, value: dict[str, Any]) -> dict[Any, str]:
    """Return the names of categories by id, without an unused one that only stands above the others.

    Raises DatasetError for a category without id or name, and for an id of two names.
    """
    named: dict[Any, str] = {}
    for entry in value["categories"]:
        try:
            number, name = _key(entry["id"]), str(entry["name"])
        except (KeyError, TypeError):
            raise DatasetError(f"{path}: has a category without id or name; export it again") from None
        if named.setdefault(number, name) != name:
            raise DatasetError(
                f"{path}: categories {named[number]!r} and {name!r} both have id {number}; give each its own"
            )
    used = {_key(_entry(note).get("category_id")) for note in value["annotations"]}
    above = {str(entry.get("supercategory")) for entry in value["categories"]}
    return {number: name for number, name in named.items() if number in used or above != {name, "none"}}


def _alike(names: dict[Any, str]) -> Iterator[str]:
    """Yield a note for each name that several categories have."""
    ids: dict[str, list[Any]] = defaultdict(list)
    for number, name in names.items():
        ids[name].append(number)
    for name, numbers in ids.items():
        if len(numbers) > 1:
            yield f"{len(numbers)} categories are called {name!r} (ids {shorten(numbers)}) and are one class"


def _images(
    path: Path, value: dict[str, Any], names: dict[Any, str], split: str, faults: Faults
) -> Iterator[Annotated]:
    shapes: dict[Any, list[Shape]] = defaultdict(list)
    for note in map(_entry, value["annotations"]):
        shapes[_key(note.get("image_id"))] += _shapes(note, names)
    seen = set()
    for image in map(_entry, value["images"]):
        file = image.get("file_name")
        if not isinstance(file, str) or not file:
            faults.add("image", "without a file name", path.name)
            continue
        number = _key(image.get("id"))
        if number in seen:
            faults.add("image", "whose id another image has", file)
            continue
        seen.add(number)
        yield Annotated(
            dataset_name(file, split),
            split,
            _files(file, path),
            path.parent,
            tuple(shapes.pop(number, ())),
            _size(image),
            file,
        )
    for left in shapes.values():
        for _ in left:
            faults.add("shape", "of an image that the file does not list", path.name)


def _key(value: Any) -> Any:
    return value if isinstance(value, int | str) else repr(value)


def _files(file: str, path: Path) -> tuple[str, ...]:
    """Return where an image may be: beside the JSON file, or in a folder of the name of its split."""
    folder = path.stem.partition("_")[2]
    return (file, f"{folder}/{file}", f"images/{file}", f"images/{folder}/{file}") if folder else (file,)


def _size(image: dict[str, Any]) -> Size | None:
    sides = (image.get("height"), image.get("width"))
    return sides if all(isinstance(side, int) and side > 0 for side in sides) else None  # pyright: ignore


def _shapes(note: dict[str, Any], names: dict[Any, str]) -> Iterator[Shape]:
    """Yield the polygons of an annotation, or its run lengths."""
    label, stored = names.get(_key(note.get("category_id"))), note.get("segmentation")
    extent = partial(_box, note.get("bbox"))
    if isinstance(stored, dict):
        yield Shape(label, partial(runs, stored), extent=extent)
    elif isinstance(stored, list) and stored:
        polygons = [stored] if isinstance(stored[0], int | float) else stored
        alone = extent if len(polygons) == 1 else None  # the box is that of all polygons of the annotation
        yield from (Shape(label, partial(outline, polygon), extent=alone) for polygon in polygons)
    else:
        yield Shape(label, _no_outline, extent=extent)


def _box(stored: Any, height: int, width: int) -> np.ndarray:
    """Return the pixels of a box, [left, top, width, height]. Raises Flaw for another value."""
    try:
        left, top, across, down = stored
        return box([[left, top], [left + across, top + down]], height, width)
    except (TypeError, ValueError):
        raise Flaw("without a box") from None


def _no_outline(height: int, width: int) -> np.ndarray:
    raise Flaw("with a box but no outline")


def _refuse_boxes(images: Sequence[Annotated], path: Path) -> None:
    shapes = [shape for image in images for shape in image.shapes]
    if shapes and all(shape.mask is _no_outline for shape in shapes):
        raise DatasetError(f"{path}: its annotations are boxes without outlines; segmentation needs polygons or masks")
