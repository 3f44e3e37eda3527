"""OpenCV's precise distance transform, the same for every number of threads."""

import cv2
import numpy as np


def distance_to_zero(image: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the Euclidean distance in pixels from each pixel of an (H, W) uint8 image to its nearest zero, float32.

    Squares of up to about 1 000 pixels round to the exact integers. Where OpenCV may use only one thread, and for small
    images, it would call Intel's IPP, which is off by one in the square of a distance of several hundred pixels: it is
    kept from it. An image without a zero has no meaning here.
    """
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        return cv2.distanceTransform(image, cv2.DIST_L2, cv2.DIST_MASK_PRECISE, out)
    finally:
        cv2.ipp.setUseIPP(before)
