"""Bands along boundaries, of all classes at once, for boundary IoU. Fast forms for the host and the device.

The results equal those of :mod:`segablate.kernels.bands_reference`, which is the definition. A pixel is within
chessboard distance d of another label exactly where the smallest and the largest label in its (2d+1)² window differ:
two separable filters for each map, whatever the number of classes. Void is the largest for the one filter and the
smallest for the other, so that it has no effect; it is above all classes and so never confused with one.
"""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from segablate.kernels import tally
from segablate.kernels.confusion import count_confusion
from segablate.kernels.maps import Map, all_bits, full_where
from segablate.labels import WIDE_IGNORE, ignore_index, ignored_in

if TYPE_CHECKING:
    from torch import Tensor


def count_boundary_bands(labels: Map, predicted: Map, classes: int, width: int) -> NDArray[np.int64]:
    """Count the pixels of each class in both bands, in the labelled and in the predicted one: (3, C) int64.

    ``labels`` and ``predicted`` are (H, W) class indices of :func:`segablate.labels.index_type`; ``width`` >= 1 is in
    pixels.
    """
    labels, predicted = np.ascontiguousarray(labels), np.ascontiguousarray(predicted)
    void = full_where(labels == ignored_in(labels), labels)  # H W
    return _counts(_in_band(labels, void, width), _in_band(predicted, void, width), classes)


def _in_band(values: Map, void: Map, width: int) -> Map:
    """Return ``values`` in the band, the index of void elsewhere, (H, W); ``void`` is that index or 0."""
    window = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    smallest = cv2.erode(cv2.bitwise_or(values, void), window)  # H W
    largest = cv2.dilate(cv2.subtract(values, void), window)  # H W
    elsewhere = all_bits(cv2.compare(smallest, largest, cv2.CMP_EQ), values)  # H W
    return np.asarray(cv2.bitwise_or(cv2.bitwise_or(values, void), elsewhere), values.dtype)


def _counts(labelled: Map, predicted: Map, classes: int) -> NDArray[np.int64]:
    """Count, (3, C), from maps that hold a class in its band and void elsewhere."""
    table = count_confusion(labelled, predicted, classes)  # C+1 C+1
    return np.stack([table.diagonal()[:-1], table[:-1].sum(axis=1), table[:, :-1].sum(axis=0)])


def count_boundary_bands_on_device(labels: "Tensor", predicted: "Tensor", classes: int, width: int) -> "Tensor":
    """Count on a GPU, for (H, W) maps there: (3, C) int64, as :func:`count_boundary_bands`."""
    import torch

    ignore = ignore_index(classes)
    void = labels == ignore  # H W
    in_band = [values.where(_near_others(values, void, width), ignore) for values in (labels, predicted)]  # H W each
    both = in_band[0].where(in_band[0] == in_band[1], ignore)  # H W
    return torch.stack([tally.count(band, ignore + 1)[:classes] for band in (both, *in_band)])


def _near_others(values: "Tensor", void: "Tensor", width: int) -> "Tensor":
    """Return the labelled pixels whose window holds another label, (H, W) bool."""
    levels = values.float()
    largest = _largest(levels.masked_fill(void, -1), width)  # H W
    smallest = -_largest((-levels).masked_fill(void, -WIDE_IGNORE - 1), width)  # H W
    return (smallest != largest) & ~void


def _largest(levels: "Tensor", width: int) -> "Tensor":
    """Return the largest value in each (2 width + 1)² window, (H, W); pixels beyond the frame do not count."""
    from torch.nn.functional import max_pool2d

    along = max_pool2d(levels[None, None], (1, 2 * width + 1), stride=1, padding=(0, width))
    return max_pool2d(along, (2 * width + 1, 1), stride=1, padding=(width, 0))[0, 0]
