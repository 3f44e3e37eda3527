"""Which settings of a table share their spread over seeds, and the variance that they have in common."""

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtri

from segablate.statistics.bootstrap import Floats

OUTLYING = 0.99
"""Level of the F-test by which a setting leaves the pool."""

WIDER = 2.0
"""Ratio of a setting's spread to that of the others in its pool above which it is named."""

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Pool:
    """The settings, by number, whose variance over S seeds is pooled.

    - ``members``: of the pool; ``left``: complete rows that the F-test took out, in that order.
    - ``wider``: members whose spread is more than ``WIDER`` times that of the other members.
    - ``mean_square``: of setting x seed, with ``freedom`` degrees of freedom; nan and 0 below two members or seeds.
    """

    members: tuple[int, ...]
    left: tuple[int, ...]
    wider: tuple[int, ...]
    mean_square: float
    freedom: int


def pool(score: Floats) -> Pool:
    """Pool the complete rows of ``score`` (k, S; nan where a training is missing).

    With SS(R) the sum of squares of setting x seed over the rows R, the residuals of a two-way table, each row i of k
    has F_i = [(SS - SS without i) / (S - 1)] / [SS without i / ((k - 2)(S - 1))]. The row with the largest F_i leaves
    while it exceeds the 99 % quantile of F(S - 1, (k - 2)(S - 1)), and while more than two rows remain.
    """
    seeds = score.shape[1]
    members, left = np.flatnonzero(~np.isnan(score).any(axis=1)).tolist(), []
    ratios = row_ratios(score[members])
    while len(ratios) and ratios.max() > fdtri(seeds - 1, (len(members) - 2) * (seeds - 1), OUTLYING):
        left.append(members.pop(int(np.argmax(ratios))))
        ratios = row_ratios(score[members])
    wider = tuple(member for member, ratio in zip(members, ratios, strict=False) if ratio > WIDER**2)
    freedom = max(len(members) - 1, 0) * (seeds - 1)
    mean_square = interaction(score[members]) / freedom if freedom else float("nan")
    return Pool(tuple(members), tuple(left), wider, mean_square, freedom)


def row_ratios(score: Floats) -> Floats:
    """Return F_i of each row of a complete table (k, S); none for fewer than three rows or two seeds."""
    rows, seeds = score.shape
    if rows <= 2 or seeds < 2:
        return np.zeros(0)
    whole = interaction(score)
    without = np.array([interaction(np.delete(score, row, axis=0)) for row in range(rows)])
    own = np.maximum(whole - without, 0.0)
    exact = np.where(own > 0, np.inf, 0.0)
    return np.divide(own * (rows - 2), without, out=exact, where=without > 0)


def interaction(score: Floats) -> float:
    """Return the sum of squares of the residuals theta_ij - theta_i. - theta_.j + theta_.. of a table (k, S)."""
    residual = score - score.mean(axis=1, keepdims=True) - score.mean(axis=0) + score.mean()
    residual[np.abs(residual) <= _ROUNDING * np.abs(score).max(initial=0.0)] = 0.0
    return float(np.sum(residual**2))
