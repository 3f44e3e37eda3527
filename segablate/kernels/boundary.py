"""Boundary distances of all classes and all tolerances in one pass over boundary pixels, without distance transforms.

Gives the same integers as :mod:`segablate.kernels.boundary_reference`, which holds the definition. Three searches
follow one another, each over what the last has left:

- the offsets of the nearest few pixels, nearest first, in a map of the other boundary: most pixels match there;
- a coarse grid of where the other boundary has the class at all, which drops what is out of reach;
- rows. Each boundary pixel gets a key, ``(class * row_count + y) * pitch + x``, with classes and rows laid out further
  apart than the search radius. In the sorted keys of the other map the nearest pixel of the same class and row is then
  one of two neighbours, and whatever belongs to another row or class is out of reach. The rows at 0, ±1, ±2, ... are
  visited until no further row can be nearer, so the cost grows with the radius and not with the area of the disk.
"""

from itertools import groupby, product
from math import isqrt
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segablate.kernels.boundary_reference import BEYOND, LABELLED, PREDICTED, BoundaryDistances
from segablate.labels import IGNORE

_NEAR = 3
"""Radius of the first search, in pixels."""

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


class _Edges(NamedTuple):
    """Boundary pixels of one map, by class and in raster order: all (n,) but the map.

    ``place`` is the position in ``map``, (H + 2m, W + 2m) uint8 with a margin m of :data:`_NEAR`: the class at
    boundary pixels, :data:`IGNORE` elsewhere. ``key`` ascends.
    """

    class_index: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    key: NDArray[np.int64]
    place: NDArray[np.int64]
    map: NDArray[np.uint8]


def boundary_distances(
    labels: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int, reach: int
) -> BoundaryDistances:
    """Histogram of squared distances between the boundaries of two label maps, per class and in both directions.

    ``labels`` and ``predicted`` have shape (H, W); ``classes`` is at most 255. Squared distances above ``reach``
    (squared pixels) become ``BEYOND``.
    """
    height, width = labels.shape
    reach = min(reach, height**2 + width**2)
    grid = height + isqrt(reach) + 1, width + isqrt(reach) + 1
    labels, predicted = np.ascontiguousarray(labels), np.ascontiguousarray(predicted)
    void = np.negative((labels == IGNORE).view(np.uint8))  # 255 or 0
    found, wanted = _edges(predicted, void, classes, grid), _edges(labels, void, classes, grid)
    sides = (
        _histogram(PREDICTED, found, _squared_to_nearest(found, wanted, grid, reach), reach),
        _histogram(LABELLED, wanted, _squared_to_nearest(wanted, found, grid, reach), reach),
    )
    return BoundaryDistances(*(np.concatenate(columns) for columns in zip(*sides, strict=True)))


def _edges(values: NDArray[np.uint8], void: NDArray[np.uint8], classes: int, grid: tuple[int, int]) -> _Edges:
    """Boundary pixels of the classes in ``values``, keyed on a ``grid`` of (rows per class, pitch)."""
    rows, pitch = grid
    around = np.full([side + 2 * _NEAR for side in values.shape], IGNORE, np.uint8)
    around[_NEAR:-_NEAR, _NEAR:-_NEAR] = _boundary(values, void)
    place = np.flatnonzero(around != IGNORE)
    class_index = around.reshape(-1)[place]
    order = np.argsort(class_index, kind="stable")  # positions ascend within a class, so the keys ascend throughout
    order = order[: np.count_nonzero(class_index < classes)]
    class_index, place = class_index[order].astype(np.int64), place[order]
    y, x = np.divmod(place, around.shape[1])
    y, x = y - _NEAR, x - _NEAR
    return _Edges(class_index, y, x, (class_index * rows + y) * pitch + x, place, around)


