"""Bands along boundaries, of all classes at once: what boundary IoU counts. Fast forms for the host and the device.

Gives the same integers as :mod:`segablate.kernels.bands_reference`, which holds the definition. A pixel lies within
chessboard distance d of another label exactly where the least and the greatest label in its (2d+1)² window differ: two
separable filters for each map, whatever the number of classes. Where a label takes no part it is the greatest for the
one filter and the least for the other; a class is below 255, so it is never taken for one of them.
"""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from segablate.kernels.confusion import count_confusion
from segablate.labels import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

Map = NDArray[np.uint8]


def count_boundary_bands(labels: Map, predicted: Map, classes: int, width: int) -> NDArray[np.int64]:
    """Pixels of each class in both bands, in the labelled and in the predicted one: (3, C) int64.

    ``labels`` and ``predicted`` are (H, W) uint8 class indices, 255 in ``labels`` void; ``width`` is in pixels, >= 1.
    """
    labels, predicted = np.ascontiguousarray(labels), np.ascontiguousarray(predicted)
    void = np.negative((labels == IGNORE).view(np.uint8))  # 255 or 0
    wanted, found = (_in_band(values, void, width) for values in (labels, predicted))
    return _counts(wanted, found, classes)


def _in_band(values: Map, void: Map, width: int) -> Map:
    """``values`` in the band, 255 elsewhere; ``void`` is 255 or 0."""
    window = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    least = cv2.erode(cv2.bitwise_or(values, void), window)
    greatest = cv2.dilate(cv2.subtract(values, void), window)
    elsewhere = cv2.compare(least, greatest, cv2.CMP_EQ)
    return np.asarray(cv2.bitwise_or(cv2.bitwise_or(values, void), elsewhere), np.uint8)


def _counts(wanted: Map, found: Map, classes: int) -> NDArray[np.int64]:
    """From maps that hold a class in its band and 255 elsewhere."""
    table = count_confusion(wanted, found, classes)
    return np.stack([table.diagonal()[:-1], table[:-1].sum(axis=1), table[:, :-1].sum(axis=0)])


def count_boundary_bands_on_device(labels: "Tensor", predicted: "Tensor", classes: int, width: int) -> "Tensor":
    """(3, C) int64, as :func:`count_boundary_bands`, for (H, W) uint8 maps on a GPU; counted there."""
    import torch

    void = labels == IGNORE
    wanted, found = (values.where(_near_others(values, void, width), IGNORE) for values in (labels, predicted))
    both = wanted.where(wanted == found, IGNORE)
    bands = [values.reshape(-1).int() for values in (both, wanted, found)]
    return torch.stack([torch.bincount(band, minlength=IGNORE + 1)[:classes] for band in bands])


def _near_others(values: "Tensor", void: "Tensor", width: int) -> "Tensor":
    """Labelled pixels, (H, W) bool, whose window holds another label."""
    levels = values.float()
    greatest = _greatest(levels.masked_fill(void, -1), width)
    least = -_greatest((-levels).masked_fill(void, -256), width)
    return (least != greatest) & ~void


def _greatest(levels: "Tensor", width: int) -> "Tensor":
    """The greatest in each (2 width + 1)² window, (H, W); what is beyond the frame is none."""
    from torch.nn.functional import max_pool2d

    along = max_pool2d(levels[None, None], (1, 2 * width + 1), stride=1, padding=(0, width))
    return max_pool2d(along, (2 * width + 1, 1), stride=1, padding=(width, 0))[0, 0]
