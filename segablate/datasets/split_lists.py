"""Find the files that say which images are in which split: lists of names, and tables with a column of splits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from segablate.datasets.dataset import Item
from segablate.datasets.folder_words import split_word
from segablate.datasets.lists import find_listed, read_list
from segablate.datasets.pairing import labelled, listed
from segablate.datasets.split_search import Split
from segablate.datasets.split_tables import (
    TABLE_SUFFIXES,
    SplitTable,
    name_column,
    names_in_table,
    read_table,
    split_columns,
)
from segablate.errors import DatasetError, SegablateError
from segablate.files import visible_files


class _Incomplete(DatasetError):
    """A list of a split most of whose names are images, and some are not."""


_LIST_SUFFIXES = (".txt", ".lst")
_MOST_BYTES = 2**24


def with_lists(splits: Sequence[Split], root: Path) -> list[Split]:
    """Return the splits that lists in the folder make of one that no folder names; the splits unchanged without any."""
    if len(splits) != 1 or splits[0].name != "all" or splits[0].images is None:
        return list(splits)
    found: dict[str, Split] = {}
    for split in _listed_splits(splits[0], root):
        found.setdefault(split.name, split)
    return list(found.values()) or list(splits)


def _listed_splits(split: Split, root: Path) -> Iterator[Split]:
    """Yield the splits of all lists, those of segmentation before others, and of folders above before those below."""
    paths = visible_files(root, (*TABLE_SUFFIXES, *_LIST_SUFFIXES))
    for path in sorted(paths, key=lambda path: ("seg" not in path.parent.name.lower(), len(path.parts), path)):
        try:
            if path.stat().st_size <= _MOST_BYTES:
                yield from (chosen for each in _splits_of(path, split) if (chosen := _chosen(each, split)))
        except _Incomplete:
            raise
        except (SegablateError, OSError):
            continue


def _splits_of(path: Path, split: Split) -> Iterator[Split]:
    """Yield the splits that a file may name."""
    named = split_word(Path(path.stem))
    if path.suffix.lower() in TABLE_SUFFIXES:
        table = read_table(path)
        names = [item.name for item in split.items]
        columns = split_columns(table, [name_column(table, names, split.image_suffix)])
        yield from _of_column(table, columns[0], path, split) if columns else ()
        if columns:
            return
    elif named and not find_listed(read_list(path), [item.name for item in split.items], split.image_suffix).names:
        return
    if named:
        yield replace(split, name=path.stem.lower(), list=path)


def _of_column(table: SplitTable, place: int, path: Path, split: Split) -> Iterator[Split]:
    """Yield a split for each value of a column."""
    heading = table.header[place]
    for value in dict.fromkeys(table.column(place)[1:]):
        name = f"{heading}_{value}".lower() if value.isdigit() else value.lower()
        if value:
            yield replace(split, name=name, list=path, where=((heading, value),))


def _chosen(split: Split, whole: Split) -> Split | None:
    """Return a split with the items of its list; None where none of them has a label map.

    Raises DatasetError where it names unknown images, also where most of its names are images, in which case it is a
    list of a split that must not be left out without a word.
    """
    assert split.list is not None
    items = [*whole.items, *whole.unlabelled]
    try:
        found, _ = listed(items, split.list, split.image_suffix, dict(split.where))
    except DatasetError as error:
        if _names_most(split, {item.name: item for item in items}):
            raise _Incomplete(str(error)) from None
        raise
    kept, _ = labelled(found)
    return replace(split, items=kept, unlabelled=(), partial=len(kept) < len(found)) if kept else None


def _names_most(split: Split, by_name: Mapping[str, Item]) -> bool:
    """Tell whether at least half of the names in the list of a split are images."""
    path = split.list
    assert path is not None
    if path.suffix.lower() in TABLE_SUFFIXES:
        lines = names_in_table(read_table(path), by_name, dict(split.where), split.image_suffix, path)
    else:
        lines = read_list(path)
    found = find_listed(lines, by_name, split.image_suffix)
    return len(found.names) >= max(len(found.absent), 1)
