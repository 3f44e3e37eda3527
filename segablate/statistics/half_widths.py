"""Half-widths of intervals that add up independent sources of variance, and the p-values that agree with them.

A source has a variance V and degrees of freedom; the half-width at level 1 - alpha is

    h(alpha) = sqrt(sum over sources of t(alpha, freedom)^2 V),

t being the two-sided quantile of Student's distribution. Where several such sums hold, the largest counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.05
"""alpha of the intervals."""

SMALLEST = float(np.finfo(float).tiny)
"""The smallest p."""

_STEPS = 70
"""Halvings of log alpha, from about 700 to below the rounding of a float."""


@dataclass(frozen=True)
class Source:
    """A variance and its degrees of freedom; its quantile is taken at ``share`` times alpha."""

    variance: float
    freedom: float
    share: float = 1.0


Sum = tuple[Source, ...]


def half_width(sums: Sequence[Sum], alpha: float = LEVEL) -> float:
    """Return the largest of the half-widths of several sums of sources."""
    return max(float(np.sqrt(sum(_square(source, alpha) for source in sources))) for sources in sums)


def smallest_alpha(difference: float, sums: Sequence[Sum]) -> float:
    """Return the two-sided p: the smallest alpha with ``|difference| >= half_width(sums, alpha)``.

    The interval of level 95 % excludes 0 where p is below 0.05. Never 0: without any variance it is 1 for no
    difference, else the smallest positive float.
    """
    size = abs(difference)
    if size == 0:
        return 1.0
    low, high = np.log(SMALLEST), 0.0
    if size >= half_width(sums, SMALLEST):
        return SMALLEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if size >= half_width(sums, float(np.exp(middle))) else (middle, high)
    return float(np.exp(high))


def _square(source: Source, alpha: float) -> float:
    """t^2 V; a source without variance, or at alpha >= 1, adds nothing."""
    alpha = source.share * alpha
    if source.variance == 0 or alpha >= 1:
        return 0.0
    t = float(stdtrit(source.freedom, alpha / 2))
    return t * t * source.variance
