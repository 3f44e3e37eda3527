"""Histograms of integers on the device of their places, after which the host does not wait for a GPU.

On a GPU ``torch.bincount`` makes the host wait, for the size of its result. There integers are added to a table that is
there before, by atomic additions, which are exact whatever their order. Additions to one place wait for each other:
each column of a map has, where memory permits, a column of the table for itself, and these are summed afterwards. For
the same reason values of neighbours are added to different tables on the CPU.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

_CELLS, _COLUMNS = 1 << 22, 1 << 12
"""Most cells of a table, 32 MB, and most of its columns."""

_TABLES, _SMALL, _RUN = 8, 1 << 12, 1 << 12
"""Tables on the CPU, each of at most so many cells, and places that are assigned to them at once."""


def on_gpu(tensor: "Tensor") -> bool:
    """Whether the form for a GPU is used, in which no shape depends on data."""
    return tensor.is_cuda


def count(places: "Tensor", size: int) -> "Tensor":
    """Count integers of 0..size-1, any shape: (size,) int64."""
    import torch

    if not on_gpu(places):
        return torch.bincount(places.reshape(-1), minlength=size)
    one = torch.ones((), dtype=torch.int64, device=places.device)
    return _added(places, size, one.expand(places.shape))


def total(places: "Tensor", size: int, values: "Tensor") -> "Tensor":
    """Sum values by their places in 0..size-1: (size,) float64. Both have one shape; the values are integers."""
    import torch

    if not on_gpu(places):
        return torch.from_numpy(total_on_host(places.reshape(-1).numpy(), size, values.reshape(-1).numpy()))
    return _added(places, size, values.double())


def total_on_host(places: NDArray[np.integer], size: int, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Do as :func:`total`, of flat arrays."""
    if not places.size or size > _SMALL:
        return np.bincount(places, values, size).astype(np.float64, copy=False)  # those of nothing are integers
    spread = np.empty(places.size, np.int64)
    whole = places.size - places.size % _RUN
    np.add(places[:whole].reshape(-1, _RUN), _first_cells(size), out=spread[:whole].reshape(-1, _RUN))
    spread[whole:] = places[whole:]
    return np.bincount(spread, values, _TABLES * size).reshape(_TABLES, size).sum(axis=0)


@lru_cache(maxsize=16)
def _first_cells(size: int) -> NDArray[np.int64]:
    """Return the first cell of the table of each place of a run: 0, size, 2 size, ..., and again."""
    return np.resize(np.arange(_TABLES) * size, _RUN)


def _added(places: "Tensor", size: int, values: "Tensor") -> "Tensor":
    """Add the values to a table, (size, columns), and sum its columns."""
    width = places.shape[-1]
    columns = max(1, min(width, _COLUMNS, _CELLS // size))
    table = values.new_zeros((size, columns))
    if columns == width:
        table.scatter_add_(0, places.reshape(-1, width).long(), values.reshape(-1, width))
    else:
        flat = places.long() * columns + _cycle(width, columns, places)  # ... width
        table.view(-1).scatter_add_(0, flat.reshape(-1), values.reshape(-1))
    return table.sum(dim=1)


def _cycle(width: int, columns: int, like: "Tensor") -> "Tensor":
    """Return 0, 1, ..., columns - 1, 0, ... of this width."""
    import torch

    return torch.arange(width, device=like.device) % columns
