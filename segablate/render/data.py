"""A report for programs: JSON and CSV, with raw values at full precision.

JSON: ``{"title", "headline", "facts": {name: value}, "tables": {name: [row, ...]}, "notes": [...]}``. The headline is
``{"text", "measure", "of", "value", "low", "high"}``, or ``null`` for a command without one. Shares are in 0..1,
intervals are ``[low, high]``, colours ``"#rrggbb"``; undefined and infinite values are ``null``. The notes are those
of the tables in their order, then the report's own. ``docs/reference/report.schema.json`` is the JSON Schema.

CSV (RFC 4180 quoting, lines ended by a line feed) is one table for ``pandas.read_csv``. The results of runs, and all
reports of several tables, have a line for each number; see :mod:`segablate.render.tidy`. A catalogue of one table is
written as it is: an interval has two columns, ``key_low`` and ``key_high``; undefined values are empty. Facts and
notes are not part of CSV.

In both, a table with a baseline has a further column ``baseline``, true in one row.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from io import StringIO
from math import isfinite
from typing import get_args

from segablate.render.raw import field, raw
from segablate.render.tidy import to_tidy_csv
from segablate.tables import IntervalKind, Report, Table


def to_json(report: Report) -> str:
    """Return the whole report as strictly valid JSON."""
    notes = [note for table in report.tables for note in table.notes] + list(report.notes)
    tables = {table.name: [_object(table, index) for index in range(len(table.rows))] for table in report.tables}
    headline = None if report.headline is None else {k: _finite(v) for k, v in asdict(report.headline).items()}
    facts = dict(report.facts)
    whole = {"title": report.title, "headline": headline, "facts": facts, "tables": tables, "notes": notes}
    text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()  # halves of characters, which UTF-8 lacks, as \udcff


def to_csv(report: Report) -> str:
    """Return the tables of the report as one CSV table."""
    if len(report.tables) == 1 and not report.runs and report.headline is None:
        return _block(report.tables[0])
    return to_tidy_csv(report) if report.tables else ""


def _object(table: Table, index: int) -> dict[str, object]:
    row = {column.key: _finite(raw(column, table.rows[index].get(column.key))) for column in table.columns}
    return row if table.baseline is None else {**row, "baseline": index == table.baseline}


def _finite(value: object) -> object:
    if isinstance(value, list):
        return [_finite(end) for end in value]
    return None if isinstance(value, float) and not isfinite(value) else value


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
        value = raw(column, table.rows[index].get(column.key))
        yield from map(field, value if isinstance(value, list) else [value])
    if table.baseline is not None:
        yield field(index == table.baseline)
