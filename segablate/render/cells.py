"""Cells as text for people, by kind of value; the one place where a share becomes a percentage."""

import re
from collections.abc import Callable, Sequence
from math import isfinite, isnan
from numbers import Integral
from typing import cast, get_args

from rich.cells import cell_len

from segablate.errors import thousands
from segablate.tables import Column, IntervalKind, Scalar, as_interval, as_number

MISSING = "–"
BASELINE = "▸"

_UNITS = {"share": "%", "interval": "%", "signed_share": "points", "signed_interval": "points"}
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_DURATIONS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_SIZES = ((1024.0**4, "TiB"), (1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"), (1.0, "B"))


def unit(column: Column) -> str:
    """Return the unit for the header: ``%``, ``points`` or nothing."""
    return _UNITS.get(column.kind, "")


def is_numeric(column: Column) -> bool:
    """Whether the column is right-aligned and never shortened."""
    return column.kind in get_args(Scalar) or column.kind in get_args(IntervalKind)


def cell(column: Column, value: object) -> str:
    """Return one value as text, ``–`` where there is none."""
    if column.kind in get_args(IntervalKind):
        low, high = interval_ends(column, value)
        return MISSING if low == high == MISSING else f"[{low}, {high}]"
    if is_numeric(column):
        return _number_text(column.kind, column.digits, value)
    if value is None:
        return MISSING
    if column.kind == "swatch":
        return hex_colour(value)
    return one_line({True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value))


def aligned_cells(column: Column, values: Sequence[object]) -> list[str]:
    """Return all cells of a column, numbers padded so that their decimal points are aligned."""
    if column.kind in get_args(IntervalKind):
        ends = [interval_ends(column, value) for value in values]
        lows, highs = (_flush_right(_align_points(side)) for side in ([e[0] for e in ends], [e[1] for e in ends]))
        filled = zip(ends, lows, highs, strict=True)
        return [MISSING if e == (MISSING, MISSING) else f"[{low}, {high}]" for e, low, high in filled]
    texts = [cell(column, value) for value in values]
    return _align_points(texts) if is_numeric(column) and "count" not in column.kind else texts


def interval_ends(column: Column, value: object) -> tuple[str, str]:
    """Return both ends of an interval as text."""
    share = column.kind in ("interval", "signed_interval")
    kind = ("signed_" if column.kind.startswith("signed") else "") + ("share" if share else "number")
    low, high = as_interval(value)
    return _number_text(kind, column.digits, low), _number_text(kind, column.digits, high)


def hex_colour(value: object) -> str:
    """Return ``(128, 64, 128)`` as ``#804080``."""
    red, green, blue = cast(Sequence[int], value)
    return f"#{red:02x}{green:02x}{blue:02x}"


def one_line(text: str) -> str:
    """Replace line breaks, tabs and control characters, which a file name may have, by single spaces.

    Bytes of a name that are not UTF-8, which Python has as halves of characters, become escapes such as ``\\udcff``.
    """
    return _CONTROL.sub(" ", text.encode("utf-8", "backslashreplace").decode()).strip()


def _number_text(kind: str, digits: int | None, value: object) -> str:
    number = as_number(value)
    if isnan(number):
        return MISSING
    if not isfinite(number):
        return "∞" if number > 0 else "-∞"
    if kind == "number" and digits is None and isinstance(value, Integral):
        return str(value)
    return _WRITERS[kind](number, digits)


def _fixed(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text  # no "-0.0"


def _significant(number: float, figures: int) -> str:
    """Return a number with this many significant figures; very large and small ones as powers of ten."""
    if number == 0:
        return "0"
    mantissa, exponent = f"{number:.{figures - 1}e}".split("e")
    power = int(exponent)
    return f"{mantissa}e{power}" if not -5 < power < 7 else f"{number:.{max(figures - 1 - power, 0)}f}"


def _number(number: float, digits: int | None) -> str:
    return _significant(number, 4) if digits is None else _fixed(number, digits)


def _signed(text: str) -> str:
    return text if text.startswith("-") or not text.strip("0.") else f"+{text}"


def _scaled(number: float, figures: int | None, units: tuple[tuple[float, str], ...]) -> str:
    """Return a number in the largest unit that is not above it, else in the smallest."""
    size, name = next((unit for unit in units if abs(number) >= unit[0]), units[-1])
    return f"{_significant(number / size, figures or 3)} {name}"


def _p(number: float, digits: int | None) -> str:
    least = 10.0 ** -(digits or 3)
    return f"<{_fixed(least, digits or 3)}" if number < least else _fixed(number, digits or 3)


_WRITERS: dict[str, Callable[[float, int | None], str]] = {
    "count": lambda number, _: thousands(round(number)),
    "signed_count": lambda number, _: _signed(thousands(round(number))),
    "share": lambda number, digits: _fixed(100 * number, 1 if digits is None else digits),
    "signed_share": lambda number, digits: _signed(_fixed(100 * number, 1 if digits is None else digits)),
    "number": _number,
    "signed_number": lambda number, digits: _signed(_number(number, digits)),
    "ratio": lambda number, digits: f"{_fixed(number, 2 if digits is None else digits)}×",
    "seconds": lambda number, digits: _scaled(number, digits, _DURATIONS),
    "bytes": lambda number, digits: str(int(number)) + " B" if abs(number) < 1024 else _scaled(number, digits, _SIZES),
    "p": _p,
}


def _align_points(texts: list[str]) -> list[str]:
    """Pad between number and unit so that the decimal points are aligned."""
    split = [("", "", "") if text == MISSING else _parts(text) for text in texts]
    fraction, suffix = (max((len(part[i]) for part in split), default=0) for i in (1, 2))
    filled = (f"{whole}{after:<{fraction}}{name:<{suffix}}" for whole, after, name in split)
    return [text if text == MISSING else padded for text, padded in zip(texts, filled, strict=True)]


def _parts(text: str) -> tuple[str, str, str]:
    """Split ``3.21 ms`` into ``("3", ".21", " ms")``."""
    number, space, name = text.partition(" ")
    whole, point, after = number.partition(".")
    return whole, point + after, space + name


def _flush_right(texts: list[str]) -> list[str]:
    width = max(map(cell_len, texts), default=0)
    return [" " * (width - cell_len(text)) + text for text in texts]
