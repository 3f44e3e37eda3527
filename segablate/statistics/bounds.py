"""The bounds of a score: the smallest and the largest value that the true score can have.

A score declares its bounds where it is defined; they go with its distribution, and every interval of it is cut to them.
The true value is within them, so that the cut loses no coverage.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """The smallest and the largest possible value of a score, or of each of several; infinite where there is none."""

    low: float | Floats = -np.inf
    high: float | Floats = np.inf

    def __sub__(self, other: "Bounds") -> "Bounds":
        """Return the bounds of the difference of two scores."""
        return Bounds(self.low - other.high, self.high - other.low)

    def cut(self, ends: Floats) -> Floats:
        """Return ends of intervals cut to the bounds; nan stays nan."""
        return np.clip(ends, self.low, self.high)


UNBOUNDED = Bounds()
NOT_NEGATIVE = Bounds(low=0.0)
SHARE = Bounds(0.0, 1.0)
CORRELATION = Bounds(-1.0, 1.0)
