"""Boundary distances in their plain form: the definition, and one exact distance transform per class and map.

The boundary of class ``c`` in a map is the set of its pixels of ``c`` with a 4-neighbour of another class. Neither the
image frame nor void makes a boundary, in either map: a pair of neighbours counts only where both are labelled, so
that predictions under void have no effect, and a prediction that is right on every labelled pixel has the boundaries
of the labels. Predictions outside the label set are another class to their neighbours and have no boundary of their
own.

Distances are Euclidean between pixel centres and are kept squared, as exact integers.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segablate.kernels.maps import Map
from segablate.labels import ignore_index

BEYOND = 2**31 - 1
"""In place of every squared distance above the reach, and where the other map has no boundary of the class."""

PREDICTED, LABELLED = 0, 1
"""The two sides: distances from predicted boundary pixels to labelled ones, and from labelled to predicted ones."""


class BoundaryDistances(NamedTuple):
    """Boundary pixels of one image by side, class and squared distance, sparse, in ascending order of the three.

    All columns are int32 (K,). ``side`` is the map whose pixels are counted, ``PREDICTED`` or ``LABELLED``; ``squared``
    the squared distance in pixels to the nearest boundary pixel of the same class in the other map, or ``BEYOND``;
    ``pixels`` the number of boundary pixels.
    """

    side: NDArray[np.int32]
    class_index: NDArray[np.int32]
    squared: NDArray[np.int32]
    pixels: NDArray[np.int32]


def boundary_distances(labels: Map, predicted: Map, classes: int, reach: int) -> BoundaryDistances:
    """Count the squared distances between the boundaries of two label maps, per class and in both directions.

    ``labels`` and ``predicted`` are (H, W), uint8 for up to 255 ``classes``, else uint16. Squared distances above
    ``reach`` (squared pixels) become ``BEYOND``.
    """
    labelled = labels != ignore_index(classes)
    predicted_edge, label_edge = boundary(predicted, labelled), boundary(labels, labelled)
    rows = []
    for c in range(classes):
        of_prediction, of_labels = predicted_edge & (predicted == c), label_edge & (labels == c)
        rows += histogram(PREDICTED, c, squared_distances(of_prediction, of_labels), reach)
        rows += histogram(LABELLED, c, squared_distances(of_labels, of_prediction), reach)
    return table(rows)


def boundary(values: Map, labelled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the labelled pixels with a labelled 4-neighbour of another value, (H, W) bool."""
    edge = np.zeros(values.shape, bool)
    across = values[:, 1:] != values[:, :-1]
    across &= labelled[:, 1:]
    across &= labelled[:, :-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    down = values[1:] != values[:-1]
    down &= labelled[1:]
    down &= labelled[:-1]
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def squared_distances(sources: NDArray[np.bool_], targets: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the squared distance from each source pixel, in raster order, to the nearest target, else ``BEYOND``.

    The transform returns the nearest target itself, not a rounded distance, so that the result is exact.
    """
    from scipy.ndimage import distance_transform_edt  # slow to import, and only the plain form needs it

    if not targets.any():
        return np.full(np.count_nonzero(sources), BEYOND)
    nearest = distance_transform_edt(~targets, return_distances=False, return_indices=True)
    offsets = np.asarray(nearest, np.int64)[:, sources] - np.nonzero(sources)
    return (offsets**2).sum(axis=0)


def histogram(side: int, c: int, squared: NDArray[np.int64], reach: int) -> list[tuple[int, int, int, int]]:
    """Return rows ``(side, class, squared, pixels)`` of the distances that occur."""
    kinds, pixels = np.unique(np.where(squared > reach, BEYOND, squared), return_counts=True)
    return [(side, c, int(kind), int(count)) for kind, count in zip(kinds, pixels, strict=True)]


def table(rows: Iterable[tuple[int, int, int, int]]) -> BoundaryDistances:
    """Return the columns of ``rows``, sorted."""
    return BoundaryDistances(*np.array(sorted(rows), np.int32).reshape(-1, 4).T)
