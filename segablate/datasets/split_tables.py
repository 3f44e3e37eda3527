"""Read the images of a split from a CSV file: a column of names, and columns that tell which rows to take."""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from segablate.datasets.lists import find_listed
from segablate.errors import DatasetError, at, did_you_mean, shorten
from segablate.files import is_file, shortened
from segablate.text_files import read_text

TABLE_SUFFIXES = (".csv", ".tsv")


@dataclass(frozen=True)
class SplitTable:
    """The rows of a CSV file, each as long as the first, which may name the columns."""

    rows: tuple[tuple[str, ...], ...]

    @property
    def header(self) -> tuple[str, ...]:
        """Return the first row."""
        return self.rows[0] if self.rows else ()

    def column(self, place: int) -> list[str]:
        """Return the cells of a column, also of the first row."""
        return [row[place] for row in self.rows]


def read_table(path: Path) -> SplitTable:
    """Return the rows of a file divided by commas, semicolons or tabs. Raises DatasetError when it is missing."""
    if not is_file(path):
        raise DatasetError(f"{shortened(path)}: no such list of images; correct the path, or choose another split")
    with at(path):
        text = read_text(path)
    first = text.partition("\n")[0]
    divider = max("\t;,", key=first.count)
    try:
        rows = [tuple(map(str.strip, row)) for row in csv.reader(StringIO(text, newline=""), delimiter=divider) if row]
    except csv.Error as error:
        raise DatasetError(f"{path}: not a table of comma-separated values ({error}); correct it") from None
    width = len(rows[0]) if rows else 0
    return SplitTable(tuple((*row, *[""] * width)[:width] for row in rows))


def names_in_table(
    table: SplitTable, names: Collection[str], where: Mapping[str, str], image_suffix: str, path: Path
) -> list[str]:
    """Return the names in the rows that have the values `where`, by column; of all rows where that is empty.

    The names are in the column most cells of which are among `names`. Raises DatasetError for a column that does not
    exist, and where no row has the values.
    """
    places = {}
    for column in where:
        if column not in table.header:
            raise DatasetError(f"{path}: has no column {column!r}{did_you_mean(column, table.header)}")
        places[table.header.index(column)] = where[column]
    best = name_column(table, names, image_suffix)
    headed = bool(where) or (len(table.rows) > 1 and not find_listed([table.header[best]], names, image_suffix).names)
    rows = table.rows[1:] if headed else table.rows
    chosen = [row[best] for row in rows if all(row[place] == value for place, value in places.items())]
    if not chosen:
        stated = shorten(f"{column} = {value}" for column, value in where.items())
        raise DatasetError(
            f"{path}: no row has {stated}; correct where in dataset.yaml" if where else f"{path}: is empty"
        )
    return chosen


def name_column(table: SplitTable, names: Collection[str], image_suffix: str = "") -> int:
    """Return the place of the column most cells of which are among the names; the first of those with as many."""
    counts = [len(find_listed(table.column(place), names, image_suffix).names) for place in range(len(table.header))]
    return counts.index(max(counts)) if counts else 0


def split_columns(table: SplitTable, others: Sequence[int] = ()) -> list[int]:
    """Return the places of columns that name splits, by their heading and few values; not those of `others`."""
    return [
        place
        for place, heading in enumerate(table.header)
        if place not in others
        and heading.lower().strip("_ ") in _HEADINGS
        and 1 <= len({*table.column(place)[1:]} - {""}) <= _MOST_SPLITS
    ]


_HEADINGS = ("split", "set", "subset", "partition", "phase", "fold", "usage", "group", "dataset", "data_split", "mode")
_MOST_SPLITS = 12
