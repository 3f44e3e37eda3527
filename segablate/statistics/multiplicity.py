"""Multiple testing: p-values (M,) adjusted so that they can be compared with the usual level. nan is left out."""

import numpy as np

from segablate.statistics.bootstrap import Floats


def holm(p: Floats) -> Floats:
    """Return p adjusted by Holm's step-down: at level 0.05, the chance of any false positive is at most 5 %.

    With p sorted ascending and k = 1..m, adjusted p_(k) = max over j <= k of min(1, (m - j + 1) p_(j)). Valid under any
    dependence. Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    ordered, places = _ascending(p)
    steps = np.maximum.accumulate(ordered * np.arange(ordered.size, 0, -1))
    return _back(p, places, steps)


def benjamini_hochberg(p: Floats) -> Floats:
    """Return p adjusted by Benjamini and Hochberg's step-up: at 0.05, at most 5 % false discoveries are expected.

    With p sorted ascending and k = 1..m, adjusted p_(k) = min over j >= k of min(1, m p_(j) / j), for independent or
    positively dependent tests. Benjamini and Hochberg, Journal of the Royal Statistical Society B 57, 1995.
    """
    ordered, places = _ascending(p)
    steps = ordered * ordered.size / np.arange(1, ordered.size + 1)
    return _back(p, places, np.minimum.accumulate(steps[::-1])[::-1])


def _ascending(p: Floats) -> tuple[Floats, np.ndarray]:
    """Return the defined p in ascending order, and their indices."""
    places = np.argsort(p, kind="stable")[: np.sum(~np.isnan(p))]
    return p[places], places


def _back(p: Floats, places: np.ndarray, adjusted: Floats) -> Floats:
    result = np.full(p.shape, np.nan)
    result[places] = np.minimum(adjusted, 1.0)
    return result
