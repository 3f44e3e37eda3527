"""Charts as shapes at positions in an SVG, which a template writes.

A chart is 368 units wide, which fits a narrow screen, so that its text is never scaled down. Colours, fonts and
strokes are those of classes in the style sheet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor, isfinite, log10
from typing import Literal

from segablate.errors import minus
from segablate.render.cells import one_line
from segablate.render.layout import shorten_middle

WIDTH = 368
_LETTER = 6.8
"""Width of a letter of the labels, about, in units."""

_LONGEST = 22
_ROW = 24


@dataclass(frozen=True)
class Line:
    """A straight line of a style."""

    x1: float
    y1: float
    x2: float
    y2: float
    style: str


@dataclass(frozen=True)
class Path:
    """A polygonal line through points."""

    points: tuple[tuple[float, float], ...]
    style: str

    @property
    def d(self) -> str:
        """The path in the notation of SVG."""
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class Bar:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True)
class Dot:
    """A circle; `title` tells what it is when pointed at, `href` where it leads to."""

    x: float
    y: float
    style: str
    title: str = ""
    href: str = ""
    radius: float = 4


@dataclass(frozen=True)
class Text:
    """A text at a position; `title`: the whole of what had to be shortened."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    style: str = ""
    title: str = ""


Shape = Line | Path | Bar | Dot | Text


@dataclass(frozen=True)
class Chart:
    """An SVG: what it is, in words, its height, and its shapes from back to front; `linked`: whether dots lead on."""

    title: str
    height: float
    shapes: tuple[Shape, ...]
    linked: bool = False
    width: float = WIDTH

    @property
    def kinds(self) -> list[tuple[str, Shape]]:
        """The shapes with the names of their kinds."""
        return [(type(shape).__name__.lower(), shape) for shape in self.shapes]


@dataclass(frozen=True)
class Interval:
    """A row of an interval chart: a value with its ends, nan where there are none, and dots beside it."""

    label: str
    value: float
    low: float = float("nan")
    high: float = float("nan")
    filled: bool = True
    dots: tuple[float, ...] = ()


