"""Pair image files with label files, by names and suffixes in whatever capitals."""

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from segablate.datasets.dataset import Item
from segablate.datasets.lists import find_listed, read_list
from segablate.datasets.split_tables import TABLE_SUFFIXES, names_in_table, read_table
from segablate.errors import DatasetError, counted, shorten, thousands
from segablate.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, is_file, is_folder, shortened, visible_files

NO_IMAGES = "no images: the label maps can only be compared with predictions"

_ALIKE = ((".jpg", ".jpeg"), (".tif", ".tiff"))
"""Suffixes of one format."""


def pair_folders(
    images: Path,
    labels: Path,
    *,
    image_suffix: str = "",
    label_suffix: str = ".png",
    unused: str | None = None,
    required: bool = True,
) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Pair the images below one folder with the label files of the same relative path below another.

    An item's name is its image's path below `images` without `image_suffix` (or without its extension where that is
    empty); its label file is that name with `label_suffix`. Extensions match in any capitals, and .jpeg as .jpg, .tiff
    as .tif. A file that ends in a longer `label_suffix` is no image. Returns the items, and notes about images and
    label files that were left out, but for label files that end in `unused`.

    Raises DatasetError when a folder is missing, two images have one name, or an image has no label file, unless these
    are not `required`.
    """
    for folder, what in ((images, "images"), (labels, "label maps")):
        require_folder(folder, what)
    pictures = [
        (path, *_kinds(path, images, image_suffix, label_suffix)) for path in visible_files(images, IMAGE_SUFFIXES)
    ]
    maps = {plain_name(name): path for name, path in _label_files(labels, label_suffix).items()}
    items = tuple(
        Item(name, path, maps.get(plain_name(name)) or labels / f"{name}{label_suffix}")
        for path, name, _ in pictures
        if name is not None
    )
    refuse_twins(items, images)
    if required:
        require_labels(items, maps.values())
    used = {path for item in items for path in (item.labels, item.image)}
    spare = [
        path.relative_to(labels)
        for path in maps.values()
        if path not in used and not (unused and path.name.endswith(unused))
    ]
    others = [path.relative_to(images) for path, name, as_label in pictures if name is None and as_label is None]
    return items, (
        *_left_out(others, "image", f"not ending in {image_suffix}"),
        *_left_out(spare, "label map", "without an image"),
    )


def _kinds(path: Path, folder: Path, image_suffix: str, label_suffix: str) -> tuple[str | None, str | None]:
    """Return the name of a file as an image and as a label map, or None; a longer label suffix makes it no image."""
    as_image, as_labels = names_below(path, folder, (image_suffix, label_suffix))
    word, other = (os.path.splitext(f"x{suffix}")[0] for suffix in (label_suffix, image_suffix))
    is_mask = as_labels is not None and len(word) > len(other)
    return None if is_mask else as_image, as_labels


def label_maps_alone(labels: Path, *, label_suffix: str = ".png") -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Return items for the label maps below a folder without images, and a note about it.

    An item's name is the path below `labels` without `label_suffix`; its image is a file that does not exist.
    Raises DatasetError when the folder is missing, or two label maps have one name.
    """
    require_folder(labels, "label maps")
    found = _label_files(labels, label_suffix)
    return tuple(Item(name, path.with_suffix(""), path) for name, path in found.items()), (NO_IMAGES,)


def require_folder(folder: Path, what: str) -> None:
    if not is_folder(folder):
        raise DatasetError(f"{shortened(folder)}: no such folder of {what}; correct the path in dataset.yaml")


def nothing_in(folder: Path, read: Collection[str]) -> str:
    """Say why a folder has no images or label maps: it holds other files than those `read`, or none of the suffix."""
    names = (name for _, _, files in os.walk(folder) for name in files if not name.startswith("."))
    kinds = Counter(os.path.splitext(name)[1].lower() for name in names)
    if not kinds or set(kinds) & set(read):
        return f"no files in {folder}; correct path and suffix"
    found = shorten(f"{thousands(count)} {kind or 'without suffix'}" for kind, count in kinds.most_common())
    return f"{folder} holds files that are not read ({found}); save them as PNG"


