"""YOLO segmentation: one text file for each image, with a class and an outline in each line.

::

    source/
      data.yaml                   names, and the folders or lists of images of train, val and test
      images/val/a.jpg
      labels/val/a.txt            0 0.1 0.2 0.5 0.2 0.5 0.8: class, then x and y as shares of width and height

Without data.yaml, names are the lines of obj.names (as CVAT exports) or classes.txt, and images are found beside their
text files or below images/. Outlines are drawn as Ultralytics draws them: whole pixels, filled by OpenCV, later lines
over earlier ones; a hole is part of an outline that goes there and back. An image without text file has no objects. A
line with a box in place of an outline makes its box void.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from segablate.datasets.conversion.names import dataset_name
from segablate.datasets.conversion.rasters import box, checked_points
from segablate.datasets.conversion.shapes import Annotated, Annotations, Flaw, Shape
from segablate.datasets.conversion.source import Source
from segablate.datasets.conversion.splits import split_in, split_of
from segablate.errors import DatasetError, SegablateError, at, counted, shorten
from segablate.files import IMAGE_SUFFIXES, is_file, is_folder, visible_files
from segablate.text_files import read_text
from segablate.yaml_files import read_yaml

TITLE = "YOLO segmentation"

_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")
_NAMES = ("obj.names", "classes.txt", "labels.txt", "obj_train_data/obj.names")
_SPLITS = ("train", "val", "valid", "test")
_MARGIN = 0.01
"""Coordinates may be this much outside 0..1, as in Ultralytics."""


def find(source: Source) -> list[Path]:
    """Return data.yaml, or the text files that hold numbers alone and at least one outline or box."""
    described = _description(source)
    if described:
        return [described]
    texts = [path for path in source.files(".txt") if path.name not in _NAMES]
    return texts if any(_is_label(path) for path in texts[:50]) else []


def read(files: Sequence[Path], source: Source) -> Annotations:
    """Read the outlines of every image of each split. Raises DatasetError for boxes alone."""
    described = _description(source)
    names = _named(described, source)
    found = _described(described) if described else _beside(files, source)
    images, numbers, lengths, bare = [], [-1], [], 0
    for split, name, path, label in found:
        lines = _lines(label) if label else []
        bare += label is None
        numbers += [number for number, _ in lines if number is not None]
        lengths += [len(values) for _, values in lines]
        shapes = tuple(
            Shape(_name(number, names), partial(draw, values), extent=partial(_box, values)) for number, values in lines
        )
        images.append(Annotated(name, split, (str(path.absolute()),), source.folder, shapes, None, path.name))
    if lengths and set(lengths) == {4}:
        raise DatasetError(f"{source.path}: its lines are boxes without outlines; segmentation needs outlines")
    notes = [f"{counted(bare, 'image')} without a text file: no objects"] if bare else []
    if not names:
        names = {number: f"class_{number}" for number in range(max(numbers) + 1)}
        notes.append("no data.yaml, obj.names or classes.txt names the classes: they are called by number")
    if twice := sorted(name for name, times in Counter(names.values()).items() if times > 1):
        notes.append(f"several classes are called {shorten(twice)}, and are one class each")
    classes = dict.fromkeys(names.values())
    return Annotations(TITLE, "Ultralytics (OpenCV)", classes, tuple(images), notes=tuple(notes))


def draw(values: Sequence[float], height: int, width: int) -> np.ndarray:
    """Return the inside of an outline of shares, H, W bool. Raises Flaw for a box, and for points outside the image."""
    import cv2

    if not values:
        raise Flaw("in lines that are no class and coordinates")
    if len(values) == 4:
        raise Flaw("with a box but no outline")
    if len(values) % 2:
        raise Flaw("with an odd number of coordinates")
    if any(not -_MARGIN <= value <= 1 + _MARGIN for value in values):
        raise Flaw("whose points are no shares of the image's size, 0 to 1")
    points = checked_points(values, height, width) * (width, height)
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [points.astype(np.int32)], 1)
    return canvas.astype(bool)


def _box(values: Sequence[float], height: int, width: int) -> np.ndarray:
    """Return the pixels of a box, shares of centre and size. Raises Flaw for what is no box."""
    if len(values) != 4:
        raise Flaw("without a box")
    x, y, across, down = (share * side for share, side in zip(values, (width, height) * 2, strict=True))
    return box([[x - across / 2, y - down / 2], [x + across / 2, y + down / 2]], height, width)


def _description(source: Source) -> Path | None:
    if source.path.suffix.lower() in (".yaml", ".yml"):
        return source.path
    for name in _DESCRIPTIONS:
        path = source.folder / name
        if is_folder(source.path) and is_file(path):
            try:
                value = read_yaml(path)
            except SegablateError:
                continue
            if isinstance(value, dict) and "names" in value:
                return path
    return None


def _named(described: Path | None, source: Source) -> dict[int, str]:
    """Return class names by number, from data.yaml or a list; none where nothing names them."""
    if described:
        with at(described):
            value = read_yaml(described)
            names = value.get("names") if isinstance(value, dict) else None
            pairs = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
            try:
                found = {int(number): str(name) for number, name in pairs}
            except (ValueError, TypeError):
                found = {}
            if not found:
                raise DatasetError("names no classes; expected names: [road, car] or names: {0: road, 1: car}")
            return found
    path = next((source.folder / name for name in _NAMES if is_file(source.folder / name)), None)
    if path is None:
        return {}
    with at(path):
        return dict(enumerate(line.strip() for line in read_text(path).splitlines() if line.strip()))


def _name(number: int | None, names: dict[int, str]) -> str | None:
    return None if number is None else names.get(number) if names else f"class_{number}"


_Found = tuple[str, str, Path, Path | None]
"""Split, name in the dataset, image, and text file if there is one."""


def _described(path: Path) -> Iterator[_Found]:
    """Yield the images that the splits of a data.yaml name. Raises DatasetError where it names none."""
    value = read_yaml(path)
    stated = value.get("path")
    bases = [path.parent, *([path.parent / str(stated), Path(str(stated))] if stated else [])]
    any_split = False
    for split in _SPLITS:
        places = value.get(split)
        for place in places if isinstance(places, list) else [places] if places else []:
            found = _place(str(place), bases)
            if found is None:
                if split != "test":
                    raise DatasetError(f"{path}: {split}: {place}: no such folder or list of images; correct the path")
                continue
            any_split = True
            root, files = found
            for file in files:
                yield split, dataset_name(_below(file, root), split), file, _label_of(file)
    if not any_split:
        raise DatasetError(f"{path}: names no images; expected train: or val: with a folder of images")


def _place(place: str, bases: Sequence[Path]) -> tuple[Path, list[Path]] | None:
    """Return folder and images of a split, where it exists; Roboflow's ``../`` leads one level too far."""
    for base in reversed(bases):
        for name in (place, place.removeprefix("../")):
            path = base / name
            if is_folder(path):
                return path, visible_files(path, IMAGE_SUFFIXES)
            if is_file(path):
                with at(path):
                    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
                return path.parent, [_listed(line, path.parent) for line in lines]
    return None


