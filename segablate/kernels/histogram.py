"""The number of times each byte occurs, by OpenCV: ``np.bincount`` converts every byte to eight first."""

import cv2
import numpy as np
from numpy.typing import NDArray

EXACT = 2**24 - 1
"""Values that OpenCV counts at once: below 2^24, up to which every whole number is a float32, as its counts are."""


def count_bytes(values: NDArray[np.uint8], part: int = EXACT) -> NDArray[np.int64]:
    """Count bytes of any shape by value, (256,) int64. ``part`` bytes are counted at once."""
    flat, counts = np.ascontiguousarray(values).reshape(-1), np.zeros(256, np.int64)
    for start in range(0, flat.size, part):
        counts += cv2.calcHist([flat[start : start + part]], [0], None, [256], [0, 256]).reshape(-1).astype(np.int64)
    return counts
