"""Pair image files with label files."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from segablate.datasets.dataset import Item
from segablate.errors import DatasetError, counted, shorten
from segablate.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, visible_files

NO_IMAGES = "no images: the label maps can only be compared with predictions"


def pair_folders(
    images: Path, labels: Path, *, image_suffix: str = "", label_suffix: str = ".png"
) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Pair the images below one folder with the label files of the same relative path below another.

    An item's name is its image's path below `images` without `image_suffix` (or without its extension where that is
    empty); its label file is that name with `label_suffix`. Returns the items, and a note about label files without an
    image.

    Raises DatasetError when a folder is missing, an image has no label file, or two images have one name.
    """
    for folder, what in ((images, "images"), (labels, "label maps")):
        if not folder.is_dir():
            raise DatasetError(f"{folder}: no such folder of {what}; correct the path in dataset.yaml")
    found = [path for path in visible_files(images, IMAGE_SUFFIXES) if path.name.endswith(image_suffix)]
    items = tuple(_item(path, images, labels, image_suffix, label_suffix) for path in found)
    _refuse_twins(items, images)
    require_labels(items)
    used = {item.labels for item in items}
    present = [path for path in visible_files(labels, LABEL_SUFFIXES) if path.name.endswith(label_suffix)]
    spare = [path.relative_to(labels) for path in present if path not in used]
    return items, (f"{counted(len(spare), 'label map')} without an image left out ({shorten(spare)})",) if spare else ()


def label_maps_alone(labels: Path, *, label_suffix: str = ".png") -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Return items for the label maps below a folder without images, and a note about it.

    An item's name is the path below `labels` without `label_suffix`; its image is a file that does not exist.
    Raises DatasetError when the folder is missing.
    """
    if not labels.is_dir():
        raise DatasetError(f"{labels}: no such folder of label maps; correct the path in dataset.yaml")
    found = [path for path in visible_files(labels, LABEL_SUFFIXES) if path.name.endswith(label_suffix)]
    names = [path.relative_to(labels).as_posix().removesuffix(label_suffix) for path in found]
    items = tuple(Item(name, path.with_suffix(""), path) for name, path in zip(names, found, strict=True))
    return items, (NO_IMAGES,)


def _item(image: Path, images: Path, labels: Path, image_suffix: str, label_suffix: str) -> Item:
    relative = image.relative_to(images)
    stem = relative.name[: -len(image_suffix)] if image_suffix else relative.stem
    name = (relative.parent / stem).as_posix()
    return Item(name, image, labels / relative.parent / (stem + label_suffix))


def _refuse_twins(items: Iterable[Item], folder: Path) -> None:
    twice = [name for name, count in Counter(item.name for item in items).items() if count > 1]
    if twice:
        raise DatasetError(f"{folder}: several images are called {shorten(twice)}; rename all but one")


def require_labels(items: tuple[Item, ...]) -> None:
    """Raise DatasetError when the label file of an item does not exist."""
    missing = [item for item in items if not item.labels.is_file()]
    if missing:
        first = missing[0]
        raise DatasetError(
            f"{len(missing)} of {counted(len(items), 'image')} have no label map (first: {first.image.name}, "
            f"expected {first.labels}); add it, or correct label_suffix in dataset.yaml"
        )


def read_list(path: Path) -> list[str]:
    """Return the names in a split list: the first word of each line that is not empty."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such list of images; correct the path, or choose another split")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: not a text file; a list has one image name per line") from None
    return [line.split()[0] for line in lines if line.strip()]


def listed(items: Iterable[Item], path: Path, image_suffix: str = "") -> tuple[Item, ...]:
    """Return the items in a split list, in its order, found by name, or by base name where that is unique.

    Entries may be paths, also of another machine, with or without suffix. Raises DatasetError for unknown entries.
    """
    by_name = {item.name: item for item in items}
    by_base: dict[str, Item | None] = {}
    for name, item in by_name.items():
        base = PurePosixPath(name).name
        by_base[base] = None if base in by_base else item
    found, absent = [], []
    for entry in read_list(path):
        name = entry.removesuffix(image_suffix) if image_suffix else str(PurePosixPath(entry).with_suffix(""))
        item = by_name.get(entry) or by_name.get(name) or by_base.get(PurePosixPath(name).name)
        found.append(item) if item else absent.append(entry)
    if absent:
        raise DatasetError(
            f"{path}: {counted(len(absent), 'name')} without an image (first: {shorten(absent)}); correct the list"
        )
    return tuple(found)
