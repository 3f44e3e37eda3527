"""Scores in bands around the label boundaries ("trimaps").

Kohli, Ladický and Torr, Robust higher order potentials for enforcing label consistency, IJCV 2009, for the "trimap".
The band of width w holds the labelled pixels within Euclidean distance w of a boundary pixel of the labels; boundaries
are defined in :mod:`segablate.kernels.boundary_reference`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from segablate.kernels.boundary_reference import boundary
from segablate.kernels.exact_opencv import distance_to_zero
from segablate.labels import ignore_index
from segablate.metrics.confusion import ClassCounts

COUNTS, WIDTHS = "trimap", "trimap_widths"


def count_trimap(
    labels: np.ndarray, predicted: np.ndarray, classes: int, *, widths: Sequence[int]
) -> Mapping[str, np.ndarray]:
    """Count hits, labelled and predicted pixels of one image in each band, (W, 3, C) int64, with the widths (W,).

    `labels` and `predicted` are (H, W) class indices, `widths` whole pixels in ascending order.
    """
    labelled = labels != ignore_index(classes)
    edges = boundary(labels, labelled)
    band = np.full(labels.shape, len(widths))
    if edges.any():
        distance = distance_to_zero((~edges).view(np.uint8))
        squares = np.rint(distance.astype(np.float64) ** 2)  # the squares are integers
        band = np.searchsorted([width**2 for width in widths], squares)
    inside = labelled & (band < len(widths))
    maps = band[inside], labels[inside], predicted[inside]
    return {COUNTS: _sums(*maps, (len(widths), classes)), WIDTHS: np.array(widths, np.int64)}


def trimap_counts(statistic: np.ndarray) -> ClassCounts:
    """Sum over images, (N, W, 3, C) to counts of (W, C) each."""
    return ClassCounts(*np.moveaxis(statistic.sum(axis=0), 1, 0))


def _sums(band: np.ndarray, labels: np.ndarray, predicted: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Count hits, labelled and predicted pixels in each band and all narrower ones, (W, 3, C)."""
    size = shape[0] * shape[1]

    def counted(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return np.bincount(band[chosen] * shape[1] + values[chosen], minlength=size).reshape(shape)

    right, known = labels == predicted, predicted < shape[1]
    parts = [counted(labels, right), counted(labels, np.ones_like(right)), counted(predicted, known)]
    return np.stack(parts, axis=1).cumsum(axis=0)
