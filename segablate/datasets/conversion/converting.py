"""Convert a source: find its format, draw each image, and write images, label maps and dataset.yaml."""

import gc
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain, count
from pathlib import Path
from pkgutil import iter_modules
from typing import Literal

import numpy as np

from segablate.datasets import formats
from segablate.datasets.conversion.description import Classes, describe
from segablate.datasets.conversion.drawing import draw
from segablate.datasets.conversion.foreign import what_it_is
from segablate.datasets.conversion.pictures import Pictures, contents
from segablate.datasets.conversion.shapes import Annotated, Annotations, Faults, Flaw, Size
from segablate.datasets.conversion.source import Source
from segablate.datasets.layouts import folder as layout
from segablate.errors import DatasetError, SegablateError, counted, shorten
from segablate.files import (
    IMAGE_SUFFIXES,
    atomic_folder,
    is_file,
    is_folder,
    read_bytes,
    shortened,
    write_atomically,
    writing,
)
from segablate.images.label_maps import write_label_map

Outside = Literal["background", "void"]
Progress = Callable[[int], None]


@dataclass
class Written:
    """What was drawn of one class: images with a shape of it, shapes, and pixels that it has in the end."""

    images: int = 0
    shapes: int = 0
    pixels: int = 0


@dataclass
class Converted:
    """A written dataset.

    - `splits`: images of each; `classes`: what was drawn of each, in the order of their codes.
    - `copied`: images that are not links; `faults`: what was left out; `notes`: what else matters.
    """

    annotations: Annotations
    classes: Classes
    splits: Counter[str] = field(default_factory=Counter)
    drawn: dict[str, Written] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    void_pixels: int = 0
    copied: int = 0
    notes: list[str] = field(default_factory=list)


def read_source(source: Source) -> Annotations:
    """Read a source in the first format that finds files of its own.

    Raises DatasetError for a source that does not exist, and for one of no known format, with what it is.
    """
    if not is_file(source.path) and not is_folder(source.path):
        raise DatasetError(f"{shortened(source.path)}: no such file or folder of annotations; correct the path")
    if source.stated is not None and not is_folder(source.stated):
        raise DatasetError(f"{shortened(source.stated)}: no such folder of images; correct --image-dir")
    with _uncollected():
        for module in iter_modules(formats.__path__):
            form = import_module(f"{formats.__name__}.{module.name}")
            files = form.find(source)
            if files:
                return form.read(files, source)
        raise DatasetError(what_it_is(source))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector rest: it would visit the millions of numbers of a large file again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def convert(
    source: Path,
    out: Path,
    *,
    images: Path | None = None,
    copy: bool = False,
    outside: Outside = "background",
    progress: Progress | None = None,
) -> Converted:
    """Write `out`: ``images/SPLIT``, ``labels/SPLIT`` and ``dataset.yaml``; it exists only once all is written.

    :param images: folder of the images, where the source does not lead to them.
    :param copy: copy the images instead of linking to them.
    :param outside: whether pixels in no shape are a class, background, or void.
    :param progress: called after each image.

    Raises DatasetError when `out` exists, the source is of no known format, no image is left or none of its shapes can
    be drawn, and LabelError for more
    classes than a label set may have.
    """
    if is_file(out) or is_folder(out):
        raise DatasetError(f"{out} already exists; remove it, or choose another folder")
    found = read_source(Source(source, images))
    classes = Classes.of(found, outside)
    classes.check(out.name)
    result = Converted(found, classes, faults=found.faults, notes=list(found.notes))
    result.drawn = {name: Written() for name in classes.names}
    pictures = Pictures(Source(source, images))
    with writing(out), atomic_folder(out) as folder:
        used = _write_all(result, pictures, folder, copy, progress)
        if not result.splits:
            raise DatasetError(_nothing(source, result.faults))
        if result.faults.count("shape") and not any(written.shapes for written in result.drawn.values()):
            raise DatasetError(f"{shortened(source)}: no shape could be drawn: {'; '.join(result.faults.lines())}")
        write_atomically(folder / "dataset.yaml", describe(classes, out.name, list(result.splits)))
        for split in result.splits:
            layout.open_split(folder, split)
    spare = [path.name for path in pictures.others(used)]
    if spare:
        result.notes.append(f"{counted(len(spare), 'image')} without annotations left out ({shorten(spare)})")
    return result


def _write_all(result: Converted, pictures: Pictures, folder: Path, copy: bool, progress: Progress | None) -> set[Path]:
    """Draw every image; return the files that were used."""
    taken: set[tuple[str, str]] = set()
    used: set[Path] = set()
    for image in result.annotations.images:
        if progress:
            progress(1)
        try:
            path, data = _found(image, pictures)
            found = contents(data, image.where)
            size = found.size(image.size)
        except Flaw as flaw:
            result.faults.add("image", str(flaw), image.where)
            continue
        name = _free(image, taken)
        suffix = path.suffix if path and path.suffix.lower() in IMAGE_SUFFIXES else found.suffix
        target = folder / "images" / image.split / f"{name}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if path is None:
            target.write_bytes(data.tobytes())
        else:
            result.copied += not _linked(path, target, copy)
            used.add(path.resolve())
        _draw(image, size, folder / "labels" / image.split / f"{name}.png", result)
    return used


def _found(image: Annotated, pictures: Pictures) -> tuple[Path | None, np.ndarray]:
    """Return the file of an image and its bytes; of an embedded image, the bytes alone. Raises Flaw where it is not."""
    path = pictures.find(image)
    if path is not None:
        try:
            return path, read_bytes(path)
        except SegablateError:
            raise Flaw("that cannot be read") from None
    if image.embedded is None:
        raise Flaw("whose file is missing")
    return None, np.frombuffer(image.embedded(), np.uint8)


def _free(image: Annotated, taken: set[tuple[str, str]]) -> str:
    """Return a name that no other image of the split has, and take it."""
    names = chain([image.name], (f"{image.name}_{number}" for number in count(2)))
    name = next(name for name in names if (image.split, name.lower()) not in taken)
    taken.add((image.split, name.lower()))
    return name


def _linked(path: Path, target: Path, copy: bool) -> bool:
    """Link to an image, or copy it where that is asked for or no link can be made; return whether it is a link."""
    if not copy:
        try:
            target.symlink_to(path.resolve())
            return True
        except OSError:
            pass  # no links on this disk, or not allowed
    shutil.copyfile(path, target)
    return False


def _draw(image: Annotated, size: Size, target: Path, result: Converted) -> None:
    """Write the label map of an image, and count what it holds."""
    classes = result.classes
    labels, drawn = draw(image, size, classes.codes, classes.rest, classes.void, result.faults)
    write_label_map(target, labels)
    result.splits[image.split] += 1
    for label, shapes in Counter(drawn).items():
        name = classes.class_of(label)
        if name is not None:
            result.drawn[name].images += 1
            result.drawn[name].shapes += shapes
    for code, pixels in zip(*np.unique(labels, return_counts=True), strict=True):
        if code == classes.void:
            result.void_pixels += int(pixels)
        else:
            result.drawn[classes.names[code]].pixels += int(pixels)


def _nothing(source: Path, faults: Faults) -> str:
    reasons = "; ".join(_reasons(faults))
    remedy = "; name their folder with --image-dir" if "missing" in reasons else ""
    return f"{shortened(source)}: no image could be converted: {reasons or 'it lists none'}{remedy}"


def _reasons(faults: Faults) -> Iterator[str]:
    return (line for line in faults.lines() if "image" in line.split(" (first")[0])
