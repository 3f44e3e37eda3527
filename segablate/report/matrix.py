"""Confusion matrices, row-normalised; a cell leads to the embedded images in which it is largest."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import isfinite, isnan, sqrt

import numpy as np
from numpy.typing import NDArray

from segablate.errors import counted
from segablate.evaluation.results import Evaluation
from segablate.render.cells import one_line

MOST_CLASSES = 40
"""Classes of a matrix that can still be read; of more, those with the most wrong pixels."""

LEVELS = 9
"""Shades of a cell."""

OUTSIDE = "no class"

Cells = Collection[tuple[int, int]]
"""(label, predicted) of which an embedded image has pixels."""


@dataclass(frozen=True)
class MatrixCell:
    """One cell: its number, its shade from -9 to 9 (negative: fewer than in the first run), in words, and its link."""

    text: str
    level: int
    title: str
    href: str = ""
    diagonal: bool = False

    @property
    def style(self) -> str:
        """The class of the style sheet."""
        kind = "hit" if self.diagonal else "fewer" if self.level < 0 else "more"
        return f"{kind} l{abs(self.level)}" if self.level else "none"


@dataclass(frozen=True)
class Matrix:
    """A matrix: names of its columns, and (name, cells) of its rows; `left_out`: how many classes it does not have."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MatrixCell, ...]], ...]
    left_out: int = 0
    folded: bool = False


def confusion_matrix(run: Evaluation, title: str, place: int, linked: Cells, *, folded: bool = False) -> Matrix:
    """Return the matrix of one run, which is the `place`-th of the page."""
    table = run.confusion.total()[:-1]
    shares = _by_row(table)

    def cell(i: int, j: int) -> MatrixCell:
        share, pixels = shares[i, j], int(table[i, j])
        if not pixels or isnan(share):
            return MatrixCell("", 0, "", diagonal=i == j)
        title = f"{_name(run, i)} predicted as {_name(run, j)}: {100 * share:.2f} %, {counted(pixels, 'pixel')}"
        href = f"#cell-{place}-{i}-{j}" if (i, j) in linked else ""
        return MatrixCell(_percent(share), _shade(share if i == j else sqrt(share)), title, href, i == j)

    return _matrix(run, title, table, cell, folded=folded)


def change_matrix(a: Evaluation, b: Evaluation, title: str, linked: Cells) -> Matrix:
    """Return the differences of the shares of two runs, the second less the first, in points."""
    tables = [run.confusion.total()[:-1] for run in (a, b)]
    change = _by_row(tables[1]) - _by_row(tables[0])
    largest = max(float(np.nanmax(np.abs(change), initial=0)), 0.02)

    def cell(i: int, j: int) -> MatrixCell:
        points, pixels = change[i, j], int(tables[1][i, j] - tables[0][i, j])
        if not isfinite(points) or not pixels:
            return MatrixCell("", 0, "", diagonal=False)
        title = (
            f"{_name(a, i)} predicted as {_name(a, j)}: {_signed(points, 2)} points, "
            f"{'+' if pixels > 0 else '−'}{counted(abs(pixels), 'pixel')}"
        )
        href = f"#cell-1-{i}-{j}" if (i, j) in linked and i != j else ""
        shade = _shade(sqrt(abs(points) / largest)) if abs(points) >= 0.0005 else 0
        level = shade if points > 0 else -shade
        return MatrixCell(_signed(points, 1), level, title, href)

    return _matrix(a, title, tables[0] + tables[1], cell)


def largest_confusions(runs: Sequence[Evaluation], limit: int) -> list[tuple[int, int]]:
    """Return the (label, predicted) off the diagonal with the most pixels in all runs, the largest first."""
    table = np.sum([run.confusion.total()[:-1] for run in runs], axis=0)
    np.fill_diagonal(table, 0)
    order = np.argsort(-table, axis=None, kind="stable")[:limit]
    return [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, table.shape), strict=True) if table[i, j]]


def _matrix(
    run: Evaluation, title: str, table: NDArray, cell: Callable[[int, int], MatrixCell], *, folded: bool = False
) -> Matrix:
    classes = len(run.labels)
    kept = _kept(table)
    outside = [classes] if table[:, classes].any() else []
    columns = tuple(_name(run, j) for j in [*kept, *outside])
    rows = tuple((_name(run, i), tuple(cell(i, j) for j in [*kept, *outside])) for i in kept)
    return Matrix(title, columns, rows, classes - len(kept), folded)


def _kept(table: NDArray) -> list[int]:
    """Return the classes of a matrix in their order: those labelled or predicted; of too many, the most wrong ones."""
    square = table[:, :-1]
    wrong = table.sum(axis=1) + square.sum(axis=0) - 2 * square.diagonal()
    seen = np.flatnonzero(table.sum(axis=1) + square.sum(axis=0))
    if len(seen) <= MOST_CLASSES:
        return seen.tolist()
    return sorted(seen[np.argsort(-wrong[seen], kind="stable")[:MOST_CLASSES]].tolist())


def _by_row(table: NDArray) -> NDArray[np.float64]:
    """Return the shares of each label, nan for one that is not there."""
    labelled = table.sum(axis=1, keepdims=True).astype(np.float64)
    return np.divide(table, labelled, out=np.full(table.shape, np.nan), where=labelled > 0)


def _name(run: Evaluation, index: int) -> str:
    return one_line(run.labels.names[index]) if index < len(run.labels) else OUTSIDE


def _shade(share: float) -> int:
    return min(LEVELS, max(1, round(LEVELS * share)))


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f}" if percent >= 9.95 else "<0.1" if percent < 0.05 else f"{percent:.1f}"


def _signed(points: float, digits: int) -> str:
    text = f"{100 * abs(points):.{digits}f}"
    if not float(text):
        return "0"
    return f"{'+' if points > 0 else '−'}{text}"
