"""Boundary distances up to a small reach for a batch of label maps on a GPU, in which no shape depends on data.

The results equal those of :mod:`segablate.kernels.boundary_reference`, which is the definition. For each offset of a
disk, from the farthest to the nearest, one map of boundary classes is compared with the other, shifted: where both have
the same class, the offset is a distance between them in both directions. The cost grows with the area of the disk.

Distances are kept as their rank among the squared distances that occur in a disk, one byte a pixel.
"""

from itertools import product
from math import isqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segablate.kernels import tally
from segablate.kernels.boundary_reference import BEYOND, BoundaryDistances
from segablate.labels import ignore_index

REACH = 25
"""Largest squared distance in pixels for which this form is faster than a search: a disk of 81 offsets."""


def boundary_tables(labels: Tensor, predicted: Tensor, classes: int, reach: int) -> Tensor:
    """Count squared distances by side and class, (N, 2, classes, ranks + 1) int64 on the device; see :func:`unpacked`.

    ``labels`` and ``predicted`` are (N, H, W) on one device, uint8 for up to 255 ``classes``, else int32. The last
    column counts pixels without a target within ``reach`` (squared pixels), which is at most :data:`REACH`.
    """
    labelled = labels != ignore_index(classes)  # N H W
    of_prediction, of_labels = (_classes_at_boundary(values, labelled, classes) for values in (predicted, labels))
    marked = torch.stack((of_prediction, of_labels))  # 2 N H W
    ranks = _ranks(marked, reach)  # 2 N H W
    columns = len(squares(reach)) + 1
    images = zip(marked.unbind(1), ranks.unbind(1), strict=True)  # one by one, as places take 12 bytes a pixel and side
    return torch.stack([_table(*maps, classes, columns) for maps in images])


def _table(marked: Tensor, ranks: Tensor, classes: int, columns: int) -> Tensor:
    """Count the ranks at boundary pixels of one image by side and class, (2, classes, columns); maps are 2 H W."""
    side = torch.arange(2, dtype=torch.int32, device=marked.device).view(2, 1, 1)
    places = (side * (classes + 1) + marked.clamp(max=classes)).mul_(columns).add_(ranks)  # 2 H W
    return tally.count(places, 2 * (classes + 1) * columns).view(2, classes + 1, columns)[:, :classes]


def squares(reach: int) -> list[int]:
    """Return the squared distances between pixels up to ``reach``, ascending."""
    return sorted({dy**2 + dx**2 for dy, dx in _disk(reach)})


def unpacked(table: NDArray[np.int64], reach: int) -> BoundaryDistances:
    """Return the distances of one image from its table, (2, classes, ranks + 1), on the host."""
    side, class_index, rank = table.nonzero()
    columns = side, class_index, np.array([*squares(reach), BEYOND])[rank], table[side, class_index, rank]
    return BoundaryDistances(*(column.astype(np.int32) for column in columns))


def boundary(values: Tensor, labelled: Tensor) -> Tensor:
    """Return the labelled pixels with a labelled 4-neighbour of another value, (..., H, W) bool."""
    across = (values[..., 1:] != values[..., :-1]) & labelled[..., 1:] & labelled[..., :-1]  # ... H W-1
    down = (values[..., 1:, :] != values[..., :-1, :]) & labelled[..., 1:, :] & labelled[..., :-1, :]  # ... H-1 W
    edge = torch.zeros_like(labelled)  # ... H W
    edge[..., 1:] |= across
    edge[..., :-1] |= across
    edge[..., 1:, :] |= down
    edge[..., :-1, :] |= down
    return edge


def _classes_at_boundary(values: Tensor, labelled: Tensor, classes: int) -> Tensor:
    """Return the classes of boundary pixels, (N, H, W), void elsewhere and outside the label set."""
    return values.where(boundary(values, labelled) & (values < classes), ignore_index(classes))


def _ranks(marked: Tensor, reach: int) -> Tensor:
    """Return the rank of each pixel's distance to its class in the other map, (2, N, H, W).

    What pixels that are not marked return has no meaning: void equals void too, and is not counted.
    """
    height, width = marked.shape[-2:]
    known = squares(reach)
    ranks = torch.full_like(marked, len(known))  # 2 N H W
    for dy, dx in sorted(_disk(reach), key=lambda offset: offset[0] ** 2 + offset[1] ** 2, reverse=True):
        if abs(dy) < height and abs(dx) < width:
            here = (..., _overlap(dy), _overlap(dx))
            there = (..., _overlap(-dy), _overlap(-dx))
            same = marked[0][here] == marked[1][there]  # N H-|dy| W-|dx|
            rank = known.index(dy**2 + dx**2)
            ranks[0][here].masked_fill_(same, rank)
            ranks[1][there].masked_fill_(same, rank)
    return ranks


def _overlap(shift: int) -> slice:
    """Return the places of one axis whose neighbour at this shift is inside."""
    return slice(max(-shift, 0), -shift if shift > 0 else None)


def _disk(reach: int) -> list[tuple[int, int]]:
    """Return the offsets (dy, dx) with a squared length up to ``reach``."""
    span = range(-isqrt(reach), isqrt(reach) + 1)
    return [(dy, dx) for dy, dx in product(span, repeat=2) if dy**2 + dx**2 <= reach]
