"""Counts of wrong pixels by kind in their plain form: whole masks, dilation by the disk, components one by one.

The definition is in :mod:`segablate.kernels.error_kinds`.
"""

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as scipy_label

from segablate.kernels.maps import Map
from segablate.labels import ignore_index

Mask = NDArray[np.bool_]

_SQUARE = np.ones((3, 3), bool)


def count_error_kinds(labels: Map, predicted: Map, classes: int, width: int) -> NDArray[np.int64]:
    """Count as :func:`segablate.kernels.error_kinds.count_error_kinds` does."""
    counts = np.zeros((2, 3, classes), np.int64)
    for c in range(classes):
        label, prediction = labels == c, predicted == c
        for side, (mask, other) in enumerate(((prediction, label), (label, prediction))):
            boundary = boundary_errors(mask & ~other, mask & other, ~(mask | other), width)
            rest = mask & ~other & ~boundary
            extent = np.zeros(mask.shape, bool)
            for component in components(mask):
                extent |= component & rest & bool((component & other).any())
            for kind, errors in enumerate((boundary, extent, rest & ~extent)):
                counts[side, kind, c] = np.count_nonzero(errors & (labels != ignore_index(classes)))
    return counts


def boundary_errors(wrong: Mask, right: Mask, absent: Mask, width: int) -> Mask:
    """Return the wrong pixels that are boundary errors."""
    y, x = np.mgrid[-width : width + 1, -width : width + 1]
    disk = np.round(np.hypot(y, x)) <= width
    seeds = wrong & dilated(right, disk) & dilated(absent, disk)
    reached = wrong & dilated(seeds, disk)
    boundary = np.zeros(wrong.shape, bool)
    for component in components(reached):
        around = dilated(component, _SQUARE)
        boundary |= component & bool((around & right).any() and (around & absent).any())
    return boundary


def dilated(mask: Mask, shape: Mask) -> Mask:
    """Dilate the mask by a shape."""
    return cv2.dilate(mask.astype(np.uint8), shape.astype(np.uint8)) > 0


def components(mask: Mask) -> list[Mask]:
    """Return the 8-connected components."""
    numbered, number = cast(tuple[NDArray[np.int32], int], scipy_label(mask, _SQUARE))
    return [numbered == component for component in range(1, number + 1)]
