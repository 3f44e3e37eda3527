"""Probabilities that a checkpoint states: used unchanged where their sum is 1 up to rounding, else divided by it.

The sum of a pixel's K probabilities may differ from 1 by K/510, the most that rounding each to 8 bits can amount to,
and by no more than 0.15, which that of 300 classes stays below. Rounding to 16 bits adds at most 0.0005.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_STEP, _MOST = 1 / 510, 0.15
"""Half a step of 8 bits, and the most by which a sum of 1 may be off."""


def tolerance(outputs: int) -> float:
    """Return by how much the sum of this many probabilities may differ from 1."""
    return min(outputs * _STEP, _MOST)


@dataclass(frozen=True)
class Stated:
    """The probabilities of some rows as a checkpoint states them.

    - `planes`: K, H, W float, those outside 0..1 by rounding set to 0 or 1; `total`: their sum, H, W.
    """

    planes: "Tensor"
    total: "Tensor"

    @classmethod
    def of(cls, probabilities: "Tensor") -> "Stated":
        """Return the probabilities K, H, W with their sum: plane by plane, so that all devices round alike."""
        planes = probabilities.float().clamp(0, 1)
        total = planes[0].clone()  # H W
        for plane in planes[1:]:
            total += plane
        return cls(planes, total)

    @property
    def nothing(self) -> "Tensor":
        """Return where all probabilities are 0, H, W bool."""
        return self.total == 0

    @property
    def divided(self) -> "Tensor":
        """Return where the sum is neither 1 nor 0, H, W bool."""
        return ((self.total - 1).abs() > tolerance(len(self.planes))) & ~self.nothing

    def shares(self) -> "Tensor":
        """Return the probabilities K, H, W, divided where the sum is not 1; equal where all are 0. Overwrites them."""
        nothing = self.nothing
        return self.planes.div_(self.total.where(self.divided, 1)).masked_fill_(nothing, 1 / len(self.planes))
