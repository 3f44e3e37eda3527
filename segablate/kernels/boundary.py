"""Boundary distances of all classes and all tolerances in one pass over boundary pixels, without distance transforms.

Gives the same integers as :mod:`segablate.kernels.boundary_reference`, which holds the definition. Each boundary pixel
gets a key, ``(class * row_count + y) * pitch + x``, with classes and rows laid out further apart than the search
radius. In the sorted keys of the other map the nearest pixel of the same class and row is then one of two neighbours,
and whatever belongs to another row or class is out of reach. The search visits the rows at 0, ±1, ±2, ... and drops a
pixel as soon as no further row can be nearer, so its cost grows with the radius and not with the area of the disk.
"""

from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segablate.kernels.boundary_reference import BEYOND, LABELLED, PREDICTED, BoundaryDistances, boundary
from segablate.labels import IGNORE


class _Edges(NamedTuple):
    """Boundary pixels of one map, sorted by key: both (n,)."""

    class_index: NDArray[np.int64]
    key: NDArray[np.int64]


def boundary_distances(
    labels: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int, reach: int
) -> BoundaryDistances:
    """Histogram of squared distances between the boundaries of two label maps, per class and in both directions.

    ``labels`` and ``predicted`` have shape (H, W); ``classes`` is at most 255. Squared distances above ``reach``
    (squared pixels) become ``BEYOND``.
    """
    height, width = labels.shape
    reach = min(reach, height**2 + width**2)
    row_count, pitch = height + isqrt(reach) + 1, width + isqrt(reach) + 1
    labelled = labels != IGNORE
    found = _edges(predicted, labelled, classes, (row_count, pitch))
    wanted = _edges(labels, labelled, classes, (row_count, pitch))
    from_found = _squared_to_nearest(found.key, wanted.key, pitch, reach)
    from_wanted = _squared_to_nearest(wanted.key, found.key, pitch, reach)
    sides = _histogram(PREDICTED, found, from_found, reach), _histogram(LABELLED, wanted, from_wanted, reach)
    return BoundaryDistances(*(np.concatenate(columns) for columns in zip(*sides, strict=True)))


def _edges(values: NDArray[np.uint8], labelled: NDArray[np.bool_], classes: int, grid: tuple[int, int]) -> _Edges:
    """Boundary pixels of the classes in ``values``, keyed on a ``grid`` of (rows per class, pitch)."""
    row_count, pitch = grid
    position = np.flatnonzero(boundary(values, labelled))
    class_index = values.ravel()[position]
    order = np.argsort(class_index, kind="stable")  # positions ascend within a class, so the keys ascend throughout
    order = order[: np.count_nonzero(class_index < classes)]
    class_index, position = class_index[order].astype(np.int64), position[order]
    y, x = np.divmod(position, values.shape[1])
    return _Edges(class_index, (class_index * row_count + y) * pitch + x)


def _squared_to_nearest(
    keys: NDArray[np.int64], targets: NDArray[np.int64], pitch: int, reach: int
) -> NDArray[np.int64]:
    """Squared distance from each key to the nearest target, ``reach + 1`` for those further away."""
    radius = isqrt(reach)
    out_of_reach = 2**62
    targets = np.concatenate(([-out_of_reach], targets, [out_of_reach]))
    best = np.full(keys.size, reach + 1)
    searching = np.arange(keys.size)
    for dy in range(radius + 1):
        dx = _along_row(keys[searching] - dy * pitch, targets)
        if dy:
            dx = np.minimum(dx, _along_row(keys[searching] + dy * pitch, targets))
        nearest = np.minimum(best[searching], np.minimum(dx, radius + 1) ** 2 + dy**2)
        best[searching] = nearest
        searching = searching[nearest > (dy + 1) ** 2]
        if not searching.size:
            break
    return best


def _along_row(keys: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distance from each key to the nearest of the sorted targets."""
    after = np.searchsorted(targets, keys)
    return np.minimum(targets[after] - keys, keys - targets[after - 1])


def _histogram(side: int, edges: _Edges, squared: NDArray[np.int64], reach: int) -> BoundaryDistances:
    """The distances that occur on one side, counted; ``squared`` is ``reach + 1`` beyond the reach."""
    starts = np.flatnonzero(np.diff(edges.class_index, prepend=-1))
    counts = [np.bincount(part) for part in np.split(squared, starts)[1:]]
    kinds = [np.flatnonzero(count) for count in counts]
    class_index = np.repeat(edges.class_index[starts], [kind.size for kind in kinds])
    kind, pixels = _concatenate(kinds), _concatenate([count[kind] for count, kind in zip(counts, kinds, strict=True)])
    return BoundaryDistances(
        side=np.full(kind.size, side, np.int32),
        class_index=class_index.astype(np.int32),
        squared=np.where(kind > reach, BEYOND, kind).astype(np.int32),
        pixels=pixels.astype(np.int32),
    )


def _concatenate(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The parts in a row; none of them is an empty row."""
    return np.concatenate([np.empty(0, np.int64), *parts])
