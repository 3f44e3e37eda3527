"""Wrong pixels by kind per class: at the boundary, in the extent of a segment, or whole segments.

count (:func:`count_errors`, one image) -> add -> score (:func:`error_shares`). The kinds are those of Bernhard et al.,
WACV 2024, defined in :mod:`segablate.kernels.error_kinds`.
"""

import numpy as np
from numpy.typing import NDArray

from segablate.kernels.error_kinds import count_error_kinds
from segablate.kernels.maps import Map
from segablate.metrics.tolerance import Tolerance

STATISTIC = "error_kinds"
"""The name under which a run keeps the counts, (N, 2, 3, C)."""

SIDES = ("FP", "FN")
KINDS = ("boundary", "extent", "segment")


def count_errors(labels: Map, predicted: Map, classes: int, width: Tolerance) -> NDArray[np.int64]:
    """Count the wrong pixels of one image, (2, 3, C) int64, by :data:`SIDES`, :data:`KINDS` and class.

    ``labels`` and ``predicted`` are (H, W) class indices of :func:`segablate.labels.index_type`. ``width`` is rounded
    to whole pixels, as the authors do, and is at least 1.
    """
    pixels = max(1, round(width.pixels(*labels.shape)))
    return count_error_kinds(labels, predicted, classes, pixels)


def error_shares(counts: NDArray, hits: NDArray) -> NDArray[np.float64]:
    """Return errors over the union of each class, (..., 2, 3, C), of such counts and hits (..., C); nan without union.

    With the IoU they sum to 1 for each class.
    """
    union = np.asarray(hits + counts.sum(axis=(-3, -2)), np.float64)[..., None, None, :]
    return np.divide(counts, union, out=np.full(counts.shape, np.nan), where=union > 0)