def _boundary(values: NDArray[np.uint8], void: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``values`` where the boundary of a class is, :data:`IGNORE` elsewhere; ``void`` is 255 or 0.

    A pixel lies on the boundary where the least and the greatest value of its cross differ; void is the greatest for
    the one and the least for the other, and so has no say.
    """
    filled = cv2.bitwise_or(values, void)
    least = cv2.erode(filled, _CROSS)
    greatest = cv2.dilate(cv2.subtract(values, void, dst=filled), _CROSS)
    elsewhere = cv2.compare(least, greatest, cv2.CMP_EQ, dst=filled)
    cv2.bitwise_or(elsewhere, void, dst=least)
    return np.asarray(cv2.bitwise_or(values, least, dst=greatest), np.uint8)


def _squared_to_nearest(edges: _Edges, targets: _Edges, grid: tuple[int, int], reach: int) -> NDArray[np.int64]:
    """Squared distance from each pixel to the nearest target of its class, ``reach + 1`` for those further away."""
    best = np.full(edges.key.size, reach + 1)
    searching = _search_near(edges, targets.map, best, reach)
    if reach > _NEAR**2 and searching.size:
        searching = searching[_within_reach(edges, targets, searching, isqrt(reach))]
        _search_rows(edges.key, targets.key, best, searching, grid[1], reach)
    return best


def _offsets() -> list[tuple[int, list[tuple[int, int]]]]:
    """Squared distances up to that of :data:`_NEAR`, ascending, and the (dy, dx) at each."""
    offsets = sorted((dy**2 + dx**2, dy, dx) for dy, dx in product(range(-_NEAR, _NEAR + 1), repeat=2))
    groups = groupby(offsets, key=lambda offset: offset[0])
    return [(squared, [offset[1:] for offset in group]) for squared, group in groups if squared <= _NEAR**2]


def _search_near(edges: _Edges, targets: NDArray[np.uint8], best: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Sets ``best`` where a target lies within :data:`_NEAR`; the pixels that are left, as places in ``edges``."""
    flat, pitch = targets.reshape(-1), targets.shape[1]
    searching, place = np.arange(edges.key.size), edges.place
    kind = edges.class_index.astype(np.uint8)
    for squared, offsets in _offsets():
        if squared > reach:
            break
        hit = np.zeros(place.size, bool)
        for dy, dx in offsets:
            hit |= flat.take(place + (dy * pitch + dx)) == kind
        best[searching[hit]] = squared
        left = np.flatnonzero(~hit)
        searching, place, kind = searching[left], place[left], kind[left]
    return searching


def _within_reach(edges: _Edges, targets: _Edges, searching: NDArray[np.int64], radius: int) -> NDArray[np.bool_]:
    """Whether the blocks within ``radius`` hold a target of the class, for each of the pixels ``searching``."""
    side = max(8, radius // 2 + 1)
    blocks = -(-radius // side)
    shape = (
        int(targets.class_index.max(initial=0)) + 1,
        (targets.map.shape[0] // side) + 1 + 2 * blocks,
        (targets.map.shape[1] // side) + 1 + 2 * blocks,
    )
    present = np.zeros(shape, np.uint8)
    present[targets.class_index, targets.y // side + blocks, targets.x // side + blocks] = 1
    window = np.ones((2 * blocks + 1, 2 * blocks + 1), np.uint8)
    for c in np.flatnonzero(np.bincount(targets.class_index)):
        cv2.dilate(present[c], window, present[c])
    c, y, x = (column[searching] for column in (edges.class_index, edges.y, edges.x))
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
    """Lowers ``best`` at ``searching`` to the squared distance from the key to the nearest target within reach."""
    radius = isqrt(reach)
    out_of_reach = 2**62
    targets = np.concatenate(([-out_of_reach], targets, [out_of_reach]))
    for dy in range(radius + 1):
        dx = _along_row(keys[searching] - dy * pitch, targets)
        if dy:
            dx = np.minimum(dx, _along_row(keys[searching] + dy * pitch, targets))
        nearest = np.minimum(best[searching], np.minimum(dx, radius + 1) ** 2 + dy**2)
        best[searching] = nearest
        searching = searching[nearest > (dy + 1) ** 2]
        if not searching.size:
            break


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
