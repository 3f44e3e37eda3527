"""Trainings of several settings that no seed pairs, such as the saved runs of somebody's own training.

With S_a trainings of a setting a, their spread s_a, and C_ab the mean covariance over images of a training of a with
one of b (of a with a: of two different trainings):

- trainings: V_S = s_a^2 / S_a + s_0^2 / S_0, with the degrees of freedom of Welch (Biometrika 34, 1947);
- images: V_I = max(0, C_aa + C_00 - 2 C_a0), with nu degrees of freedom from the influences on the difference of means.

The interval is the difference of the means +- h, with the half-width h^2 = t^2(Welch) V_S + t^2(nu) V_I.
"""

from dataclasses import replace

import numpy as np

from segablate.statistics.bootstrap import Floats
from segablate.statistics.half_widths import Source
from segablate.statistics.intervals import FEWEST, degrees_of_freedom
from segablate.statistics.shared_seeds import FEWEST_FOR_CHANCE
from segablate.statistics.trainings import (
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


def over_separate_seeds(trainings: Trainings) -> TrainingsResult:
    """Compare every setting with the baseline; the columns of the trainings are in no order.

    - One training each: the interval over images, which knows nothing of other trainings.
    - One training of one of them: no interval, for its spread is not known.
    - Below ``FEWEST`` clusters there is none.

    The chance to score higher is Phi(difference / sqrt(s_a^2 + s_0^2)), of a new training of each.
    """
    others = [_against_baseline(trainings, setting) for setting in range(1, len(trainings.score))]
    return TrainingsResult(corrected([described(trainings.score[0]), *others]), None)


def _against_baseline(trainings: Trainings, setting: int) -> SettingResult:
    there = ~np.isnan(trainings.score)
    a, baseline = (trainings.score[row, there[row]] for row in (setting, 0))
    found = described(a)
    if not (a.size and baseline.size):
        return replace(found, basis="none: no training")
    difference = float(a.mean() - baseline.mean())
    found = replace(found, difference=difference, higher=_chance(difference, a, baseline))
    if min(trainings.support[row, there[row]].min() for row in (setting, 0)) < FEWEST:
        return replace(found, basis="none: few clusters")
    u_a, u_baseline = (trainings.influence[row, there[row]] for row in (setting, 0))
    images = image_source(u_a, u_baseline)
    if a.size == baseline.size == 1:
        return with_interval(found, [(images,)], "one training each", trainings.bounds)
    if min(a.size, baseline.size) == 1:
        return replace(found, basis="none: one training")
    return with_interval(found, [(welch(a, baseline), images)], "separate seeds", trainings.bounds)


def welch(a: Floats, b: Floats) -> Source:
    """Return the variance of the difference of two means, of (S_a,) and (S_b,) values, with Welch's freedom."""
    of_means = np.array([variance(values) / values.size for values in (a, b)])
    total, freedoms = of_means.sum(), np.array([a.size - 1, b.size - 1])
    freedom = total**2 / np.sum(of_means**2 / freedoms) if total > 0 else freedoms.sum()
    return Source(float(total), float(freedom))


def image_source(u_a: Floats, u_b: Floats) -> Source:
    """Return V_I and nu from influences (S_a, G) and (S_b, G); of one training each, the variance of the difference."""
    clusters = u_a.shape[1]
    freedom = float(degrees_of_freedom(u_a.mean(axis=0) - u_b.mean(axis=0)))
    between = (clusters - 1) / clusters * float(u_a.mean(axis=0) @ u_b.mean(axis=0))
    return Source(max(0.0, image_covariance(u_a) + image_covariance(u_b) - 2 * between), freedom)


def _chance(difference: float, a: Floats, b: Floats) -> float:
    if min(a.size, b.size) < FEWEST_FOR_CHANCE:
        return np.nan
    return chance_above(difference, (variance(a) + variance(b)) ** 0.5)