@dataclass(frozen=True)
class Series:
    """A line of a line chart."""

    label: str
    points: tuple[tuple[float, float], ...]
    style: str
    dots: bool = True


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` as positions from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, number: float) -> float:
        return round(self.start + (number - self.low) / ((self.high - self.low) or 1) * (self.end - self.start), 2)

    def ticks(self, count: int, *, whole: bool = False) -> list[tuple[float, str]]:
        """Return about `count` round (or `whole`) numbers in the range, with their texts."""
        step = max(_step((self.high - self.low) / max(count, 1)), 1.0 if whole else 0.0)
        decimals = max(0, -floor(log10(step) + 1e-9))
        first = ceil(self.low / step - 1e-9)
        last = floor(self.high / step + 1e-9)
        return [(place * step, _text(place * step, decimals)) for place in range(first, last + 1)]


def intervals(title: str, rows: Sequence[Interval], axis: str, *, zero: float | None = None) -> Chart:
    """Return values with their intervals, one row each; `zero`: a number marked by a vertical line."""
    labels = [shorten_middle(one_line(row.label), _LONGEST) for row in rows]
    left = min(160.0, 12 + _LETTER * max((len(label) for label in labels), default=0))
    ends = [end for row in rows for end in (row.value, row.low, row.high, *row.dots) if isfinite(end)]
    scale = _scale([*ends, *([zero] if zero is not None else [])], left, WIDTH - 14)
    bottom = 8 + _ROW * len(rows)
    shapes: list[Shape] = [*_x_axis(scale, 8, bottom, axis)]
    if zero is not None:
        shapes.append(Line(scale(zero), 4, scale(zero), bottom, "zero"))
    for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
        y = 8 + _ROW * (place + 0.5)
        shapes.append(Text(left - 8, y + 4, label, "end", "label", _whole(row.label, label)))
        if isfinite(row.low) and isfinite(row.high):
            shapes.append(Line(scale(row.low), y, scale(row.high), y, "ci"))
        shapes += [Dot(scale(dot), y, "dot seed", radius=3) for dot in row.dots if isfinite(dot)]
        if isfinite(row.value):
            shapes.append(Dot(scale(row.value), y, "dot" if row.filled else "dot hollow"))
    return Chart(title, bottom + 40, tuple(shapes))


@dataclass(frozen=True)
class Frame:
    """The axes of a line or scatter plot: ranges, labels, what is behind the data, and whether x is whole numbers."""

    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str
    diagonal: bool = False
    whole: bool = False
    bars: tuple[tuple[float, float, float], ...] = field(default_factory=tuple)


def lines(title: str, series: Sequence[Series], frame: Frame, width: float = WIDTH) -> Chart:
    """Return lines over a number; `frame.bars` (from, to, height) are behind them."""
    key, height = _key(series, width), 250.0
    top = 26 + 18 * (max((row for *_, row in key), default=0)) if key else 14
    x, y = Scale(*frame.x, 44, width - 14), Scale(*frame.y, height - 40, top + 14)
    shapes: list[Shape] = [*_axes(x, y, frame)]
    base = y(frame.y[0])
    shapes += [
        Bar(x(start), y(level), x(end) - x(start) - 1, base - y(level), "bar") for start, end, level in frame.bars
    ]
    shapes += _diagonal(x, y, frame)
    for line in series:
        points = tuple((x(a), y(b)) for a, b in line.points if isfinite(a) and isfinite(b))
        if points:
            shapes.append(Path(points, f"line {line.style}"))
        shapes += [Dot(a, b, f"dot {line.style}", radius=2.5) for a, b in points if line.dots]
    for label, style, at, row in key:
        shapes.append(Line(44 + at, 10 + 18 * row, 62 + at, 10 + 18 * row, f"line {style}"))
        shapes.append(Text(67 + at, 14 + 18 * row, label, "start", "label"))
    return Chart(title, height, tuple(shapes), width=width)


def scatter(title: str, points: Sequence[tuple[float, float, str, str]], frame: Frame, height: float = 380) -> Chart:
    """Return points (x, y, title, where it leads to)."""
    x, y = Scale(*frame.x, 44, WIDTH - 14), Scale(*frame.y, height - 40, 28)
    shapes: list[Shape] = [*_axes(x, y, frame), *_diagonal(x, y, frame)]
    drawn = [point for point in points if isfinite(point[0]) and isfinite(point[1])]
    for a, b, name, href in sorted(drawn, key=lambda point: bool(point[3])):
        shapes.append(Dot(x(a), y(b), "dot linked" if href else "dot faint", one_line(name), href, 5 if href else 3))
    return Chart(title, height, tuple(shapes), linked=any(point[3] for point in drawn))


def span(values: Sequence[float], low: float | None = None, high: float | None = None) -> tuple[float, float]:
    """Return a range of round numbers that holds the finite values; `low`, `high`: the ends it may not pass."""
    kept = [value for value in values if isfinite(value)] or [0.0, 1.0]
    least, most = min(kept), max(kept)
    step = _step((most - least or abs(most) or 1.0) / 4)
    start, end = floor(least / step) * step, ceil(most / step) * step
    start, end = (start if low is None else max(low, start)), (end if high is None else min(high, end))
    return (start, end) if end > start else (start, start + step)


def _key(series: Sequence[Series], across: float) -> list[tuple[str, str, float, int]]:
    """Return label, style, position and row of each entry of the key; none for a single line without a label."""
    placed, at, row = [], 0.0, 0
    for line in series:
        if not line.label:
            continue
        label = shorten_middle(one_line(line.label), 26)
        width = 23 + _LETTER * len(label) + 14
        if at and at + width > across - 58:
            at, row = 0.0, row + 1
        placed.append((label, line.style, at, row))
        at += width
    return placed


def _axes(x: Scale, y: Scale, frame: Frame) -> list[Shape]:
    bottom, top = y.start, y.end
    shapes: list[Shape] = []
    for number, text in y.ticks(4):
        shapes.append(Line(x.start, y(number), x.end, y(number), "grid"))
        shapes.append(Text(x.start - 6, y(number) + 4, text, "end", "tick"))
    for number, text in x.ticks(6, whole=frame.whole):
        shapes.append(Text(x(number), bottom + 16, text, "middle", "tick"))
        shapes.append(Line(x(number), bottom, x(number), bottom + 4, "axis"))
    shapes.append(Line(x.start, bottom, x.end, bottom, "axis"))
    shapes.append(Text(x.end, bottom + 33, frame.x_label, "end", "tick"))
    shapes.append(Text(x.start - 38, top - 9, frame.y_label, "start", "tick"))
    return shapes


def _x_axis(scale: Scale, top: float, bottom: float, label: str) -> list[Shape]:
    shapes: list[Shape] = []
    for number, text in scale.ticks(5):
        shapes.append(Line(scale(number), top, scale(number), bottom, "grid"))
        shapes.append(Text(scale(number), bottom + 16, text, "middle", "tick"))
    shapes.append(Line(scale.start, bottom, scale.end, bottom, "axis"))
    shapes.append(Text(scale.end, bottom + 33, label, "end", "tick"))
    return shapes


def _diagonal(x: Scale, y: Scale, frame: Frame) -> list[Shape]:
    low, high = max(frame.x[0], frame.y[0]), min(frame.x[1], frame.y[1])
    return [Line(x(low), y(low), x(high), y(high), "diagonal")] if frame.diagonal and high > low else []


def _scale(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
    return Scale(low - margin, high + margin, start, end)


def _step(rough: float) -> float:
    """Return the least of 1, 2, 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** floor(log10(rough)) if rough > 0 and isfinite(rough) else 1.0
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))


def _text(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    return "0" if float(text) == 0 else minus(text)


def _whole(label: str, shortened: str) -> str:
    return one_line(label) if shortened != one_line(label) else ""
