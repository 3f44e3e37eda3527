"""Tables as cells of HTML: what is printed, what is sorted by, and what is highlighted."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Literal, cast, get_args

from segablate.render.cells import cell, hex_colour, is_numeric, one_line, unit
from segablate.tables import Column, IntervalKind, Table, as_interval, as_number

SHARED_TEXT = ("class", "image", "label", "predicted")
"""Keys of columns whose texts are names that the data has, which are left as they are."""

_HYPHEN = re.compile(r"(?<!e)-")

Links = Mapping[int, str]
"""Row of a table -> where it leads to on the page."""


@dataclass(frozen=True)
class Cell:
    """A cell. `sort`: what the column is sorted by; `mark`: worst or best; `colour`: of a swatch, ``#rrggbb``."""

    text: str
    sort: str = ""
    mark: Literal["", "worst", "best"] = ""
    colour: str = ""
    href: str = ""


@dataclass(frozen=True)
class Head:
    """The head of a column; `wide`: it is printed when all columns are asked for."""

    title: str
    unit: str = ""
    numeric: bool = False
    prose: bool = False
    wide: bool = False

    @property
    def style(self) -> str:
        """The classes of the style sheet for the cells of the column."""
        kind = "number" if self.numeric else "prose" if self.prose else "text"
        return f"{kind} wide" if self.wide else kind


@dataclass(frozen=True)
class Grid:
    """A table: heads, rows of cells, rows that begin a section, the baseline, and whether it can be sorted."""

    name: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sections: tuple[int, ...] = ()
    baseline: int | None = None
    sortable: bool = True

    @property
    def has_wide(self) -> bool:
        """Whether it has columns that are hidden at first."""
        return any(head.wide for head in self.heads)


def grid_of(table: Table, links: Links | None = None) -> Grid:
    """Return the cells of a table with all its columns; `links` lead from the first text of a row.

    The colour of a class becomes a swatch beside its name.
    """
    swatches = [column for column in table.columns if column.kind == "swatch"]
    columns = [column for column in table.columns if column.kind != "swatch"]
    colours = table.values(swatches[0]) if swatches else [None] * len(table.rows)
    by_column = [_cells(table, column) for column in columns]
    rows = []
    for place, cells in enumerate(zip(*by_column, strict=True)):
        first, *others = cells
        colour = hex_colour(colours[place]) if colours[place] is not None else ""
        named = Cell(first.text, first.sort, first.mark, colour, (links or {}).get(place, ""))
        rows.append((named, *others))
    heads = tuple(
        Head(one_line(column.title), unit(column), is_numeric(column), column.kind == "prose", column.wide)
        for column in columns
    )
    return Grid(table.name, heads, tuple(rows), table.sections, table.baseline, len(rows) > 2)


def _cells(table: Table, column: Column) -> list[Cell]:
    marked = table.marked(column)
    kind: Literal["", "worst", "best"] = "worst" if column.mark else "best" if column.best else ""
    return [
        Cell(_text(column, value), _sorted_by(column, value), kind if place in marked else "")
        for place, value in enumerate(table.values(column))
    ]


def _text(column: Column, value: object) -> str:
    """Return the text of a cell, a number with the sign of minus in the place of the hyphen."""
    text = cell(column, value)
    return _HYPHEN.sub("−", text) if is_numeric(column) else text


def _sorted_by(column: Column, value: object) -> str:
    """Return the number that a cell is sorted by, of an interval its lower end; of a text nothing but itself."""
    if column.kind in get_args(IntervalKind):
        number = as_interval(value)[0]
    elif is_numeric(column):
        number = as_number(cast(object, value))
    else:
        return ""
    return "" if isnan(number) else repr(float(number))
