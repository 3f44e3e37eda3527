"""Bins of probabilities that are integers in units of 2^-24, and the largest number in each."""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

BINS = 15

UNIT = 2.0**24

_AT_ONCE = 1 << 23
"""Probabilities that are converted at once, with 8 bytes each beside them."""


def bins_of(scaled: "Tensor") -> "Tensor":
    """Return the bin of probabilities in units of 2^-24, int64."""
    return (scaled * (BINS / UNIT)).ceil_().long().sub_(1).clamp_(0, BINS - 1)


def in_units(probabilities: "Tensor") -> "Tensor":
    """Convert stated probabilities, K, H, W float32, to units of 2^-24, each in the bin of its own value; in place.

    In float32, 15 p is above m exactly where p is above m / 15. Where rounding to a unit crosses an edge, the
    neighbouring unit is taken.
    """
    for planes in probabilities.split(max(1, _AT_ONCE // max(1, probabilities[0].numel()))):
        ends = (planes * BINS).ceil_().clamp_min_(1)
        planes.mul_(UNIT).round_()
        planes.add_(ends.sub_((planes * (BINS / UNIT)).ceil_().clamp_min_(1)))
    return probabilities


@cache
def ends_of_bins() -> NDArray[np.float32]:
    """Return the largest number of each bin but the last, (bins - 1,), as :func:`bins_of` rounds."""
    bins = np.arange(1, BINS, dtype=np.float32)[:, None]
    near = np.rint(bins * UNIT / BINS) + np.arange(-8, 9)  # bins - 1, 17
    within = np.ceil(near.astype(np.float32) * np.float32(BINS / UNIT)) <= bins
    return np.where(within, near, 0).max(axis=1).astype(np.float32)
