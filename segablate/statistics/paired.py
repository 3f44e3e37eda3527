"""Paired comparison of two systems on the same images: the difference, its significance, and the power of the set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from segablate.statistics.bootstrap import Distribution, Floats
from segablate.statistics.intervals import Estimate, estimate, p_value


@dataclass(frozen=True)
class Difference:
    """Scores of two systems and ``change`` = b - a with its uncertainty; fields have the shape of the score.

    ``p`` is two-sided, uncorrected; ``studentised`` is true where it is that of the studentised statistic because the
    replicates cannot resolve it. ``change.support`` is the smaller support of the two scores.
    """

    a: Floats
    b: Floats
    change: Estimate
    p: Floats
    studentised: NDArray[np.bool_]


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's two-sided ``p`` over ``images`` with both values, of which ``ties`` have no difference."""

    p: float
    images: int
    ties: int


def compare(a: Distribution, b: Distribution, level: float = 0.95) -> Difference:
    """Return the paired difference b - a of scores that were resampled together."""
    change = subtract(a, b)
    uncertain = estimate(change, level)
    return Difference(a.value, b.value, uncertain, *p_value(change, uncertain))


def subtract(a: Distribution, b: Distribution) -> Distribution:
    """Return the distribution of b - a; both must come from one call of ``resample``, or from equal plans."""
    return Distribution(
        b.value - a.value,
        b.replicates - a.replicates,
        b.jackknife - a.jackknife,
        np.minimum(a.support, b.support),
        b.bounds - a.bounds,
    )


def signed_rank(a: Floats, b: Floats) -> SignedRank:
    """Apply Wilcoxon's signed-rank test to image-level scores (N,); images with a nan are left out.

    Exact up to 50 images without ties, else the normal approximation. Images without a difference are dropped; where
    none has one, p is 1; without any image it is nan.
    """
    from scipy.stats import wilcoxon  # scipy.stats takes half a second to import, and only this test needs it

    change = (b - a)[~np.isnan(b - a)]
    ties = int(np.sum(change == 0))
    if ties == change.size:
        return SignedRank(1.0 if change.size else np.nan, change.size, ties)
    return SignedRank(float(np.asarray(wilcoxon(change[change != 0]))[1]), change.size, ties)


def detectable(change: Estimate, power: float = 0.8, level: float = 0.95) -> Floats:
    """Return the smallest true difference that such a set detects with ``power``: (t_(1+level)/2 + t_power) x SE."""
    t = stdtrit(change.freedom, (1 + level) / 2) + stdtrit(change.freedom, power)
    return t * change.standard_error


def images_needed(change: Estimate, images: int, power: float = 0.8, level: float = 0.95) -> Floats:
    """Return the number of images that detect a true difference of the observed size with ``power``; inf where 0.

    It is n (t SE / difference)^2, rounded up, for the n = ``images`` of this set: the standard error falls with the
    square root of their number.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.ceil(images * (detectable(change, power, level) / np.abs(change.value)) ** 2)
