"""Confidence intervals, standard errors and p-values of resampled scores, all corrected for small samples.

The plain percentile interval is too narrow where a score rests on few images, as for a rare class: it uses the normal
quantile in place of Student's. Both intervals here are widened (Hesterberg, The American Statistician 69, 2015): their
normal quantile z becomes Student's t with degrees of freedom from the jackknife influences u of the images (or
clusters),

    nu = 3 (sum u^2)^2 / sum u^4 = 3 n / kurtosis,

which is n for normal influences, m where only m of n images contain a class, and less where a few images dominate. BCa
estimates two more numbers, the bias and the acceleration, from the same images, and is widened with nu / 3; with nu
itself its coverage is too low.

With fewer than ``FEW`` images (or clusters), resampling them has too few distinct outcomes for the tails, and nu is
overestimated: nu is at most n - 1 in both, and both include Student's interval, value ± t SE with the jackknife's SE,
cut to the bounds of the score (:class:`segablate.statistics.bounds.Bounds`); those of a rank correlation
(:func:`estimate_quantiles`) do not, for Student's would often reach from -1 to 1.
``benchmarks/calibration.py`` and ``benchmarks/small_samples.py`` measure the coverage.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from segablate.statistics.bootstrap import Distribution, Floats

FEWEST = 5
"""Smallest support (images or clusters) with uncertainty; below, intervals, standard error and p are nan."""

FEW = 30
"""Clusters below which an interval includes Student's, and a p is at least that of the studentised statistic."""

RESOLVED = 10
"""Fewest replicates beyond zero for a bootstrap p; with fewer, p is that of the studentised statistic."""


@dataclass(frozen=True)
class Interval:
    """The ends of a confidence interval, each of the shape of the score."""

    low: Floats
    high: Floats


@dataclass(frozen=True)
class Estimate:
    """A score, or one per class, and its uncertainty; fields have the shape of the score.

    ``standard_error`` is the jackknife's and ``freedom`` its degrees of freedom; ``support`` counts the images (or
    clusters) that the score rests on. With fewer than ``FEWEST`` of them the uncertainty is nan.
    """

    value: Floats
    standard_error: Floats
    freedom: Floats
    percentile: Interval
    bca: Interval
    support: NDArray[np.int64]


def estimate(distribution: Distribution, level: float = 0.95) -> Estimate:
    """Estimate the standard error and the percentile and BCa intervals at ``level``, as described in the module.

    Replicates and jackknife values in which the score is undefined are left out. Intervals are cut to the bounds of the
    score.
    """
    found, n = estimate_quantiles(distribution, level), len(distribution.jackknife)
    if n >= FEW:
        return found
    half = stdtrit(found.freedom, (1 + level) / 2) * found.standard_error
    ends = distribution.bounds.cut(np.stack([found.value - half, found.value + half]))
    student = Interval(ends[0], ends[1])
    return replace(found, percentile=_union(found.percentile, student), bca=_union(found.bca, student))


def estimate_quantiles(distribution: Distribution, level: float = 0.95) -> Estimate:
    """Estimate as :func:`estimate` does, but with the percentile and BCa intervals alone, also for few images.

    They are quantiles of replicates, widened as described in the module, and so within the bounds of the score. For
    rank correlations: their quantiles cover well with few images too, where Student's often reaches from -1 to 1.
    """
    u = centred(distribution.jackknife)
    n, value, enough = len(u), distribution.value, distribution.support >= FEWEST
    freedom = np.where(enough, np.minimum(degrees_of_freedom(u), n - 1 if n < FEW else np.inf), np.nan)
    error = np.where(enough, standard_error(u), np.nan)
    ordered = np.sort(distribution.replicates.reshape(len(distribution.replicates), -1).T, axis=1)
    z = stdtrit(freedom, (1 + level) / 2)
    z_bca = z if n < FEW else stdtrit(np.maximum(freedom / 3, 1.0), (1 + level) / 2)
    percentile = percentile_interval(ordered, z)
    bca = bca_interval(ordered, z_bca, bias_correction(distribution), acceleration(u))
    return Estimate(value, error, freedom, percentile, bca, distribution.support)


def _union(one: Interval, other: Interval) -> Interval:
    return Interval(np.minimum(one.low, other.low), np.maximum(one.high, other.high))


def percentile_interval(ordered: Floats, z: Floats) -> Interval:
    """The quantiles Phi(-z) and Phi(z) of the replicates ``ordered`` (Q, B), in the shape of ``z`` with Q elements."""
    return Interval(_quantile(ordered, ndtr(-z)), _quantile(ordered, ndtr(z)))


