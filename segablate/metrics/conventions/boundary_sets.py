"""Boundaries as other tools define them, class by class, and matches within a distance.

Plain forms on masks of one class, written to reproduce other tools' numbers, not for speed. Masks are (H, W) bool.
"""

from collections.abc import Sequence
from math import ceil, hypot

import cv2
import numpy as np

from segablate.kernels.exact_opencv import distance_to_zero


def one_sided(mask: np.ndarray) -> np.ndarray:
    """Return DAVIS's boundary: pixels that differ from the right, lower or lower right neighbour; the frame is none."""
    below = np.vstack([mask[1:], mask[-1:]])
    right, diagonal = (np.hstack([rows[:, 1:], rows[:, -1:]]) for rows in (mask, below))
    return (mask ^ right) | (mask ^ below) | (mask ^ diagonal)


def inner_edge(mask: np.ndarray) -> np.ndarray:
    """Return MONAI's boundary: pixels of the mask with a 4-neighbour outside it; beyond the frame is outside."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def inner_band(mask: np.ndarray, width: int) -> np.ndarray:
    """Return boundary-iou-api's band: pixels of the mask within chessboard distance `width` of its outside or frame."""
    padded = np.pad(mask.astype(np.uint8), width)
    eroded = cv2.erode(padded, np.ones((2 * width + 1, 2 * width + 1), np.uint8))
    return mask & (eroded[width : width + mask.shape[0], width : width + mask.shape[1]] == 0)


def matches(predicted: np.ndarray, labelled: np.ndarray, tolerances: Sequence[float]) -> np.ndarray:
    """Count the boundary pixels of two sets, and those within each Euclidean distance of the other set.

    (T, 4) int64: predicted and matched, predicted, labelled and matched, labelled.
    """
    to_label, to_predicted = _squared_distances(predicted, labelled), _squared_distances(labelled, predicted)
    rows = [
        (np.sum(to_label <= t**2), to_label.size, np.sum(to_predicted <= t**2), to_predicted.size) for t in tolerances
    ]
    return np.array(rows, np.int64).reshape(-1, 4)


def rounded_up(share: float, shape: tuple[int, int]) -> int:
    """Return a share of the diagonal in whole pixels, rounded up, as DAVIS does."""
    return ceil(share * hypot(*shape))


def _squared_distances(sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the squared distance from each source pixel to the nearest target pixel; infinite without targets."""
    if not sources.any() or not targets.any():
        return np.full(int(sources.sum()), np.inf)
    rows, columns = (np.flatnonzero((sources | targets).any(axis)) for axis in (1, 0))
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    free = (~targets[window]).astype(np.uint8)
    distance = distance_to_zero(free)[sources[window]]
    return np.rint(distance.astype(np.float64) ** 2)  # the squares are integers
