"""Trainings of several settings: one score of each, and its difference from a baseline.

The trainings are a sample of trainings and the images a sample of images: the multi-reader multi-case design of
radiology, with seeds as readers and images as cases (Obuchowski and Rockette, Communications in Statistics 24, 1995;
Hillis, Statistics in Medicine 26, 2007; Smith and Hillis, SPIE 11316, 2020). A difference of two settings varies with
both, and its interval covers both. :mod:`segablate.statistics.shared_seeds` has the intervals for settings that were
trained under the same seeds, :mod:`segablate.statistics.separate_seeds` those for trainings that nothing pairs;
``benchmarks/training_coverage.py`` measures how often they hold the truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from segablate.statistics.bootstrap import Floats
from segablate.statistics.bounds import UNBOUNDED, Bounds
from segablate.statistics.half_widths import Sum, half_width, smallest_alpha
from segablate.statistics.multiplicity import holm
from segablate.statistics.pools import Pool

Basis = Literal[
    "baseline",
    "pooled",
    "pair alone",
    "separate seeds",
    "one training each",
    "none: no shared seed",
    "none: no training",
    "none: two seeds",
    "none: one training",
    "none: few clusters",
]
"""On what an interval rests, or why there is none."""

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Trainings:
    """One score of k settings, the baseline first, under S seeds.

    - ``score`` (k, S): exact, of the whole set; nan where a training is missing, or the score undefined.
    - ``influence`` (k, S, G): centred jackknife influences of G clusters of images; unused where ``score`` is nan.
    - ``support`` (k, S): clusters on which alone the score is defined.
    - ``bounds``: those of the score; intervals of differences are cut to what it leaves possible.
    """

    score: Floats
    influence: Floats
    support: NDArray[np.int64]
    bounds: Bounds = UNBOUNDED


@dataclass(frozen=True)
class SettingResult:
    """One setting against the baseline; what is undefined is nan.

    - ``trainings``: how many there are; ``mean`` and ``spread`` (standard deviation) of their scores.
    - ``shared``: seeds under which both have a score; trainings of the setting where seeds are not paired.
    - ``difference``: setting - baseline, with the 95 % interval ``low`` to ``high``, and what it rests on, ``basis``.
    - ``p``: two-sided, below 0.05 where the interval excludes 0; ``p_holm``: corrected over the settings.
    - ``higher``: chance that a new training of the setting scores higher than one of the baseline.
    """

    trainings: int
    mean: float
    spread: float
    shared: int
    difference: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    p_holm: float = np.nan
    higher: float = np.nan
    basis: Basis = "baseline"


@dataclass(frozen=True)
class TrainingsResult:
    """One score: ``settings`` in their order, the baseline first, and the ``pool``, None where seeds are not paired."""

    settings: tuple[SettingResult, ...]
    pool: Pool | None


def described(score: Floats) -> SettingResult:
    """Return number, mean and spread of the trainings of one setting, (S,)."""
    there = score[~np.isnan(score)]
    mean = float(there.mean()) if there.size else np.nan
    spread = float(np.sqrt(variance(there))) if there.size > 1 else np.nan
    return SettingResult(there.size, mean, spread, there.size)


def with_interval(found: SettingResult, sums: Sequence[Sum], basis: Basis, bounds: Bounds) -> SettingResult:
    """Return the result with interval and p: the half-width is the largest of the ``sums`` of sources of variance.

    ``bounds`` are those of the score: the interval of the difference is cut to theirs.
    """
    h, p = half_width(sums), smallest_alpha(found.difference, sums)
    low, high = (bounds - bounds).cut(found.difference + np.array([-h, h])).tolist()
    return replace(found, low=low, high=high, p=p, basis=basis)


def corrected(settings: Sequence[SettingResult]) -> tuple[SettingResult, ...]:
    """Return the results with Holm's p, over all that have one."""
    p_holm = holm(np.array([setting.p for setting in settings]))
    return tuple(replace(setting, p_holm=p) for setting, p in zip(settings, p_holm.tolist(), strict=True))


def variance(values: Floats) -> float:
    """Return the sample variance of (S,); 0 where all are equal up to rounding."""
    deviation = values - values.mean()
    deviation[np.abs(deviation) <= _ROUNDING * np.abs(values).max()] = 0.0
    return float(np.sum(deviation**2) / (values.size - 1))


def image_covariance(u: Floats) -> float:
    """Return the mean covariance over images of two different trainings, from influences u (S, G) of G clusters.

    (G - 1)/G [sum_i (sum_j u_ij)^2 - sum_ij u_ij^2] / (S (S - 1)); for S = 1 the variance of the training.
    """
    trainings, clusters = u.shape
    own = float(np.sum(u**2))
    if trainings == 1:
        return (clusters - 1) / clusters * own
    return (clusters - 1) / clusters * (float(np.sum(u.sum(axis=0) ** 2)) - own) / (trainings * (trainings - 1))


def chance_above(difference: float, spread: float) -> float:
    """Return Phi(difference / spread), the chance of a difference above 0 in new trainings; nan without spread."""
    return float(ndtr(difference / spread)) if spread > 0 else np.nan
