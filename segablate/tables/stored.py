"""Reports as plain values, so that a saved comparison or ablation can be printed again in any format."""

from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any

from segablate.tables import Column, Report, Table


def to_plain(report: Report) -> dict[str, Any]:
    """Return a report as JSON can hold it; undefined and infinite values become null."""
    return _plain(asdict(report))


def from_plain(plain: Mapping[str, Any]) -> Report:
    """Return the report that :func:`to_plain` wrote."""
    return Report(
        plain["title"],
        tuple((name, value) for name, value in plain["facts"]),
        tuple(_table(table) for table in plain["tables"]),
        tuple(plain["notes"]),
    )


def _table(plain: Mapping[str, Any]) -> Table:
    return Table(
        plain["name"],
        plain["title"],
        tuple(Column(**column) for column in plain["columns"]),
        tuple(plain["rows"]),
        tuple(plain["notes"]),
        tuple(plain["sections"]),
        plain["baseline"],
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    return value
