"""Disagreement of the predictions of similar pixels, exactly, over all pairs of an image, in bounded memory.

Pixels are points x_i in a space of position, colour and perhaps features, each divided by its sigma. Their similarity
is K_ij = exp(-½ |x_i - x_j|²), K_ii = 1. The matrix K is never stored.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE = {"cpu": 1024, "cuda": 8192}
"""Side of a tile of the kernel, in pixels: 4 MiB in float32 on a CPU, which fits its cache."""

NEGLIGIBLE = 37.0
"""Exponent of a kernel value below the rounding of 1 in float64: tiles of pixels at that distance are skipped."""

LONGEST = 1024.0
"""Squared length of points above which float32 is too coarse for their differences."""


class Disagreement(torch.autograd.Function):
    """(probabilities N C M, roi N M, points N M D) -> Σ_ij K_ij r_i r_j (1 - p_i·p_j) and Σ_ij K_ij r_i r_j, N each.

    float64; the second is detached. The gradient at the probabilities omits a constant over the classes of each pixel,
    which the backward pass of the softmax removes: 2 r_i Σ_j K_ij r_j (1 - p_j). It keeps its digits where a
    probability is close to 1, and is made of the product that the value needs.
    """

    @staticmethod
    def forward(ctx: Any, probabilities: Tensor, roi: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        maps = torch.cat([complement(probabilities), torch.ones_like(probabilities[:, :1])], 1) * roi.unsqueeze(1)
        blurred = torch.stack([blur(x, m) for x, m in zip(points, maps.mT.contiguous(), strict=True)]).mT  # N C+1 M
        blurred = blurred * roi.unsqueeze(1)
        unlike, like = blurred[:, :-1], blurred[:, -1]  # N C M, N M
        ctx.save_for_backward(unlike)
        mass = like.sum(1, dtype=torch.float64)  # N
        ctx.mark_non_differentiable(mass)
        return (probabilities * unlike).sum((1, 2), dtype=torch.float64), mass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (unlike,) = ctx.saved_tensors
        return 2 * upstream[0].to(unlike.dtype).view(-1, 1, 1) * unlike, None, None


def complement(probabilities: Tensor) -> Tensor:
    """Return 1 - p over dimension 1, with all digits also where p is close to 1: there it is the sum of the others."""
    largest = probabilities.argmax(1, keepdim=True)  # N 1 M
    others = probabilities.scatter(1, largest, 0).sum(1, keepdim=True)  # N 1 M
    return (1 - probabilities).scatter(1, largest, others)


def blur(points: Tensor, maps: Tensor) -> Tensor:
    """Return the product K maps, M k, for points M D and maps M k, by tiles; each kernel value is used twice."""
    points = points - points.mean(0)
    # |x|² + |y|² - 2x·y is cheap, but cancels; and products in float32 are rough on some GPUs
    if points.is_cuda or points.square().sum(1).amax() > LONGEST:
        points = points.double()
    half = points.square().sum(1, keepdim=True) / -2  # M 1
    ones = torch.ones_like(half)
    left, right = torch.cat([points, half, ones], 1), torch.cat([points, ones, half], 1)  # M D+2
    total = torch.zeros_like(maps)  # M k
    size = TILE.get(points.device.type, TILE["cpu"])
    for rows, columns in _near_tiles(points, size):
        exponent = (left[rows] @ right[columns].T).clamp_(-80, 0)  # below, values are denormal and slow
        kernel = exponent.to(maps.dtype).exp_()
        if rows == columns:
            kernel.fill_diagonal_(1)
            total[rows].addmm_(kernel, maps[rows])
        else:
            total[rows].addmm_(kernel, maps[columns])
            total[columns].addmm_(kernel.T, maps[rows])
    return total


def _near_tiles(points: Tensor, size: int) -> list[tuple[slice, slice]]:
    """Return pairs of tiles of the upper triangle, without those whose bounding boxes are too far apart to count."""
    tiles = [slice(start, min(start + size, len(points))) for start in range(0, len(points), size)]
    low = torch.stack([points[tile].amin(0) for tile in tiles])  # tiles D
    high = torch.stack([points[tile].amax(0) for tile in tiles])  # tiles D
    gap = (low.unsqueeze(0) - high.unsqueeze(1)).clamp(min=0)  # of which one or the other order is 0
    near = ((gap + gap.transpose(0, 1)).square().sum(2) / 2 < NEGLIGIBLE).tolist()
    upper = ((i, j) for i in range(len(tiles)) for j in range(i, len(tiles)))
    return [(tiles[i], tiles[j]) for i, j in upper if near[i][j]]
