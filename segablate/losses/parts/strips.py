"""Maps divided into strips of rows, so that what is computed in a strip stays in the processor's cache."""

import math
from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor

VALUES = 1 << 17
"""Pixels times classes that are processed at once on the CPU, in float32: a few maps of them fit into its cache."""

VALUES_ELSEWHERE = 1 << 20
"""The same on other devices: a bound on memory."""


def strips(maps: Tensor, reach: int, size: int = 4) -> Iterator[slice]:
    """Divide the rows of maps C H W, of which values of `size` bytes are made.

    A strip has no fewer rows than windows reach beyond it, twice on each side.
    """
    height, rows = maps.shape[1], max(strip_height(maps, size), 4 * reach)
    count = math.ceil(height / rows)
    yield from (slice(*edges) for edges in pairwise(height * index // max(count, 1) for index in range(count + 1)))


def strip_height(maps: Tensor, size: int = 4) -> int:
    """Return the rows of maps C H W that are processed at once."""
    return max(_limit(maps, size) // max(maps.shape[2], 1), 1)


def chunks(maps: Tensor, rows: slice, size: int = 4) -> Iterator[slice]:
    """Divide the classes of these rows of maps C H W."""
    classes, length = len(maps), max(_limit(maps, size) // ((rows.stop - rows.start) * maps.shape[2]), 1)
    yield from (slice(start, min(start + length, classes)) for start in range(0, classes, length))


def grown(rows: slice, reach: int, height: int) -> slice:
    """Return the rows with those within reach, inside the image."""
    return slice(max(rows.start - reach, 0), min(rows.stop + reach, height))


def inside(rows: slice, wide: slice) -> slice:
    """Return the rows as counted from the first of the wide ones."""
    return slice(rows.start - wide.start, rows.stop - wide.start)


def _limit(maps: Tensor, size: int) -> int:
    return (VALUES if maps.device.type == "cpu" else VALUES_ELSEWHERE) * 4 // size
