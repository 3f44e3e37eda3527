"""A report for programs: JSON and CSV, with raw values at full precision.

JSON: ``{"title", "facts": {name: value}, "tables": {name: [row, ...]}, "notes": [...]}``. Shares are in 0..1,
intervals are ``[low, high]``, colours ``"#rrggbb"``; undefined and infinite values are ``null``. The notes are those
of the tables in their order, then the report's own.

CSV (RFC 4180 quoting, lines ended by a line feed): one table is a plain file for ``pandas.read_csv``. Several are
blocks, each headed by a line ``# name`` and separated by an empty line. An interval has two columns, ``key_low`` and
``key_high``; undefined values are empty. Facts and notes are not part of CSV.

In both, a table with a baseline has a further column ``baseline``, true in one row.
"""

import csv
import json
from collections.abc import Iterator
from io import StringIO
from math import isfinite, isnan
from numbers import Integral, Real
from typing import get_args

from segablate.render.cells import hex_colour
from segablate.tables import Column, IntervalKind, Report, Scalar, Table, as_interval, as_number


def to_json(report: Report) -> str:
    """Return the whole report as strictly valid JSON."""
    notes = [note for table in report.tables for note in table.notes] + list(report.notes)
    tables = {table.name: [_object(table, index) for index in range(len(table.rows))] for table in report.tables}
    whole = {"title": report.title, "facts": dict(report.facts), "tables": tables, "notes": notes}
    text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()  # halves of characters, which UTF-8 lacks, as \udcff


def to_csv(report: Report) -> str:
    """Return the tables of the report as CSV."""
    if len(report.tables) == 1:
        return _block(report.tables[0])
    return "\n".join(f"# {table.name}\n{_block(table)}" for table in report.tables)


def _object(table: Table, index: int) -> dict[str, object]:
    row = {column.key: _finite(_raw(column, table.rows[index].get(column.key))) for column in table.columns}
    return row if table.baseline is None else {**row, "baseline": index == table.baseline}


def _finite(value: object) -> object:
    if isinstance(value, list):
        return [_finite(end) for end in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _raw(column: Column, value: object) -> object:
    """Return a value as plain bool, int, float, str, list of two floats, or ``None``."""
    if column.kind in get_args(IntervalKind):
        return list(as_interval(value))
    if value is None:
        return None
    if column.kind == "swatch":
        return hex_colour(value)
    if column.kind in get_args(Scalar):
        return _plain_number(value)
    return value if isinstance(value, bool | str) else _plain_number(value) if isinstance(value, Real) else str(value)


def _plain_number(value: object) -> int | float:
    return int(value) if isinstance(value, Integral) else as_number(value)


def _block(table: Table) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_header(table))
    for index in range(len(table.rows)):
        writer.writerow(_line(table, index))
    return text.getvalue()


def _header(table: Table) -> Iterator[str]:
    for column in table.columns:
        yield from (
            (f"{column.key}_low", f"{column.key}_high") if column.kind in get_args(IntervalKind) else (column.key,)
        )
    if table.baseline is not None:
        yield "baseline"


def _line(table: Table, index: int) -> Iterator[object]:
    for column in table.columns:
        raw = _raw(column, table.rows[index].get(column.key))
        yield from map(_field, raw if isinstance(raw, list) else [raw])
    if table.baseline is not None:
        yield _field(index == table.baseline)


def _field(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if isinstance(value, float) and isnan(value) else value
