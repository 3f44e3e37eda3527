"""Reports as plain values, so that a saved comparison or ablation can be printed again in any format."""

from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any, get_args

from segablate.errors import RunError
from segablate.plain_values import check
from segablate.tables import Column, End, Headline, IntervalKind, Report, Scalar, Table, as_number
from segablate.text_files import MalformedText

_COLUMN = {
    "key": str,
    "title": str,
    "kind": str,
    "digits?": (int, None),
    "wide?": bool,
    "mark?": str,
    "best?": str,
    "bar?": bool,
    "run?": str,
}
_TABLE = {
    "name": str,
    "title": str,
    "columns": [_COLUMN],
    "rows": [{str: object}],
    "notes": [str],
    "sections": [int],
    "baseline": (int, None),
    "measure?": str,
}
_NUMBER = (float, None)
_HEADLINE = {"text": str, "measure": str, "of": str, "value": _NUMBER, "low": _NUMBER, "high": _NUMBER}
_REPORT = {
    "title": str,
    "facts": [[str]],
    "tables": [_TABLE],
    "notes": [str],
    "headline?": (_HEADLINE, None),
    "runs?": [[str]],
}


def to_plain(report: Report) -> dict[str, Any]:
    """Return a report as JSON can hold it; undefined and infinite values become null."""
    return _plain(asdict(report))


def from_plain(plain: Mapping[str, Any]) -> Report:
    """Return the report that :func:`to_plain` wrote. Raises RunError for values that are no report."""
    try:
        check(plain, _REPORT, "report.json")
        return Report(
            plain["title"],
            _pairs(plain, "facts"),
            tuple(map(_table, plain["tables"])),
            tuple(plain["notes"]),
            _headline(plain.get("headline")),
            _pairs(plain, "runs"),
        )
    except (MalformedText, ValueError) as error:
        raise RunError(f"the saved report is damaged: {error}; create the run again") from None


def _pairs(plain: Mapping[str, Any], key: str) -> tuple[tuple[str, str], ...]:
    """Return pairs of texts, none where a report of an earlier version has no such entry."""
    pairs = plain.get(key, [])
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{key!r} are not names with values")
    return tuple((name, value) for name, value in pairs)


def _headline(plain: Mapping[str, Any] | None) -> Headline | None:
    if plain is None:
        return None
    numbers = {key: as_number(plain[key]) for key in ("value", "low", "high")}
    return Headline(plain["text"], plain["measure"], plain["of"], **numbers)


def _table(plain: Mapping[str, Any]) -> Table:
    columns = tuple(_column(column) for column in plain["columns"])
    for column in columns:
        for row in plain["rows"]:
            _check_cell(column, row.get(column.key))
    return Table(
        plain["name"],
        plain["title"],
        columns,
        tuple(plain["rows"]),
        tuple(plain["notes"]),
        tuple(plain["sections"]),
        plain["baseline"],
        plain.get("measure", ""),
    )


def _column(plain: Mapping[str, Any]) -> Column:
    if plain["kind"] not in get_args(Scalar) + get_args(IntervalKind) + ("text", "prose", "swatch"):
        raise ValueError(f"column {plain['key']!r} is of kind {plain['kind']!r}, which is none")
    if not {plain.get(end, "") for end in ("mark", "best")} <= set(get_args(End)):
        raise ValueError(f"column {plain['key']!r} marks an end that is none")
    if not 0 <= (plain.get("digits") or 0) <= 20:
        raise ValueError(f"column {plain['key']!r} has {plain['digits']} digits")
    return Column(**{name: plain[name] for name in Column.__dataclass_fields__ if name in plain})


def _check_cell(column: Column, value: Any) -> None:
    """Raise MalformedText for a cell of another kind than its column."""
    where = f"a cell of column {column.key!r}"
    if column.kind in get_args(IntervalKind) or column.kind == "swatch":
        length, of = (3, int) if column.kind == "swatch" else (2, (float, None))
        check(value, ([of], None), where)
        if value is not None and (len(value) != length or (of is int and not all(0 <= part <= 255 for part in value))):
            raise MalformedText(f"{where} is not {length} numbers")
    elif column.kind in get_args(Scalar):
        check(value, (float, None), where)
        if value is not None and not isfinite(value):
            raise MalformedText(f"{where} is {value}")
    else:
        check(value, (str, float, bool, None), where)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    return value
