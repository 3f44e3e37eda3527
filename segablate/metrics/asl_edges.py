"""Scores at class edges as Auto Seg-Loss's authors count them, whose surrogates ``asl`` computes.

Li et al., ICLR 2021, arXiv:2010.07930. Edges differ from those of :mod:`segablate.metrics.boundary`: a pixel is on the
edge of its class if its 3×3 window holds another value, void included, the image frame not; distances are chessboard.

- IoU near edges ("BIoU"): IoU of the labelled pixels within the tolerance of a labelled edge.
- edge F ("BF1"): F-score of the edges of every class, where predicted edges count under void too.

count (one image) -> add -> score. Their background is class 0: with ``drop_background``, its edges do not count.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from segablate.labels import ignore_index
from segablate.metrics.confusion import ClassCounts, mean_iou, nanmean

NEAR, EDGES = "near_edges", "edges"
"""The names under which a run keeps the counts: (N, 3, C) hits, labelled and predicted pixels near edges; (N, 4, C)
predicted edge pixels, those that match, labelled edge pixels, those that match."""

TOLERANCE = 5


def count_near_edges(
    labels: np.ndarray, predicted: np.ndarray, classes: int, *, tolerance: int = TOLERANCE, drop_background: bool = True
) -> Mapping[str, NDArray[np.int64]]:
    """Count the pixels of one image within the tolerance of a labelled edge; the maps are (H, W) class indices."""
    labelled = labels != ignore_index(classes)
    edges = _edges(labels) & labelled & ~(drop_background & (labels == 0))
    near = _spread(edges, tolerance) & labelled
    label, prediction = labels[near], predicted[near]
    chosen = (label[label == prediction], label, prediction[prediction < classes])
    return {NEAR: np.stack([np.bincount(values, minlength=classes) for values in chosen]).astype(np.int64)}


def count_edges(
    labels: np.ndarray, predicted: np.ndarray, classes: int, *, tolerance: int = TOLERANCE
) -> Mapping[str, NDArray[np.int64]]:
    """Count the edge pixels of one image by class, and those within the tolerance of the other map's edge."""
    of_labels, of_predictions = _edges(labels), _edges(predicted)
    sums = np.zeros((4, classes), np.int64)
    for index in range(classes):
        target, found = of_labels & (labels == index), of_predictions & (predicted == index)
        matched = found & _spread(target, tolerance), target & _spread(found, tolerance)
        sums[:, index] = [np.count_nonzero(mask) for mask in (found, matched[0], target, matched[1])]
    return {EDGES: sums}


def mean_iou_near_edges(counts: NDArray) -> NDArray[np.float64]:
    """Return the mean IoU over the classes labelled or predicted near edges, (..., 3, C) to (...)."""
    return mean_iou(ClassCounts(*np.moveaxis(counts, -2, 0)))


def mean_edge_f(counts: NDArray, drop_background: bool = True) -> NDArray[np.float64]:
    """Return the mean F over the classes with a labelled edge, (..., 4, C) to (...); nan where there is none."""
    predicted, matched, labelled, found = np.moveaxis(np.asarray(counts, np.float64), -2, 0)  # ... C each
    precision = np.divide(matched, predicted, out=np.zeros_like(matched), where=predicted > 0)
    recall = np.divide(found, labelled, out=np.full_like(found, np.nan), where=labelled > 0)
    total = precision + recall
    scores = np.divide(2 * precision * recall, total, out=np.where(np.isnan(total), np.nan, 0.0), where=total > 0)
    return nanmean(scores[..., 1:] if drop_background else scores)


def _edges(values: np.ndarray) -> NDArray[np.bool_]:
    """Return the pixels whose 3×3 window holds another value, (H, W)."""
    window = np.ones((3, 3), np.uint8)
    return cv2.dilate(values, window) != cv2.erode(values, window)


def _spread(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return the pixels within this chessboard distance of the mask, (H, W)."""
    side = 2 * reach + 1
    return cv2.dilate(mask.view(np.uint8), np.ones((side, side), np.uint8)).view(np.bool_)