def names_below(path: Path, folder: Path, suffixes: Iterable[str]) -> Iterator[str | None]:
    """Yield for each suffix the path below a folder without it, or without its extension where it is empty.

    None for a file that does not end in the suffix.
    """
    below = str(path)[len(str(folder)) :].lstrip(os.sep).replace(os.sep, "/")
    small = folded(below)
    for suffix in suffixes:
        if suffix:
            form = next((form for form in _forms(suffix) if small.endswith(form)), None)
            yield (
                below[: -len(form)] if form is not None and not small.endswith(f"/{form}") and small != form else None
            )
        else:
            yield os.path.splitext(below)[0]


@cache
def _forms(suffix: str) -> tuple[str, ...]:
    """Return a suffix with its extension in small letters, and in the other forms of its format."""
    small = folded(suffix)
    others = [
        small.removesuffix(form) + other
        for alike in _ALIKE
        for form in alike
        for other in alike
        if small.endswith(form) and other != form
    ]
    return (small, *others)


def usual_suffix(suffix: str) -> str:
    """Return the usual form of an extension: small letters, .jpg for .jpeg and .tif for .tiff."""
    small = suffix.lower()
    return next((alike[0] for alike in _ALIKE if small in alike), small)


def folded(name: str) -> str:
    """Return a file name or suffix with its extension in small letters."""
    head, dot, extension = name.rpartition(".")
    return f"{head}{dot}{extension.lower()}" if dot else name


def plain_name(name: str) -> str:
    """Return a name with accents composed: some systems store them apart from their letters."""
    return unicodedata.normalize("NFC", name)


def _label_files(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the files below a folder that end in the suffix, by their path without it. DatasetError for twins."""
    endings = [os.path.splitext(f"x{form}")[1] for form in _forms(suffix)]
    found: dict[str, Path] = {}
    for path in visible_files(folder, (*LABEL_SUFFIXES, *endings)):
        (name,) = names_below(path, folder, (suffix,))
        if name is not None and found.setdefault(name, path) != path:
            raise DatasetError(
                f"{folder}: {found[name].name} and {path.name} are label maps of one name; remove or rename one"
            )
    return found


def _left_out(paths: list[Path], what: str, why: str) -> tuple[str, ...]:
    return (f"{counted(len(paths), what)} {why} left out ({shorten(paths)})",) if paths else ()


def refuse_twins(items: Iterable[Item], folder: Path) -> None:
    twice = [name for name, count in Counter(item.name for item in items).items() if count > 1]
    if twice:
        raise DatasetError(f"{folder}: several images are called {shorten(twice)}; rename all but one")


def require_labels(items: tuple[Item, ...], present: Iterable[Path] = ()) -> None:
    """Raise DatasetError when the label file of an item does not exist; those `present` are known to."""
    known = set(present)
    missing = [item for item in items if item.labels not in known and not is_file(item.labels)]
    if missing:
        first = missing[0]
        raise DatasetError(
            f"no label map for {len(missing)} of {counted(len(items), 'image')} (first: {first.image.name}, expected "
            f"{first.labels}); add it, correct label_suffix in dataset.yaml, or state unlabelled: skip in the split"
        )


def labelled(items: Iterable[Item]) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Return the items whose label file exists, and a note on the others."""
    items = tuple(items)
    kept = tuple(item for item in items if is_file(item.labels))
    known = set(kept)
    left = [item.image.name for item in items if item not in known]
    return kept, ((f"{counted(len(left), 'image')} without a label map left out ({shorten(left)})",) if left else ())


def listed(
    items: Iterable[Item], path: Path, image_suffix: str = "", where: Mapping[str, str] | None = None
) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Return the items in a split list, in its order and each once, and a note on those listed several times.

    Of a CSV file, the rows that have the values `where`, by column, count. Raises DatasetError for lines that name no
    item; see :func:`segablate.datasets.lists.find_listed`.
    """
    by_name = {item.name: item for item in items}
    if path.suffix.lower() in TABLE_SUFFIXES:
        lines = names_in_table(read_table(path), by_name, where or {}, image_suffix, path)
    else:
        lines = read_list(path)
    found = find_listed(lines, by_name, image_suffix)
    if found.absent:
        count = counted(len(found.absent), "name")
        raise DatasetError(f"{path}: {count} without an image (first: {shorten(found.absent)}); correct the list")
    return tuple(by_name[name] for name in found.names), found.notes(path.name)