def bca_interval(ordered: Floats, z: Floats, bias: Floats, acceleration: Floats) -> Interval:
    """Return the bias-corrected and accelerated interval: quantiles Phi(z0 + (z0 ± z) / (1 - a (z0 ± z))).

    Efron, Journal of the American Statistical Association 82, 1987; DiCiccio and Efron, Statistical Science 11, 1996.
    """

    def end(side: Floats) -> Floats:
        shifted = bias + side
        # beyond 1 / a the formula changes sign; its limit is the last quantile
        room = np.maximum(1 - acceleration * shifted, 1e-9)
        return _quantile(ordered, ndtr(bias + shifted / room))

    return Interval(end(-z), end(z))


def bias_correction(distribution: Distribution) -> Floats:
    """Return z0 = Phi^-1(share of replicates below the value), ties counting half; at least half a replicate counts."""
    replicates, value = distribution.replicates, distribution.value
    defined = np.sum(~np.isnan(replicates), axis=0)
    below = np.sum(replicates < value, axis=0) + 0.5 * np.sum(replicates == value, axis=0)
    share = np.clip(below, 0.5, np.maximum(defined - 0.5, 0.5)) / np.maximum(defined, 1)
    return ndtri(share)


def centred(jackknife: Floats) -> Floats:
    """Influence u_i = mean of the jackknife values - the value without cluster i, (G, *S); 0 where undefined."""
    defined = ~np.isnan(jackknife)
    mean = np.sum(np.where(defined, jackknife, 0.0), axis=0) / np.maximum(np.sum(defined, axis=0), 1)
    return np.where(defined, mean - jackknife, 0.0)


def acceleration(influence: Floats) -> Floats:
    """Return a = sum u^3 / (6 (sum u^2)^(3/2)) of the jackknife influences u; 0 where all are 0."""
    square = np.sum(influence**2, axis=0)
    return np.sum(influence**3, axis=0) / np.where(square > 0, 6 * square**1.5, 1.0)


def standard_error(influence: Floats) -> Floats:
    """Return the jackknife standard error, sqrt((n - 1) / n sum u^2)."""
    n = len(influence)
    return np.sqrt((n - 1) / n * np.sum(influence**2, axis=0))


def degrees_of_freedom(influence: Floats) -> Floats:
    """Return nu = 3 (sum u^2)^2 / sum u^4, which is n for normal influences; n also where all are 0."""
    relative = influence / np.maximum(np.abs(influence).max(axis=0, initial=0.0), np.finfo(float).tiny)
    fourth = np.sum(relative**4, axis=0)
    none = fourth == 0
    return np.where(none, len(influence), 3 * np.sum(relative**2, axis=0) ** 2 / np.where(none, 1.0, fourth))


def p_value(distribution: Distribution, estimate: Estimate) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the two-sided p of a difference being 0, and whether it is that of the studentised statistic.

    It is the p of the percentile interval: the largest p at which the interval of level 1 - p contains 0. With
    q = min(#{r <= 0}, #{r >= 0}) of B replicates, p = 2 T(Phi^-1((q + 1) / (B + 1))), T being Student's distribution
    function. Where q is below ``RESOLVED``, p = 2 T(-|value| / standard error), the studentised one; with fewer than
    ``FEW`` clusters it is the larger of the two. Never 0.
    """
    replicates, error, value = distribution.replicates, estimate.standard_error, distribution.value
    defined = np.sum(~np.isnan(replicates), axis=0)
    q = np.minimum(np.sum(replicates <= 0, axis=0), np.sum(replicates >= 0, axis=0))
    resampled = 2 * stdtr(estimate.freedom, ndtri(np.minimum((q + 1) / (defined + 1), 0.5)))
    known = error > 1e-12 * np.abs(value)  # else all images differ alike, up to rounding
    p_t = 2 * stdtr(estimate.freedom, -np.abs(value) / np.where(known, error, 1.0))
    few = len(distribution.jackknife) < FEW
    studentised = known & ((q < RESOLVED) | (few & (p_t > resampled)))
    p = np.where(studentised, p_t, resampled)
    return np.maximum(p, np.finfo(float).tiny), studentised


def _quantile(ordered: Floats, share: Floats) -> Floats:
    """Return a quantile of each row of ``ordered`` (Q, B; nan last) at its ``share``, interpolated linearly."""
    flat = np.reshape(share, -1)
    last = np.sum(~np.isnan(ordered), axis=1) - 1
    known = ~np.isnan(flat) & (last >= 0)
    place = np.where(known, flat * np.maximum(last, 0), 0.0)
    low = np.floor(place).astype(np.int64)
    rows = np.arange(len(ordered))
    below, above = ordered[rows, low], ordered[rows, np.minimum(low + 1, np.maximum(last, 0))]
    return np.where(known, below + (above - below) * (place - low), np.nan).reshape(np.shape(share))
