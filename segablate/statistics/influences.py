"""Exact scores and the influence of each image (or cluster of images) on them, without a bootstrap.

The influence of a cluster is the centred jackknife: what the score loses without it, less the mean of that over the
clusters. Its sum of squares is the jackknife variance, and its products over two trainings are their covariance.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from segablate.statistics.bootstrap import Floats, Resampling, Statistic
from segablate.statistics.bounds import Bounds
from segablate.statistics.intervals import centred


@dataclass(frozen=True)
class Influences:
    """A score, or one per class, and what each of G clusters contributes; S is the shape of the score, () or (C,).

    ``value`` S; ``influence`` (G, *S), 0 where the score is undefined without the cluster; ``support`` S counts the
    clusters on which alone the score is defined; ``bounds`` are those of the score.
    """

    value: Floats
    influence: Floats
    support: NDArray[np.int64]
    bounds: Bounds


def influences(statistic: Statistic, plan: Resampling) -> dict[str, Influences]:
    """Return value and influences of every score of a statistic that is a function of sums over images.

    Of ``plan`` only the clusters matter. Time and memory grow with the number of images, not with its square.
    """
    value = statistic(np.ones((1, plan.groups.size)))
    without = statistic(cast(Floats, _ClusterWeights(plan, others=True)))
    alone = statistic(cast(Floats, _ClusterWeights(plan, others=False)))
    return {
        name: Influences(value[name][0], centred(without[name]), np.sum(~np.isnan(alone[name]), axis=0), bounds)
        for name, bounds in statistic.bounds.items()
    }


@dataclass(frozen=True)
class _ClusterWeights:
    """A matrix of weights (G, N) that is only multiplied: row g is 1 for the images of cluster g and 0 elsewhere.

    With ``others`` it is the reverse. Written out, it would have a row for every image.
    """

    plan: Resampling
    others: bool

    def __len__(self) -> int:
        return self.plan.clusters

    def __matmul__(self, columns: Floats) -> Floats:
        sums = _cluster_sums(columns, self.plan)
        return sums.sum(axis=0) - sums if self.others else sums


def _cluster_sums(columns: Floats, plan: Resampling) -> Floats:
    if plan.single:
        return columns
    sums = np.zeros((plan.clusters, *columns.shape[1:]))
    np.add.at(sums, plan.groups, columns)
    return sums
