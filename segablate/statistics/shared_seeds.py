"""Settings trained under the same seeds: seeds x images, fully crossed.

With theta_ij the score of setting i under seed j of S, d_j = theta_aj - theta_0j for a setting a and the baseline 0, d
their mean and s their standard deviation, and u_ij the influence of cluster i of n on d_j:

- images: V_I = max(0, (n - 1)/n [sum_i (sum_j u_ij)^2 - sum_ij u_ij^2] / (S (S - 1))), the mean covariance of the
  differences under two different seeds, with nu degrees of freedom from the influences on d;
- seeds, the pair alone: V_S = s^2 / S with S - 1 degrees of freedom;
- seeds, pooled: V_S = 2 MS / S with the mean square and degrees of freedom of :func:`segablate.statistics.pools.pool`.

The interval is d +- h, with the half-width h^2 = t^2(seeds) V_S + t^2(nu) V_I.
"""

from dataclasses import replace

import numpy as np

from segablate.statistics.bootstrap import Floats
from segablate.statistics.half_widths import Source, Sum
from segablate.statistics.intervals import FEWEST, degrees_of_freedom
from segablate.statistics.pools import Pool, pool
from segablate.statistics.trainings import (
    Basis,
    SettingResult,
    Trainings,
    TrainingsResult,
    chance_above,
    corrected,
    described,
    image_covariance,
    variance,
    with_interval,
)

FEWEST_FREEDOM = 4
"""Degrees of freedom of the pool below which two seeds have no interval."""

PAIR_ALONE = 5
"""Seeds from which a setting and the baseline tell their variance without the other settings."""

FEWEST_FOR_CHANCE = 3
"""Number of seeds below which no statement is made about a new training."""


def over_shared_seeds(trainings: Trainings) -> TrainingsResult:
    """Compare every setting with the baseline; column j of the trainings is seed j.

    - Of 2 to 4 seeds, where setting and baseline are in a pool of more than two: the larger of the half-width with the
      pooled V_S and that with the pair's, whose t is taken at 90 %.
    - Otherwise the half-width of the pair, over the seeds that it shares: of 5 seeds and more, of a setting that lacks
      a training, and where one of the two has left the pool.
    - Two seeds have an interval where the pool has at least ``FEWEST_FREEDOM`` degrees of freedom.
    - One shared seed has the interval over images, which knows nothing of other trainings.
    - Below ``FEWEST`` clusters there is none.

    The chance to score higher is Phi(d / s), of a new training of both under one seed (Bouthillier et al., Accounting
    for variance in machine learning benchmarks, MLSys 2021, arXiv:2103.03098).
    """
    pooled = pool(trainings.score)
    others = [_against_baseline(trainings, setting, pooled) for setting in range(1, len(trainings.score))]
    return TrainingsResult(corrected([described(trainings.score[0]), *others]), pooled)


def _against_baseline(trainings: Trainings, setting: int, pooled: Pool) -> SettingResult:
    score, pair = trainings.score, [0, setting]
    shared = np.flatnonzero(~np.isnan(score[pair]).any(axis=0))
    found = replace(described(score[setting]), shared=shared.size)
    if not shared.size:
        return replace(found, basis="none: no shared seed")
    d = score[setting, shared] - score[0, shared]
    chance = chance_above(d.mean(), variance(d) ** 0.5) if d.size >= FEWEST_FOR_CHANCE else np.nan
    found = replace(found, difference=float(d.mean()), higher=chance)
    if trainings.support[pair][:, shared].min() < FEWEST:
        return replace(found, basis="none: few clusters")
    if score.shape[1] == 2 == d.size and pooled.freedom < FEWEST_FREEDOM:
        return replace(found, basis="none: two seeds")
    u = trainings.influence[setting, shared] - trainings.influence[0, shared]
    images = Source(max(0.0, image_covariance(u)), float(degrees_of_freedom(u.mean(axis=0))))
    sums, basis = _sums(d, images, pooled, setting, score.shape[1])
    return with_interval(found, sums, basis, trainings.bounds)


def _sums(d: Floats, images: Source, pooled: Pool, setting: int, seeds: int) -> tuple[list[Sum], Basis]:
    """The sums of sources of variance of which the largest counts."""
    if d.size == 1:
        return [(images,)], "one training each"
    pair = Source(variance(d) / d.size, d.size - 1)
    together = {0, setting} <= set(pooled.members) and len(pooled.members) > 2
    if seeds >= PAIR_ALONE or not together:
        return [(pair, images)], "pair alone"
    of_pool = Source(2 * pooled.mean_square / seeds, pooled.freedom)
    return [(of_pool, images), (replace(pair, share=2.0), images)], "pooled"
