"""Finding which label file belongs to which image."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from segablate.datasets.dataset import Item
from segablate.errors import DatasetError, shorten
from segablate.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, visible_files

NO_IMAGES = "there are no images: the label maps can only be compared with predictions"


def pair_folders(
    images: Path, labels: Path, *, image_suffix: str = "", label_suffix: str = ".png"
) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Pair the images below one folder with the label files of the same relative path below another.

    An item's name is its image's path below `images` without `image_suffix` (or without its extension where that is
    empty); its label file is that name with `label_suffix`. Returns the items and notes on label files left over.

    Raises DatasetError when a folder is missing, an image has no label file, or two images have one name.
    """
    for folder, what in ((images, "images"), (labels, "label maps")):
        if not folder.is_dir():
            raise DatasetError(f"{folder}: there is no such folder of {what}; correct the path in the dataset file")
    found = [path for path in visible_files(images, IMAGE_SUFFIXES) if path.name.endswith(image_suffix)]
    items = tuple(_item(path, images, labels, image_suffix, label_suffix) for path in found)
    _refuse_twins(items, images)
    require_labels(items)
    used = {item.labels for item in items}
    present = [path for path in visible_files(labels, LABEL_SUFFIXES) if path.name.endswith(label_suffix)]
    spare = [path.relative_to(labels) for path in present if path not in used]
    return items, (f"{len(spare)} label maps without an image were left out ({shorten(spare)})",) if spare else ()


def label_maps_alone(labels: Path, *, label_suffix: str = ".png") -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """The label maps below a folder where there are no images, and a note that says so.

    An item's name is the path below `labels` without `label_suffix`; its image is a file that is not there.
    DatasetError when the folder is missing.
    """
    if not labels.is_dir():
        raise DatasetError(f"{labels}: there is no such folder of label maps; correct the path in the dataset file")
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
        raise DatasetError(f"{folder}: {shorten(twice)} stands for several images; names must differ beyond the suffix")


def require_labels(items: tuple[Item, ...]) -> None:
    """Raise DatasetError when the label file of an item is not there."""
    missing = [item for item in items if not item.labels.is_file()]
    if missing:
        first = missing[0]
        raise DatasetError(
            f"{len(missing)} of {len(items)} images have no label map (first: {first.image.name}, expected "
            f"{first.labels}); add them, or correct label_suffix in the dataset file"
        )


def read_list(path: Path) -> list[str]:
    """The names in a split list: the first word of each line that is not empty."""
    if not path.is_file():
        raise DatasetError(f"{path}: there is no such list of images; correct the path, or choose another split")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: not a text file; a list has one image name a line") from None
    return [line.split()[0] for line in lines if line.strip()]


def listed(items: Iterable[Item], path: Path, image_suffix: str = "") -> tuple[Item, ...]:
    """The items that a split list names, in its order: by whole name, or by base name where that is unique.

    Entries may be paths, also of another machine, with or without suffix. DatasetError when one is not there.
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
        raise DatasetError(f"{path} names {len(absent)} images that are not there (first: {shorten(absent)})")
    return tuple(found)
