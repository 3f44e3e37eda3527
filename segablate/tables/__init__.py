"""The output of every command as data: a :class:`Report` of :class:`Table` s, independent of its format.

Values are raw: shares are in 0..1, times in seconds, sizes in bytes, and undefined values are ``nan`` or ``None``.
The ``kind`` of a column states what its values are; :mod:`segablate.render` alone decides how a kind is written.

=========================  ==================================================  ====================
kind                       value                                               printed as
=========================  ==================================================  ====================
``text``                   a name or path (shortened in the middle if need be)  ``bicyclist``
``prose``                  a sentence (wrapped, never shortened)               ``Mean over pixels.``
``swatch``                 (red, green, blue), each 0..255                     ``██``
``count``                  an integer                                          ``1 204``
``share``                  0..1                                                ``74.3`` under ``%``
``signed_share``           a difference of shares                              ``+1.2`` under ``points``
``number``                 any number, four significant digits                 ``0.4132``
``signed_number``          a difference of numbers                             ``+0.4132``
``signed_count``           a difference of counts                              ``+1 204``
``ratio``                  a factor                                            ``1.20×``
``seconds``                a time                                              ``3.21 ms``
``bytes``                  a size                                              ``97.8 MiB``
``p``                      a p-value                                           ``0.013``, ``<0.001``
``interval``               (low, high), shares                                 ``[73.1, 75.2]``
``signed_interval``        (low, high), differences of shares                  ``[+0.3, +2.1]``
``number_interval``        (low, high), numbers                                ``[0.41, 0.44]``
``signed_number_interval`` (low, high), differences of numbers                 ``[-0.02, +0.01]``
=========================  ==================================================  ====================
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Literal, SupportsFloat, cast, get_args

Scalar = Literal[
    "count", "signed_count", "share", "signed_share", "number", "signed_number", "ratio", "seconds", "bytes", "p"
]
IntervalKind = Literal["interval", "signed_interval", "number_interval", "signed_number_interval"]
ColumnKind = Literal["text", "prose", "swatch", Scalar, IntervalKind]
End = Literal["", "low", "high"]
Row = Mapping[str, object]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    :param key: name in JSON and CSV, in snake_case.
    :param title: header for people, without the unit, which the kind determines.
    :param digits: decimals; ``None``: the default of the kind.
    :param wide: printed in the terminal only with --wide; the other formats always include it.
    :param mark: the end of the range at which values are worst; the worst cell is highlighted.
    :param best: the end at which values are best; the best cell is highlighted. Excludes ``mark``.
    :param bar: draw a bar beside the share where the terminal is wide enough.
    :param run: letter of the run whose values these are, or two with ``−`` between for a difference; see
        :attr:`Report.runs`. Empty for the only run, or where a column named ``run`` or ``pair`` says it.
    """

    key: str
    title: str
    kind: ColumnKind
    digits: int | None = None
    wide: bool = False
    mark: End = ""
    best: End = ""
    bar: bool = False
    run: str = ""

    def __post_init__(self) -> None:
        if self.mark and self.best:
            raise ValueError(f"column {self.key!r} marks both its worst and its best cell; choose one")
        if (self.mark or self.best) and self.kind not in get_args(Scalar):
            raise ValueError(f"column {self.key!r} is of kind {self.kind!r}, in which no cell is worst or best")
        if self.bar and self.kind != "share":
            raise ValueError(f"column {self.key!r} is of kind {self.kind!r}, but only a share has a bar")


@dataclass(frozen=True)
class Table:
    """A table; cells whose key is missing in a row are undefined.

    :param name: name in JSON, CSV and as LaTeX label, in snake_case.
    :param notes: sentences needed to read the table, printed under it.
    :param sections: indices of the rows that begin a new section. A rule is drawn above them, and the worst or best
        cell is determined within each section, so that a row of means is not compared with the rows it averages.
    :param baseline: index of the row with which the others are compared, if any.
    :param measure: the measure that all columns are about, as in a table of differences in one measure.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    sections: tuple[int, ...] = ()
    baseline: int | None = None
    measure: str = ""

    def __post_init__(self) -> None:
        keys = [column.key for column in self.columns]
        _must_differ(keys, f"columns of table {self.name!r}")
        if not keys:
            raise ValueError(f"table {self.name!r} has no columns")
        if unknown := {key for row in self.rows for key in row} - set(keys):
            raise ValueError(f"rows of table {self.name!r} have keys without a column: {sorted(unknown)}")
        marks = (*self.sections, *(() if self.baseline is None else (self.baseline,)))
        if not all(0 <= index < len(self.rows) for index in marks):
            raise ValueError(f"table {self.name!r} has {len(self.rows)} rows but marks {marks}")

    def values(self, column: Column) -> list[object]:
        """Return the raw values of a column, ``None`` where a row has none."""
        return [row.get(column.key) for row in self.rows]

    def spans(self) -> Iterator[range]:
        """Yield the row indices of each section."""
        starts = sorted({0, *self.sections})
        for start, stop in zip(starts, [*starts[1:], len(self.rows)], strict=True):
            yield range(start, stop)

    def marked(self, column: Column) -> frozenset[int]:
        """Return the rows whose cell is the worst (or best) of its section; none where all values are equal."""
        end = column.mark or column.best
        if not end:
            return frozenset()
        numbers = [as_number(value) for value in self.values(column)]
        found = set[int]()
        for span in self.spans():
            defined = [numbers[i] for i in span if not isnan(numbers[i])]
            if len(set(defined)) > 1:
                extreme = min(defined) if end == "low" else max(defined)
                found.update(i for i in span if numbers[i] == extreme)
        return frozenset(found)


@dataclass(frozen=True)
class Headline:
    """The result of a command in one sentence and one number.

    :param text: the sentence, which stands first and last in the terminal.
    :param measure: what the number is of, such as ``mIoU``.
    :param of: the run, or the difference, that the number belongs to.
    :param value: the number, a share or a difference of shares; `low` and `high` are the ends of its 95 % CI, nan
        where there is none.
    """

    text: str
    measure: str
    of: str
    value: float
    low: float = nan
    high: float = nan


@dataclass(frozen=True)
class Report:
    """The whole output of a command.

    :param facts: (name, value) of what was run: checkpoint, dataset, preprocessing, device; printed above the tables.
    :param notes: sentences that apply to all tables; printed after them.
    :param headline: the result in one sentence, where the command has one.
    :param runs: (letter, name) of each run, so that formats without facts can name them; one run has no letter.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    headline: Headline | None = None
    runs: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _must_differ([name for name, _ in self.facts], "facts")
        _must_differ([table.name for table in self.tables], "tables")

    def brief(self) -> "Report":
        """Return headline, classes and notes, which may change how a score is read; without classes the first table."""
        classes = tuple(table for table in self.tables if table.name.startswith("classes"))
        return replace(self, facts=(), tables=classes or self.tables[:1])


def as_number(value: object) -> float:
    """Return a cell of a scalar kind as float; ``nan`` for ``None``."""
    return nan if value is None else float(cast(SupportsFloat, value))


def as_interval(value: object) -> tuple[float, float]:
    """Return a cell of an interval kind as two floats; two ``nan`` for ``None``."""
    low, high = (nan, nan) if value is None else cast(Sequence[object], value)
    return as_number(low), as_number(high)


def _must_differ(names: list[str], what: str) -> None:
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{what} share a name: {sorted(repeated)}")
