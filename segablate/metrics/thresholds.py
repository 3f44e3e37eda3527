"""Scores of the second of two classes at any threshold of its probability, from the counts of :mod:`..roc`.

The probability is σ of the second logit less the first, and a pixel is of the second class above the threshold. Counts
are those of bins of this difference; within a bin, pixels are taken to be evenly spread.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segablate.metrics.roc import BINS, LARGEST, STEEPNESS


class Counted(NamedTuple):
    """Pixels above thresholds, of the second class and of the first, and all of both, each (T,)."""

    hits: NDArray[np.float64]
    false_alarms: NDArray[np.float64]
    positives: NDArray[np.float64]
    negatives: NDArray[np.float64]

    @property
    def dice(self) -> NDArray[np.float64]:
        """2 TP / (2 TP + FP + FN), which is F1 of the second class; nan where nothing is of it or taken for it."""
        return _over(2 * self.hits, self.hits + self.false_alarms + self.positives)

    @property
    def iou(self) -> NDArray[np.float64]:
        """TP / (TP + FP + FN)."""
        return _over(self.hits, self.false_alarms + self.positives)

    @property
    def recall(self) -> NDArray[np.float64]:
        """TP / (TP + FN), sensitivity."""
        return _over(self.hits, self.positives)

    @property
    def precision(self) -> NDArray[np.float64]:
        """TP / (TP + FP)."""
        return _over(self.hits, self.hits + self.false_alarms)

    @property
    def specificity(self) -> NDArray[np.float64]:
        """TN / (TN + FP)."""
        return _over(self.negatives - self.false_alarms, self.negatives)


def at_thresholds(counts: np.ndarray, thresholds: np.ndarray) -> Counted:
    """Count the pixels above thresholds (T,) between 0 and 1; `counts`: (2, BINS), bins in ascending order."""
    probabilities = np.asarray(thresholds, np.float64)
    scores = np.log(probabilities) - np.log1p(-probabilities)
    place = (np.arcsinh(STEEPNESS * scores) / math.asinh(STEEPNESS * LARGEST) + 1) * (BINS / 2)
    edges = np.arange(BINS + 1)
    rows = [np.interp(place, edges, row) for row in _above(counts)]
    totals = np.asarray(counts, np.float64).sum(axis=-1)
    return Counted(rows[1], rows[0], *(np.full(place.shape, total) for total in totals[::-1]))


def best_threshold(counts: np.ndarray) -> float:
    """Return the threshold of the highest Dice; nan without pixels of the second class. `counts`: (2, BINS).

    Of thresholds that differ by nothing that was counted, such as between two levels of 8 bits, the middle.
    """
    false_alarms, hits = _above(counts)
    positives = float(np.sum(counts[1]))
    if not positives:
        return math.nan
    dice = 2 * hits / (hits + false_alarms + positives)
    best = int(np.argmax(dice))
    same = np.flatnonzero((hits == hits[best]) & (false_alarms == false_alarms[best]))
    place = (same[0] + same[-1]) / 2
    score = math.sinh((place / (BINS / 2) - 1) * math.asinh(STEEPNESS * LARGEST)) / STEEPNESS
    return 1 / (1 + math.exp(-min(max(score, -30.0), 30.0)))


def _above(counts: np.ndarray) -> NDArray[np.float64]:
    """Return the pixels in all bins from each edge on, (2, BINS + 1)."""
    counts = np.asarray(counts, np.float64)
    rest = counts[..., ::-1].cumsum(axis=-1)[..., ::-1]
    return np.concatenate([rest, np.zeros((2, 1))], axis=-1)


def _over(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
