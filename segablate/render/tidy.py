"""Reports as one tidy CSV table: one line for each number of each table, read by ``pandas.read_csv`` at once.

============  =====================================================================================================
column        content
============  =====================================================================================================
``run``       the run that the value belongs to; of a difference both, with ``−`` between
``table``     the name of the table
``row``       the place of the row in its table, from 0; with ``table`` and ``column`` it identifies the line
``measure``   what was measured: the measure or loss that the row or the table names, else the key of the column
``class``     the class, in tables of classes
``column``    the key of the column, such as ``value``, ``iou``, ``change`` or ``p``
``value``     the number at full precision; shares in 0..1, times in seconds; empty where undefined
``low``       ends of the 95 % CI of the value, empty where it has none; intervals that belong to no value, such as
``high``      ``bca``, have a line of their own without value
``text``      the cell of a column of words, such as ``over``
``baseline``  ``true`` in the row that others are compared with
others        what else names a row: ``setting``, ``image``, ``label``, ``predicted``, ``distance``, ...
============  =====================================================================================================

Lines end in a line feed; texts are quoted as in RFC 4180. Colours are left out.
"""

import csv
from collections.abc import Iterator
from io import StringIO
from math import nan
from typing import get_args

from segablate.render.cells import is_numeric
from segablate.render.raw import field, raw
from segablate.tables import Column, IntervalKind, Report, Row, Table, as_interval

FIXED = ("run", "table", "row", "measure", "class", "column", "value", "low", "high", "text", "baseline")
_NAMED = {"run": "run", "pair": "run", "measure": "measure", "loss": "measure", "class": "class"}
"""Where the cell of a column that names the rows goes; of others, to a column of its own."""

_WITHOUT_INTERVAL = ("p", "count", "signed_count")
_MINUS = " − "


def to_tidy_csv(report: Report) -> str:
    """Return all tables of the report as one CSV table; see the columns above."""
    lines = [line for table in report.tables for line in _lines(report, table)]
    others = dict.fromkeys(key for line in lines for key in line if key not in FIXED)
    text = StringIO()
    writer = csv.DictWriter(text, (*FIXED, *others), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _lines(report: Report, table: Table) -> Iterator[dict[str, object]]:
    naming = _naming(table)
    for index, row in enumerate(table.rows):
        names = _names(naming, row)
        shared = {"table": table.name, "row": index, "baseline": _baseline(table, index), **names}
        for column, interval in _values(table, naming):
            found = _cells(column, interval, row)
            if found["value"] == found["low"] == found["high"] == found["text"] == "" and not is_numeric(column):
                continue
            run = _run(report, column.run or names.get("run", ""))
            yield {
                **shared,
                "measure": names.get("measure") or table.measure or column.key,
                "column": column.key,
                "run": run,
                **found,
            }


def _naming(table: Table) -> list[Column]:
    """Return the columns that name the rows: words before the first number, or the first where there is no number."""
    plain = [column for column in table.columns if column.kind != "swatch"]
    first = next((place for place, column in enumerate(plain) if is_numeric(column)), None)
    return plain[:1] if first is None else plain[:first]


def _names(naming: list[Column], row: Row) -> dict[str, str]:
    found: dict[str, str] = {}
    for column in naming:
        key = _NAMED.get(column.key, column.key)
        key = f"{key}_name" if key in FIXED and column.key not in _NAMED else key
        value = row.get(column.key)
        found[key] = "" if value is None else str(value)
    return found


def _values(table: Table, naming: list[Column]) -> Iterator[tuple[Column, Column | None]]:
    """Yield each column of values, with the interval that follows right after it."""
    columns = [column for column in table.columns if column.kind != "swatch" and column not in naming]
    taken: Column | None = None
    for place, column in enumerate(columns):
        if column is taken:
            continue
        following = columns[place + 1] if place + 1 < len(columns) else None
        taken = following if following and _is_interval(following) and not _is_interval(column) else None
        taken = taken if is_numeric(column) and column.kind not in _WITHOUT_INTERVAL else None
        yield column, taken


def _cells(column: Column, interval: Column | None, row: Row) -> dict[str, object]:
    ends = column if _is_interval(column) else interval
    low, high = as_interval(row.get(ends.key)) if ends else (nan, nan)
    value = "" if _is_interval(column) else raw(column, row.get(column.key))
    number, text = (value, "") if is_numeric(column) else ("", value)
    found = {"value": number, "low": low, "high": high, "text": text}
    return {name: field(cell) for name, cell in found.items()}


def _is_interval(column: Column) -> bool:
    return column.kind in get_args(IntervalKind)


def _baseline(table: Table, index: int) -> str:
    return "" if table.baseline is None else str(index == table.baseline).lower()


def _run(report: Report, letters: str) -> str:
    """Return the names of the runs behind letters, as ``B − A``; of the only run, its name."""
    names = dict(report.runs)
    return _MINUS.join(names.get(letter, letter) for letter in letters.split(_MINUS))
