"""What is searched: the free points of the curves of a surrogate, as coordinates relative to the points before them.

A curve of m pieces has 2m - 1 free points. With raw coordinates r_k in (0, 1), for x and y apart::

    P_1 = r_1,    P_k = P_{k-1} + r_k (1 - P_{k-1})

so that every curve is monotone and, as its ends are fixed, agrees with the logical operation on 0 and 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segablate.losses.parts.curves import CURVES

Floats = NDArray[np.float64]

LEAST = 1e-6
"""Least distance of raw coordinates from 0 and 1: a first x of 0 would make the slope there infinite."""

_DIGITS = 8
"""Decimals of coordinates, so that a file states exactly what was trained with."""


@dataclass(frozen=True)
class Space:
    """The curves of a metric: how many, and of how many pieces."""

    metric: str
    pieces: int

    @property
    def curves(self) -> int:
        """Return the number of curves."""
        return CURVES[self.metric]

    @property
    def points(self) -> int:
        """Return the number of free points of a curve."""
        return 2 * self.pieces - 1

    @property
    def size(self) -> int:
        """Return D, the number of coordinates."""
        return self.curves * self.points * 2

    def start(self) -> Floats:
        """Return the raw coordinates, (D,), of identity curves: 1/4, 1/3, 1/2 for two pieces, 1/2 for one."""
        of_points = 1 / (self.points + 1 - np.arange(self.points))
        return np.tile(np.repeat(of_points, 2), self.curves)

    def theta(self, raw: Floats) -> tuple[float, ...]:
        """Return the absolute coordinates of raw ones, (D,), in the order of the published parameters."""
        relative = np.clip(raw, LEAST, 1 - LEAST).reshape(self.curves, self.points, 2)
        absolute = 1 - np.cumprod(1 - relative, axis=1)  # 1 - P_k = (1 - P_{k-1}) (1 - r_k)
        return tuple(np.round(absolute, _DIGITS).reshape(-1).tolist())


def space_of(metric: str) -> Space:
    """Return the space that the authors searched for a metric: two pieces a curve, one for bf1."""
    return Space(metric, 1 if metric == "bf1" else 2)
