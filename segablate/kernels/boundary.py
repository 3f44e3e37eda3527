"""Boundary distances of all classes and all tolerances in one pass over boundary pixels, without distance transforms.

The results equal those of :mod:`segablate.kernels.boundary_reference`, which is the definition. There are three
searches, each over the pixels that the one before leaves:

- the nearest few offsets, nearest first, in a map of the other boundary: most pixels match there;
- a coarse grid of the classes of the other boundary, which drops pixels without a target within reach;
- rows. Each boundary pixel has a key, ``(class * row_count + y) * pitch + x``, with classes and rows further apart
  than the search radius. In the sorted keys of the other map the nearest pixel of the same class and row is then one
  of two neighbours, and pixels of another row or class are out of reach. The rows at 0, ±1, ±2, ... are visited until
  no further row can be nearer, so the cost grows with the radius and not with the area of the disk.

Shapes: n boundary pixels of one map, m pixels still searching.
"""

from itertools import groupby, product
from math import isqrt
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segablate.kernels.boundary_reference import BEYOND, LABELLED, PREDICTED, BoundaryDistances
from segablate.kernels.maps import Map, all_bits, full_where
from segablate.labels import ignored_in

_NEAR = 3
"""Radius of the first search, in pixels."""

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


class _Edges(NamedTuple):
    """Boundary pixels of one map, by class and in raster order: all (n,) except ``map``.

    ``place`` is the flat position in ``map``, (H + 2 margin, W + 2 margin) with a margin of :data:`_NEAR`: the class at
    boundary pixels, the index of void elsewhere. ``key`` ascends.
    """

    class_index: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    key: NDArray[np.int64]
    place: NDArray[np.int64]
    map: Map


def boundary_distances(
    labels: Map,
    predicted: Map,
    classes: int,
    reach: int,
    label_boundary: Map | None = None,
) -> BoundaryDistances:
    """Count the squared distances between the boundaries of two label maps, per class and in both directions.

    ``labels`` and ``predicted`` are (H, W), uint8 for up to 255 ``classes``, else uint16. Squared distances above
    ``reach`` (squared pixels) become ``BEYOND``. ``label_boundary``: the :func:`boundary_map` of the labels, if known.
    """
    height, width = labels.shape
    reach = min(reach, height**2 + width**2)
    grid = height + isqrt(reach) + 1, width + isqrt(reach) + 1
    labels, predicted = np.ascontiguousarray(labels), np.ascontiguousarray(predicted)
    of_prediction = _edges(boundary_map(predicted, labels), classes, grid)
    of_labels = _edges(boundary_map(labels, labels) if label_boundary is None else label_boundary, classes, grid)
    sides = (
        _histogram(PREDICTED, of_prediction, _squared_to_nearest(of_prediction, of_labels, grid, reach), reach),
        _histogram(LABELLED, of_labels, _squared_to_nearest(of_labels, of_prediction, grid, reach), reach),
    )
    return BoundaryDistances(*(np.concatenate(columns) for columns in zip(*sides, strict=True)))


def _edges(marked: Map, classes: int, grid: tuple[int, int]) -> _Edges:
    """Find the pixels of the classes in a :func:`boundary_map`, keyed on a ``grid`` of (rows per class, pitch)."""
    rows, pitch = grid
    ignore = ignored_in(marked)
    around = np.full([side + 2 * _NEAR for side in marked.shape], ignore, marked.dtype)
    around[_NEAR:-_NEAR, _NEAR:-_NEAR] = marked
    place = np.flatnonzero(around != ignore)  # n
    class_index = around.reshape(-1)[place]  # n
    order = np.argsort(class_index, kind="stable")  # n; positions ascend within a class, so the keys ascend throughout
    order = order[: np.count_nonzero(class_index < classes)]
    class_index, place = class_index[order].astype(np.int64), place[order]  # n each
    y, x = np.divmod(place, around.shape[1])  # n each
    y, x = y - _NEAR, x - _NEAR
    return _Edges(class_index, y, x, (class_index * rows + y) * pitch + x, place, around)


def boundary_map(values: Map, labels: Map) -> Map:
    """Return ``values`` on the boundary of a class, the index of void elsewhere, (H, W); void is that of the labels.

    A pixel is on the boundary where the smallest and the largest value of its cross differ; void is the largest for
    the one and the smallest for the other, and so has no effect.
    """
    values = np.ascontiguousarray(values)
    void = full_where(labels == ignored_in(labels), labels)  # H W
    filled = cv2.bitwise_or(values, void)  # H W
    smallest = cv2.erode(filled, _CROSS)  # H W
    largest = cv2.dilate(cv2.subtract(values, void, dst=filled), _CROSS)  # H W
    elsewhere = all_bits(cv2.compare(smallest, largest, cv2.CMP_EQ, dst=filled), values)  # H W
    cv2.bitwise_or(elsewhere, void, dst=smallest)
    return np.asarray(cv2.bitwise_or(values, smallest, dst=largest), values.dtype)


