"""Raw values of cells, for programs."""

from math import isnan
from numbers import Integral, Real
from typing import get_args

from segablate.render.cells import hex_colour
from segablate.tables import Column, IntervalKind, Scalar, as_interval, as_number


def raw(column: Column, value: object) -> object:
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


def field(value: object) -> object:
    """Return a value as a field of CSV: undefined ones empty, truth as ``true`` and ``false``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if isinstance(value, float) and isnan(value) else value
