"""Wrong pixels by kind in their plain form: whole masks, dilation by the disk, and parts one by one.

The definition is in :mod:`segablate.kernels.error_kinds`.
"""

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from segablate.labels import IGNORE

Mask = NDArray[np.bool_]

_SQUARE = np.ones((3, 3), bool)


def count_error_kinds(
    labels: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int, width: int
) -> NDArray[np.int64]:
    """As :func:`segablate.kernels.error_kinds.count_error_kinds`."""
    counts = np.zeros((2, 3, classes), np.int64)
    for c in range(classes):
        labelled, found = labels == c, predicted == c
        for side, (mask, other) in enumerate(((found, labelled), (labelled, found))):
            boundary = boundary_errors(mask & ~other, mask & other, ~(mask | other), width)
            rest = mask & ~other & ~boundary
            extent = np.zeros(mask.shape, bool)
            for part in parts(mask):
                extent |= part & rest & bool((part & other).any())
            for kind, errors in enumerate((boundary, extent, rest & ~extent)):
                counts[side, kind, c] = np.count_nonzero(errors & (labels != IGNORE))
    return counts


def boundary_errors(wrong: Mask, right: Mask, absent: Mask, width: int) -> Mask:
    """The wrong pixels that are errors of the boundary."""
    y, x = np.mgrid[-width : width + 1, -width : width + 1]
    disk = np.round(np.hypot(y, x)) <= width
    seeds = wrong & dilated(right, disk) & dilated(absent, disk)
    reached = wrong & dilated(seeds, disk)
    boundary = np.zeros(wrong.shape, bool)
    for part in parts(reached):
        around = dilated(part, _SQUARE)
        boundary |= part & bool((around & right).any() and (around & absent).any())
    return boundary


def dilated(mask: Mask, shape: Mask) -> Mask:
    """The mask dilated by a shape."""
    return cv2.dilate(mask.astype(np.uint8), shape.astype(np.uint8)) > 0


def parts(mask: Mask) -> list[Mask]:
    """The 8-connected parts."""
    numbered, number = cast(tuple[NDArray[np.int32], int], label(mask, _SQUARE))
    return [numbered == part for part in range(1, number + 1)]
