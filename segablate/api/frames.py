"""Rows of results as data frames of pandas and polars, which are optional."""

from collections.abc import Mapping, Sequence
from typing import Any

from segablate.errors import UsageError, did_you_mean
from segablate.extras import require
from segablate.tables import Report, Table

Rows = Sequence[Mapping[str, Any]]


def to_pandas(rows: Rows) -> Any:
    """Return rows as a ``pandas.DataFrame``. Raises MissingExtra without pandas."""
    return require("pandas", "pandas", "to_pandas").DataFrame.from_records(list(rows))


def to_polars(rows: Rows) -> Any:
    """Return rows as a ``polars.DataFrame``. Raises MissingExtra without polars."""
    return require("polars", "polars", "to_polars").from_dicts(list(rows), infer_schema_length=None)


def rows_of(report: Report, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table of a report; an interval becomes two columns, ``_low`` and ``_high``.

    Raises UsageError for a name that no table has.
    """
    tables = {table.name: table for table in report.tables}
    if name not in tables:
        raise UsageError(f"no table is called {name!r}{did_you_mean(name, tables)}")
    return [_row(tables[name], row) for row in tables[name].rows]


def _row(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column in table.columns:
        value = row.get(column.key)
        if "interval" in column.kind:
            found[f"{column.key}_low"], found[f"{column.key}_high"] = value if value is not None else (None, None)
        elif column.kind == "swatch":
            continue
        else:
            found[column.key] = value
    return found