def _listed(line: str, folder: Path) -> Path:
    """Return an image of a list: relative to the list, or to its folder without the first folder of the line."""
    direct = folder / line
    return direct if is_file(direct) else folder / Path(*Path(line).parts[1:])


def _below(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name


def _label_of(image: Path) -> Path | None:
    """Return the text file of an image: below labels/ instead of the last images/, or beside it."""
    head, found, tail = image.as_posix().rpartition("/images/")
    swapped = Path(f"{head}/labels/{tail}") if found else image
    return next((path for each in (swapped, image) if is_file(path := each.with_suffix(".txt"))), None)


def _beside(files: Sequence[Path], source: Source) -> Iterator[_Found]:
    """Yield the images of a folder without data.yaml, with their text files where there are any."""
    texts = set(files)
    for image in source.files(*IMAGE_SUFFIXES):
        label = _label_of(image)
        if label in texts or any(text.parent == image.parent for text in texts):
            below = _below(image, source.folder)
            split = split_of(below) if split_of(below) != "all" else split_in(image.parent.name) or "all"
            yield split, dataset_name(below, split), image, label


def _is_label(path: Path) -> bool:
    try:
        lines = _lines(path)
    except SegablateError:
        return False
    return bool(lines) and all(number is not None and len(values) >= 4 for number, values in lines)


def _lines(path: Path) -> list[tuple[int | None, list[float]]]:
    """Return class and coordinates of each line; None and none for a line of another form."""
    with at(path):
        return [_line(line.split()) for line in read_text(path).splitlines() if line.strip()]


def _line(words: Sequence[str]) -> tuple[int | None, list[float]]:
    try:
        number = float(words[0])
        return (int(number), [float(word) for word in words[1:]]) if number.is_integer() else (None, [])
    except ValueError:
        return None, []
