"""Counts of wrong pixels by kind: boundary, extent or segment, false positive or false negative, per class.

Bernhard et al., What's Outside the Intersection? Fine-grained Error Analysis for Semantic Segmentation Beyond IoU,
WACV 2024. For each class by itself, pixels are right (TP), absent from both maps (TN), false positives or false
negatives. With the disk of pixels whose distance rounds to at most d:

- **boundary**: false positives that have a TP and a TN in their disk, and false positives in the disk of such a pixel;
  of these, only 8-connected components that touch both a TP and a TN. False negatives likewise.
- **extent**: the other false positives in an 8-connected component of the prediction that holds a TP, and the other
  false negatives in such a component of the labels.
- **segment**: the rest, in components without a TP.

As in the authors' code void is no error, but to its neighbours it is a pixel of no class, and components of the
prediction are connected across it. The results equal those of :mod:`segablate.kernels.error_kinds_reference`; disks
are searched row by row from the wrong pixels alone, in the surroundings of each class.
"""

from math import isqrt
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segablate.kernels.maps import Map
from segablate.labels import ignore_index

BOUNDARY, EXTENT, SEGMENT = 0, 1, 2
FALSE_POSITIVE, FALSE_NEGATIVE = 0, 1

Mask = NDArray[np.uint8]


class _Masks(NamedTuple):
    """Masks of one class, cropped: labelled, predicted, both (right), and neither (absent); (h, w) uint8, 0 or 1."""

    labelled: Mask
    predicted: Mask
    right: Mask
    absent: Mask


def count_error_kinds(labels: Map, predicted: Map, classes: int, width: int) -> NDArray[np.int64]:
    """Count wrong pixels, (2, 3, C) int64: false positive or negative; boundary, extent or segment; class.

    ``labels`` and ``predicted`` are (H, W) class indices of :func:`segablate.labels.index_type`; ``width`` is d, in
    pixels.
    """
    counts = np.zeros((2, 3, classes), np.int64)
    ignore = ignore_index(classes)
    confused = (labels != predicted) & (labels != ignore)
    predictions, targets = (np.bincount(values[confused], minlength=ignore + 1) for values in (predicted, labels))
    wrong = predictions + targets
    for c in np.flatnonzero(wrong[:classes]):
        one = labels == c, predicted == c
        place = _surroundings(one[0] | one[1], width)
        label, prediction = (mask[place] for mask in one)  # h w each
        masks = _Masks(*(m.view(np.uint8) for m in (label, prediction, label & prediction, ~(label | prediction))))
        counts[:, :, c] = _kinds(masks, labels[place] == ignore, width)
    return counts


def _surroundings(mask: NDArray[np.bool_], width: int) -> tuple[slice, slice]:
    """Return the bounding box of a mask, ``width`` pixels wider on each side, so that it holds every disk."""
    x, y, columns, rows = cv2.boundingRect(mask.view(np.uint8))
    return slice(max(y - width, 0), y + rows + width), slice(max(x - width, 0), x + columns + width)


def _kinds(masks: _Masks, void: NDArray[np.bool_], width: int) -> NDArray[np.int64]:
    """Count one class, (2, 3)."""
    to_right, to_absent = (_along_rows(mask, width) for mask in (masks.right, masks.absent))  # h+2width w each
    starts = masks.right.view(bool).copy()  # h w: one pixel of each run is enough to identify its component
    starts[:, 1:] = masks.right[:, 1:] > masks.right[:, :-1]
    right = np.flatnonzero(starts)
    touching = [cv2.dilate(mask, np.ones((3, 3), np.uint8)).view(bool) for mask in (masks.right, masks.absent)]
    counts = np.zeros((2, 3), np.int64)
    for side, mask in enumerate((masks.predicted, masks.labelled)):
        wrong = (mask ^ masks.right).view(bool)
        seeds = _in_disk(to_absent, _in_disk(to_right, np.flatnonzero(wrong), width), width)
        boundary = _boundary_errors(wrong, seeds, touching, width)
        rest = wrong & ~boundary & ~void
        extent = int(_components_with(mask, [right], np.flatnonzero(rest)).sum())
        counts[side] = np.count_nonzero(boundary & ~void), extent, np.count_nonzero(rest) - extent
    return counts


def _boundary_errors(
    wrong: NDArray[np.bool_], seeds: NDArray[np.int64], touching: list[NDArray[np.bool_]], width: int
) -> NDArray[np.bool_]:
    """Return the wrong pixels in the disk of a seed whose component touches a right and an absent pixel, (h, w)."""
    boundary = np.zeros(wrong.shape, bool)
    if not seeds.size:
        return boundary
    seed = np.zeros(wrong.shape, np.uint8)
    seed.reshape(-1)[seeds] = 1
    places = _in_disk(_along_rows(seed, width), np.flatnonzero(wrong), width)
    reached = np.zeros(wrong.shape, np.uint8)
    reached.reshape(-1)[places] = 1
    held = [places[mask.reshape(-1).take(places)] for mask in touching]
    boundary.reshape(-1)[places[_components_with(reached, held, places)]] = True
    return boundary


def _along_rows(mask: Mask, width: int) -> NDArray[np.unsignedinteger]:
    """Return the distance to the nearest pixel of the mask in the same row; more than ``width`` where there is none.

    The result is (h + 2 width, w): ``width`` empty rows are added above and below. Computed by steps of 1, 2, 4, ...:
    every distance is a sum of them.
    """
    kind = np.uint8 if width < 128 else np.uint16
    distance = np.full((mask.shape[0] + 2 * width, mask.shape[1]), width + 1, kind)
    inner = distance[width : width + mask.shape[0]]
    np.multiply(1 - mask, kind(width + 1), out=inner)
    further = np.empty_like(inner)
    step = 1
    while step <= min(width, mask.shape[1] - 1):
        np.add(inner, kind(step), out=further)
        np.minimum(inner[:, step:], further[:, :-step], out=inner[:, step:])
        np.minimum(inner[:, :-step], further[:, step:], out=inner[:, :-step])
        step *= 2
    return distance


def _in_disk(along_rows: NDArray[np.unsignedinteger], places: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Return those of ``places``, flat positions, with a pixel of the mask at a distance rounding to <= ``width``."""
    flat, columns = along_rows.reshape(-1), along_rows.shape[1]
    left, inside = places + width * columns, []
    for dy in range(width + 1):
        half = isqrt(width * (width + 1) - dy * dy)  # a distance rounds to d where its square is at most d² + d
        near = flat.take(left + dy * columns) <= half
        if dy:
            near |= flat.take(left - dy * columns) <= half
        inside.append(left[near])
        left = left[~near]
    return np.concatenate(inside) - width * columns


def _components_with(mask: Mask, holding: list[NDArray[np.int64]], asked: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the 8-connected component at flat positions ``asked`` holds one pixel of each of ``holding``."""
    number, components = cv2.connectedComponents(np.ascontiguousarray(mask), connectivity=8, ltype=cv2.CV_32S)
    component = np.asarray(components, np.int32).reshape(-1)  # h·w
    kept = np.ones(number, bool)
    for places in holding:
        has = np.zeros(number, bool)
        has[component.take(places)] = True
        kept &= has
    return kept[component.take(asked)]
