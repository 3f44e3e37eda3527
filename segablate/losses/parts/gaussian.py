"""Gaussian windows over maps, one axis after the other, by shifted sums."""

import math

import torch
from torch import Tensor


def taps(window: int, sigma: float) -> tuple[float, ...]:
    """Return the weights along one axis from the centre outwards, that of the centre being 1; window is odd."""
    return tuple(math.exp(-(offset**2) / (2 * sigma**2)) for offset in range(window // 2 + 1))


def whole_mass(weights: tuple[float, ...]) -> float:
    """Return the sum of the weights of a window."""
    return (weights[0] + 2 * sum(weights[1:])) ** 2


def blurred(maps: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return weighted sums over the square window around each pixel, in the last two axes; 0 beyond the frame.

    The weight of the centre is 1. The operation is its own adjoint, so that the same function carries gradients back.
    """
    for axis in (-2, -1):
        length, summed = maps.shape[axis], torch.empty_like(maps)
        offsets = list(enumerate(weights))[1:length]
        if not offsets:
            continue
        for offset, weight in offsets:
            rest = length - offset
            near, far = maps.narrow(axis, 0, rest), maps.narrow(axis, offset, rest)
            if offset == 1:
                torch.add(far, near, alpha=weight, out=summed.narrow(axis, 1, rest))
                summed.narrow(axis, 0, 1).copy_(maps.narrow(axis, 0, 1))
            else:
                summed.narrow(axis, offset, rest).add_(near, alpha=weight)
            summed.narrow(axis, 0, rest).add_(far, alpha=weight)
        maps = summed
    return maps
