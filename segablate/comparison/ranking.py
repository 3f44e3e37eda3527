"""Ranking of the runs by each measure, and its stability over bootstrap replicates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segablate.comparison.scores import Measure
from segablate.statistics.bootstrap import Distribution, Floats


@dataclass(frozen=True)
class Ranking:
    """The ranks of R runs under one measure; rank 1 is the best, and equal values share their mean rank.

    - `rank` (R,): on the set itself; `first` (R,): the share of replicates in which a run is best, a tie for the first
      place divided among the tied; `mean_rank` (R,): over replicates. nan where undefined.
    """

    measure: Measure
    rank: Floats
    first: Floats
    mean_rank: Floats

    @property
    def chosen(self) -> int | None:
        """The index of the best run, the first of equals; None where the measure is undefined."""
        return None if np.isnan(self.rank).any() else int(np.argmin(self.rank))


def ranking(measure: Measure, distributions: Sequence[Distribution]) -> Ranking:
    """Rank R runs by the distributions of one score, without replicates in which the score of a run is undefined."""
    sign = 1.0 if measure.less_is_better else -1.0
    values = sign * np.array([distribution.value for distribution in distributions])
    replicates = sign * np.stack([distribution.replicates for distribution in distributions], axis=1)
    replicates = replicates[~np.isnan(replicates).any(axis=1)]
    unknown = np.full(len(distributions), np.nan)
    rank = unknown if np.isnan(values).any() else mean_ranks(values)
    if not len(replicates):
        return Ranking(measure, rank, unknown, unknown)
    best = replicates == replicates.min(axis=1, keepdims=True)
    first = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return Ranking(measure, rank, first, mean_ranks(replicates).mean(axis=0))


def mean_ranks(values: Floats) -> Floats:
    """Return the ranks along the last axis, 1 for the least; equal values share the mean of their ranks."""
    columns = [values[..., place, None] for place in range(values.shape[-1])]
    ranks = [(values < one).sum(axis=-1) + ((values == one).sum(axis=-1) + 1) / 2 for one in columns]
    return np.stack(ranks, axis=-1)
