"""Area under the ROC curve and average precision of two classes, from counts in constant memory.

count (:func:`count_scores`, on the device) -> add over images -> :func:`roc_auc`, :func:`average_precision`. The score
of a pixel is the logit of the second class (the positive one) less that of the first. Pixels are counted by bins of the
score, :data:`BINS` of equal width in asinh(:data:`STEEPNESS` · score): narrow around 0, in proportion to the score far
from it. Within a bin, pixels of both classes are taken to be evenly mixed. Void is left out.

Hanley and McNeil, Radiology 143, 1982, for the area under the ROC curve as a probability; Davis and Goadrich, ICML
2006, for interpolation between points of the precision-recall curve.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segablate.kernels import tally

if TYPE_CHECKING:
    from torch import Tensor

STATISTIC = "score_bins"
"""The name of :func:`count_scores` in a saved run."""

BINS = 4096
STEEPNESS = 16.0
LARGEST = 1e4
"""Scores beyond this share the outermost bin."""


def count_scores(logits: "Tensor", labels: "Tensor") -> "Tensor":
    """Count pixels by label and bin of the score, (2, BINS) int64, on the device; counts of rows and images add.

    `logits`: 2 or more, H, W float, the two classes first; `labels`: H, W, 0, 1 or 255 void. -inf counts as the
    lowest number.
    """
    first, second = (logit.float().clamp(-LARGEST, LARGEST) for logit in logits[:2])
    place = (second - first).mul_(STEEPNESS).asinh_().div_(math.asinh(STEEPNESS * LARGEST))
    bins = place.add_(1).mul_(BINS / 2).int().clamp_(0, BINS - 1)
    codes = bins + BINS * labels.clamp(max=2).int()  # void behind the classes
    return tally.count(codes, 3 * BINS).view(3, BINS)[:2]


def roc_auc(counts: np.ndarray) -> NDArray[np.float64]:
    """Return the probability that a pixel of the second class scores above one of the first, ties counted half.

    `counts`: (..., 2, B), bins in ascending order; returns (...), nan where either class has no pixel.
    """
    negatives, positives = np.moveaxis(np.asarray(counts, np.float64), -2, 0)
    below = negatives.cumsum(-1) - negatives / 2
    return _over((positives * below).sum(-1), positives.sum(-1) * negatives.sum(-1))


def average_precision(counts: np.ndarray) -> NDArray[np.float64]:
    """Return the mean, over the pixels of the second class, of the precision at the threshold that just includes them.

    `counts` as in :func:`roc_auc`; nan where the second class has no pixel. In a bin of p positives and n negatives
    above which there are P and N, the precision is (P + p t) / (P + N + (p + n) t) for t from 0 to 1, and its mean
    p / k + (P - p c / k) log(1 + k / c) / k with k = p + n and c = P + N.
    """
    negatives, positives = np.moveaxis(np.asarray(counts, np.float64)[..., ::-1], -2, 0)
    inside = positives + negatives
    hits = positives.cumsum(-1) - positives
    above = inside.cumsum(-1) - inside
    share = positives / np.maximum(inside, 1e-300)
    slope = np.log1p(_over(inside, above, 0.0)) / np.maximum(inside, 1e-300)
    precision = share + (hits - share * above) * slope
    return _over((positives * precision).sum(-1), positives.sum(-1))


def merged_bins(counts: np.ndarray, groups: int) -> np.ndarray:
    """Add up neighbouring bins of (N, 2, B) to at most `groups` with similar shares of both classes, (N, 2, G)."""
    totals = counts.sum(0, dtype=np.float64)
    share = (totals / np.maximum(totals.sum(-1, keepdims=True), 1)).mean(0).cumsum()
    group = np.minimum(share * groups, groups - 1).astype(np.int64)
    return np.add.reduceat(counts, np.flatnonzero(np.diff(group, prepend=-1)), axis=-1, dtype=np.int64)


def _over(above: np.ndarray, below: np.ndarray, undefined: float = np.nan) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(np.shape(below), undefined), where=below > 0)
