"""Boundary IoU per class: the IoU of the inner bands along the boundaries of two maps.

Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, CVPR 2021, arXiv:2103.16562, there
for masks of instances. count (:func:`count_boundary_iou`, or :func:`count_boundary_iou_on_device`, one image) -> add ->
score (:func:`boundary_iou`). Bands, and void in them, are defined in :mod:`segablate.kernels.bands_reference`.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segablate.kernels import bands
from segablate.kernels.maps import Map
from segablate.metrics.tolerance import Tolerance

if TYPE_CHECKING:
    from torch import Tensor

STATISTIC = "boundary_iou"
"""The name under which a run keeps the counts, (N, 3, C)."""


def band_width(width: Tolerance, height: int, columns: int) -> int:
    """Return the chessboard distance d in an image of this size: whole pixels, at least 1, as the authors do."""
    return max(1, round(width.pixels(height, columns)))


def count_boundary_iou(labels: Map, predicted: Map, classes: int, width: Tolerance) -> NDArray[np.int64]:
    """Count the pixels of one image in both bands, in the labelled and in the predicted one: (3, C) int64.

    ``labels`` and ``predicted`` are (H, W) class indices of :func:`segablate.labels.index_type`.
    """
    return bands.count_boundary_bands(labels, predicted, classes, band_width(width, *labels.shape))


def count_boundary_iou_on_device(
    labels: "Tensor", predicted: "Tensor", classes: int, width: Tolerance
) -> NDArray[np.int64]:
    """Count as :func:`count_boundary_iou` does, of tensors on a GPU; only the counts are copied to the host."""
    return boundary_iou_counts(labels, predicted, classes, width).cpu().numpy()


def boundary_iou_counts(labels: "Tensor", predicted: "Tensor", classes: int, width: Tolerance) -> "Tensor":
    """Count as :func:`count_boundary_iou_on_device` does, and leave the counts on the GPU."""
    return bands.count_boundary_bands_on_device(labels, predicted, classes, band_width(width, *labels.shape))


def boundary_iou(counts: NDArray) -> NDArray[np.float64]:
    """Return the intersection over union of the bands, (..., 3, C) to (..., C); nan without a band in either map."""
    both, labelled, predicted = np.moveaxis(counts, -2, 0)
    union = np.asarray(labelled + predicted - both, np.float64)
    return np.divide(both, union, out=np.full(union.shape, np.nan), where=union > 0)
