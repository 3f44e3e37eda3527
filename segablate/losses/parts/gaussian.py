"""Gaussian windows over maps, one axis after the other, by shifted sums."""

import math

from torch import Tensor


def taps(window: int, sigma: float) -> tuple[float, ...]:
    """Return the weights along one axis from the centre outwards, adding up to 1 over both sides; window is odd."""
    sides = [math.exp(-(offset**2) / (2 * sigma**2)) for offset in range(window // 2 + 1)]
    total = sides[0] + 2 * sum(sides[1:])
    return tuple(side / total for side in sides)


def blurred(maps: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return weighted sums over the square window around each pixel, in the last two axes; 0 beyond the frame.

    The operation is its own adjoint, so that the same function carries gradients back.
    """
    for axis in (-2, -1):
        length = maps.shape[axis]
        summed = maps * weights[0]
        for offset, weight in enumerate(weights[1:length], 1):
            rest = length - offset
            summed.narrow(axis, offset, rest).add_(maps.narrow(axis, 0, rest), alpha=weight)
            summed.narrow(axis, 0, rest).add_(maps.narrow(axis, offset, rest), alpha=weight)
        maps = summed
    return maps