def _squared_to_nearest(edges: _Edges, targets: _Edges, grid: tuple[int, int], reach: int) -> NDArray[np.int64]:
    """Return the squared distance to the nearest target of the same class, (n,); ``reach + 1`` beyond reach."""
    best = np.full(edges.key.size, reach + 1)  # n
    searching = _search_near(edges, targets.map, best, reach)  # m
    if reach > _NEAR**2 and searching.size:
        searching = searching[_within_reach(edges, targets, searching, isqrt(reach))]
        _search_rows(edges.key, targets.key, best, searching, grid[1], reach)
    return best


def _offsets() -> list[tuple[int, list[tuple[int, int]]]]:
    """Return the squared distances up to that of :data:`_NEAR`, ascending, and the (dy, dx) at each."""
    offsets = sorted((dy**2 + dx**2, dy, dx) for dy, dx in product(range(-_NEAR, _NEAR + 1), repeat=2))
    groups = groupby(offsets, key=lambda offset: offset[0])
    return [(squared, [offset[1:] for offset in group]) for squared, group in groups if squared <= _NEAR**2]


def _search_near(edges: _Edges, targets: Map, best: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Set ``best`` where a target is within :data:`_NEAR`; return the other pixels, as indices into ``edges``, (m,)."""
    flat, pitch = targets.reshape(-1), targets.shape[1]
    searching, place = np.arange(edges.key.size), edges.place
    kind = edges.class_index.astype(targets.dtype)
    for squared, offsets in _offsets():
        if squared > reach:
            break
        hit = np.zeros(place.size, bool)  # m
        for dy, dx in offsets:
            hit |= flat.take(place + (dy * pitch + dx)) == kind
        best[searching[hit]] = squared
        left = np.flatnonzero(~hit)
        searching, place, kind = searching[left], place[left], kind[left]
    return searching


def _within_reach(edges: _Edges, targets: _Edges, searching: NDArray[np.int64], radius: int) -> NDArray[np.bool_]:
    """Return whether a block within ``radius`` holds a target of the class, for each pixel of ``searching``, (m,)."""
    side = max(8, radius // 2 + 1)
    blocks = -(-radius // side)
    shape = (
        int(targets.class_index.max(initial=0)) + 1,
        (targets.map.shape[0] // side) + 1 + 2 * blocks,
        (targets.map.shape[1] // side) + 1 + 2 * blocks,
    )
    present = np.zeros(shape, np.uint8)  # classes, block rows, block columns
    present[targets.class_index, targets.y // side + blocks, targets.x // side + blocks] = 1
    window = np.ones((2 * blocks + 1, 2 * blocks + 1), np.uint8)
    for c in np.flatnonzero(np.bincount(targets.class_index)):
        cv2.dilate(present[c], window, present[c])
    c, y, x = (column[searching] for column in (edges.class_index, edges.y, edges.x))  # m each
    known = c < shape[0]
    return known & (present[np.where(known, c, 0), y // side + blocks, x // side + blocks] > 0)


def _search_rows(
    keys: NDArray[np.int64],
    targets: NDArray[np.int64],
    best: NDArray[np.int64],
    searching: NDArray[np.int64],
    pitch: int,
    reach: int,
) -> None:
    """Lower ``best`` at ``searching`` to the squared distance from the key to the nearest target within reach."""
    radius = isqrt(reach)
    out_of_reach = 2**62
    targets = np.concatenate(([-out_of_reach], targets, [out_of_reach]))
    for dy in range(radius + 1):
        dx = _along_row(keys[searching] - dy * pitch, targets)  # m
        if dy:
            dx = np.minimum(dx, _along_row(keys[searching] + dy * pitch, targets))
        nearest = np.minimum(best[searching], np.minimum(dx, radius + 1) ** 2 + dy**2)  # m
        best[searching] = nearest
        searching = searching[nearest > (dy + 1) ** 2]
        if not searching.size:
            break


def _along_row(keys: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distance from each key to the nearest of the sorted targets."""
    after = np.searchsorted(targets, keys)
    return np.minimum(targets[after] - keys, keys - targets[after - 1])


def _histogram(side: int, edges: _Edges, squared: NDArray[np.int64], reach: int) -> BoundaryDistances:
    """Count the distances that occur on one side; ``squared`` is ``reach + 1`` beyond the reach."""
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
    """Concatenate the parts; without parts, return an empty array."""
    return np.concatenate([np.empty(0, np.int64), *parts])
