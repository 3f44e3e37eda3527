"""Charts of tables: a value with an interval becomes a dot with its ends, a difference has zero marked."""

from collections.abc import Mapping, Sequence
from math import nan

from segablate.report.charts import Chart, Interval, intervals
from segablate.report.subject import Seeds
from segablate.tables import Column, Table, as_interval, as_number

SIGNIFICANT = 0.05

MOST_ROWS = 40
"""Rows of a chart that still fits a screen; the table beside it has all of them."""

_PAIRS = (
    ("value", "interval", None),
    ("change", "interval", "p"),
    ("term", "interval", None),
    ("change", "change_interval", "p"),
    ("merit", "interval", None),
    ("iou", "iou_interval", None),
    ("boundary", "boundary_interval", None),
    ("difference", "interval", "p_holm"),
)
"""Columns of a value, of its interval, and of the p by which a dot is filled."""


def charts_of(table: Table, seeds: Seeds | None = None) -> tuple[Chart, ...]:
    """Return the charts of a table; none where no column has an interval, or where only one row has a value."""
    columns = {column.key: column for column in table.columns}
    found = []
    if seeds and table.name in seeds and "mean" in columns:
        found.append(_trainings(table, columns["mean"], seeds[table.name]))
    for value, ends, p in [*_PAIRS, *_of_runs(table)]:
        if value in columns and ends in columns and not (ends == "interval" and f"{value}_interval" in columns):
            chart = _chart(table, columns[value], columns[ends], p)
            found += [chart] if chart else []
    return tuple(found)


def _of_runs(table: Table) -> list[tuple[str, str, str | None]]:
    """Return the columns of differences from the first run: ``change_b``, ``change_c``, ..."""
    letters = [c.key.removeprefix("change_") for c in table.columns if c.key.startswith("change_")]
    return [(f"change_{x}", f"interval_{x}", f"p_holm_{x}") for x in letters if x != "interval"]


def _chart(table: Table, column: Column, ends: Column, p: str | None) -> Chart | None:
    factor = 100 if "share" in column.kind else 1
    rows = []
    for row in table.rows:
        if "ECE" in str(row.get("measure", "")) and column.key == "value":
            continue  # an error beside scores, at the other end of the axis
        value = factor * as_number(row.get(column.key))
        low, high = (factor * end for end in as_interval(row.get(ends.key)))
        filled = p is None or p not in row or as_number(row.get(p)) < SIGNIFICANT
        rows.append(Interval(_label(table, row), value, low, high, filled))
    rows = [row for row in rows if row.value == row.value]
    if not rows or not any(row.low == row.low for row in rows):
        return None
    signed = column.kind.startswith("signed")
    what = "difference from the baseline" if column.title == "− baseline" else column.title
    if len(rows) > MOST_ROWS:
        rows, what = _most_extreme(rows, signed=signed), f"{what}, the {MOST_ROWS} {'largest' if signed else 'lowest'}"
    filled = f"; filled: p < {SIGNIFICANT}" if any(not row.filled for row in rows) else ""
    title = f"{table.title}: {what}, with 95 % intervals{filled}"
    return intervals(title, rows, _axis(column), zero=0.0 if signed else None)


def _most_extreme(rows: Sequence[Interval], *, signed: bool) -> list[Interval]:
    """Return the rows with the largest differences, or the lowest values, in their order."""
    ranked = sorted(rows, key=lambda row: -abs(row.value) if signed else row.value)[:MOST_ROWS]
    kept = {id(row) for row in ranked}
    return [row for row in rows if id(row) in kept]


def _trainings(table: Table, column: Column, seeds: Sequence[Sequence[float | None]]) -> Chart:
    """Return the mean of every setting with a dot for each training."""
    factor = 100 if "share" in column.kind else 1
    rows = [
        Interval(_label(table, row), factor * as_number(row.get("mean")), nan, nan, True, _scaled(scores, factor))
        for row, scores in zip(table.rows, seeds, strict=True)
    ]
    measure = table.title.partition(",")[0]
    return intervals(f"{measure} of each training, and their mean", rows, f"{measure}{', %' if factor > 1 else ''}")


def _scaled(scores: Sequence[float | None], factor: int) -> tuple[float, ...]:
    return tuple(factor * score for score in scores if score is not None)


def _label(table: Table, row: Mapping[str, object]) -> str:
    """Return the name of a row: its first text."""
    names = [column.key for column in table.columns if column.kind in ("text", "prose")]
    return str(row.get(names[0], "")) if names else ""


def _axis(column: Column) -> str:
    unit = {"share": "%", "signed_share": "points"}.get(column.kind, "")
    title = {"value": "", "− baseline": "difference"}.get(column.title, column.title)
    return ", ".join(filter(None, (title, unit)))
