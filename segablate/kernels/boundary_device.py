"""Boundary distances in tensor operations, for label maps on a GPU: only the histogram is copied to the host.

The results equal those of :mod:`segablate.kernels.boundary_reference`, which is the definition. Up to a small reach
:mod:`segablate.kernels.boundary_dense` counts them. Beyond it the nearest target is searched for along rows, by sorted
keys, as in the last search of :mod:`segablate.kernels.boundary`. :data:`_ROWS` rows are searched at once, and pixels
that need no further row are dropped after them, so that the host waits for the device once in as many rows.

Shapes: n boundary pixels of one map, m pixels still searching.
"""

from math import isqrt

import numpy as np
import torch
from torch import Tensor

from segablate.kernels import boundary_dense
from segablate.kernels.boundary_reference import BEYOND, LABELLED, PREDICTED, BoundaryDistances
from segablate.labels import ignore_index

_ROWS = 6
"""Number of row offsets that are searched at once, upwards and downwards."""

_NOWHERE = 2**62
"""The key of a pixel that is out of reach of all others."""


def boundary_distances_on_device(labels: Tensor, predicted: Tensor, classes: int, reach: int) -> BoundaryDistances:
    """Count the squared distances between the boundaries of two label maps, per class and in both directions.

    ``labels`` and ``predicted`` are (H, W) on one device, uint8 for up to 255 ``classes``, else int32. Squared
    distances above ``reach`` (squared pixels) become ``BEYOND``. The histogram is on the host.
    """
    if reach <= boundary_dense.REACH:
        table = boundary_dense.boundary_tables(labels[None], predicted[None], classes, reach)[0]
        return boundary_dense.unpacked(table.cpu().numpy(), reach)
    return search(labels, predicted, classes, reach)


def search(labels: Tensor, predicted: Tensor, classes: int, reach: int) -> BoundaryDistances:
    """Count as :func:`boundary_distances_on_device` does, by a search whose cost grows with the radius."""
    height, width = labels.shape
    reach = min(reach, height**2 + width**2)
    grid = height + isqrt(reach) + 1, width + isqrt(reach) + 1
    labelled = labels != ignore_index(classes)
    of_prediction, of_labels = (_keys(values, labelled, classes, grid) for values in (predicted, labels))  # n each
    sides = {PREDICTED: (of_prediction, of_labels), LABELLED: (of_labels, of_prediction)}
    codes = [
        ((side * classes + edges // (grid[0] * grid[1])) * (reach + 2)).add_(_squared(edges, targets, grid[1], reach))
        for side, (edges, targets) in sides.items()
    ]
    return _histogram(torch.cat(codes), classes, reach)


def _keys(values: Tensor, labelled: Tensor, classes: int, grid: tuple[int, int]) -> Tensor:
    """Return the boundary pixels as ascending keys ``(class * rows + y) * pitch + x``, (n,) int64, on a ``grid``.

    Rows and classes are further apart than the search goes, so that keys close to each other are pixels close to each
    other in one row of one class.
    """
    rows, pitch = grid
    y, x = (boundary_dense.boundary(values, labelled) & (values < classes)).nonzero(as_tuple=True)  # n each
    return ((values[y, x].long() * rows + y) * pitch + x).sort().values


def _squared(keys: Tensor, targets: Tensor, pitch: int, reach: int) -> Tensor:
    """Return the squared distance from each key to the nearest sorted target, (n,); ``reach + 1`` beyond reach."""
    radius = isqrt(reach)
    targets = torch.cat((targets.new_tensor([-_NOWHERE]), targets, targets.new_tensor([_NOWHERE])))
    best = torch.full_like(keys, reach + 1)  # n
    searching = torch.arange(len(keys), device=keys.device)  # m
    for first in range(0, radius + 1, _ROWS):
        below = torch.arange(first, min(first + _ROWS, radius + 1), device=keys.device)[:, None]
        dy = torch.cat((-below, below))  # rows 1
        dx = _along_row(keys[searching] + dy * pitch, targets).clamp_(max=radius + 1)  # rows m
        nearest = torch.minimum(best[searching], (dx.square_() + dy.square()).amin(dim=0))  # m
        best[searching] = nearest
        searching = searching[nearest > (first + _ROWS) ** 2]
        if not len(searching):
            break
    return best


def _along_row(keys: Tensor, targets: Tensor) -> Tensor:
    """Return the distance from each key to the nearest of the sorted targets."""
    after = torch.searchsorted(targets, keys)
    return torch.minimum(targets[after] - keys, keys - targets[after - 1])


def _histogram(codes: Tensor, classes: int, reach: int) -> BoundaryDistances:
    """Count the codes ``(side * classes + class) * (reach + 2) + squared`` that occur, and decode them."""
    kinds, pixels = torch.stack(codes.unique(return_counts=True)).cpu().numpy()
    side_and_class, squared = np.divmod(kinds, reach + 2)
    columns = *np.divmod(side_and_class, classes), np.where(squared > reach, BEYOND, squared), pixels
    return BoundaryDistances(*(column.astype(np.int32) for column in columns))
