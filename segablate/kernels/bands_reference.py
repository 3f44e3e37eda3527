"""Bands along boundaries in their plain form: the definition, one dilation per class and map.

The band of class ``c`` in a map is the set of its pixels within chessboard distance d of a pixel of another class.
Neither the image frame nor void makes a band, in either map, and predictions under void have no effect. Predictions
outside the label set are another class to their neighbours and have no band of their own.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from segablate.kernels.maps import Map
from segablate.labels import ignore_index


def count_boundary_bands(labels: Map, predicted: Map, classes: int, width: int) -> NDArray[np.int64]:
    """Count the pixels of each class in both bands, in the labelled and in the predicted one: (3, C) int64."""
    labelled = labels != ignore_index(classes)
    counts = np.zeros((3, classes), np.int64)
    for c in range(classes):
        label_band = (labels == c) & near((labels != c) & labelled, width)
        predicted_band = (predicted == c) & labelled & near((predicted != c) & labelled, width)
        counts[:, c] = (label_band & predicted_band).sum(), label_band.sum(), predicted_band.sum()
    return counts


def near(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the pixels within chessboard distance ``width`` of the mask."""
    return np.asarray(binary_dilation(mask, np.ones((3, 3), bool), iterations=width), bool)
