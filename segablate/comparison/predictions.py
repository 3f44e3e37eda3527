"""Prediction against proof: does what a fixed checkpoint says of settings agree with what training gave?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

FEWEST = 5
"""Settings from which on a rank correlation is stated; below, pairs in the same order."""

_EXACT = 8
"""Settings up to which every permutation is counted; beyond, a fixed sample of them."""

_SAMPLED = 100_000


@dataclass(frozen=True)
class Agreement:
    """One column of the fixed checkpoint against the result of training, over `settings` that have both.

    - `same`, `pairs`: pairs of settings in the same order, and pairs in which neither ties.
    - `rho`, `p`: Spearman's rank correlation and its two-sided permutation p, nan below five settings.
    """

    settings: int
    same: int
    pairs: int
    rho: float
    p: float


def agreement(predicted: Sequence[float], proven: Sequence[float]) -> Agreement:
    """Compare two columns over settings, larger being better in both; nan in either leaves a setting out."""
    a, b = np.asarray(predicted, float), np.asarray(proven, float)
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    signs = [np.sign(a[i] - a[j]) * np.sign(b[i] - b[j]) for i, j in combinations(range(len(a)), 2)]
    same, pairs = sum(sign > 0 for sign in signs), sum(sign != 0 for sign in signs)
    rho, p = _rank_correlation(a, b) if len(a) >= FEWEST else (math.nan, math.nan)
    return Agreement(len(a), int(same), int(pairs), rho, p)


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    r, s = _ranks(a), _ranks(b)
    scale = math.sqrt(float((r @ r) * (s @ s)))
    if not scale:
        return math.nan, math.nan
    products = _orders(r) @ s
    seen = float(r @ s)
    reached = np.abs(products) >= abs(seen) - 1e-9
    return seen / scale, float(reached.mean())


def _orders(ranks: np.ndarray) -> np.ndarray:
    """All orders of the ranks, or many of them, the one that is there among them."""
    if len(ranks) <= _EXACT:
        return np.array(list(permutations(ranks)))
    rng = np.random.default_rng(0)
    drawn = rng.permuted(np.tile(ranks, (_SAMPLED, 1)), axis=1)
    return np.concatenate([ranks[None], drawn])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Mid-ranks less their mean."""
    below = (values[:, None] > values).sum(1) + 0.5 * ((values[:, None] == values).sum(1) - 1)
    return below - below.mean()
