"""Differences between two affinity matrices A = XᵀX and B = YᵀY, without the matrices.

X and Y are N C M: M columns (cells) of C numbers (classes) in each of N images. Gradients flow to X alone. With
D = X - Y and S = X + Y the difference is A - B = (DᵀS + SᵀD)/2, in which nothing cancels however close the two are.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE = 1024
"""Columns of a tile of affinities: TILE² values in float64 are 8 MiB."""


def sum_of_squares(x: Tensor, y: Tensor) -> Tensor:
    """Return Σ_ij (A_ij - B_ij)² over all images, 0-dim: ½ (⟨DDᵀ, SSᵀ⟩ + Σ_kl (DSᵀ)_kl (DSᵀ)_lk), C×C matrices."""
    d, s = x - y, x + y
    across = d @ s.mT  # N C C
    return ((d @ d.mT) * (s @ s.mT) + across * across.mT).sum() / 2


def sum_of_magnitudes(x: Tensor, y: Tensor) -> Tensor:
    """Return Σ_ij |A_ij - B_ij| over all images, 0-dim, tile by tile of the upper triangle."""
    return _Magnitudes.apply(x, y, torch.is_grad_enabled() and x.requires_grad)  # type: ignore[return-value]


class _Magnitudes(torch.autograd.Function):
    """(X, Y, differentiable) -> value; the gradient at X is 2 Σ_j sign(A_ij - B_ij) x_j."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, differentiable: bool) -> Tensor:
        d, s = x - y, x + y
        left, right = torch.cat([d, s], 1) / 2, torch.cat([s, d], 1)  # N 2C M
        total = x.new_zeros(())
        gradient = torch.zeros_like(x) if differentiable else None  # N C M
        for image in range(len(x)):
            for rows, columns in _upper_tiles(x.shape[2]):
                both = 1 if rows == columns else 2
                difference = left[image, :, rows].mT @ right[image, :, columns]  # rows columns
                total += both * difference.abs().sum()
                if gradient is None:
                    continue
                sign = difference.sign_()  # rows columns
                gradient[image, :, rows] += x[image, :, columns] @ sign.mT
                if both == 2:
                    gradient[image, :, columns] += x[image, :, rows] @ sign
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient,) = ctx.saved_tensors
        return 2 * upstream[0] * gradient, None, None


def _upper_tiles(count: int) -> list[tuple[slice, slice]]:
    tiles = [slice(start, min(start + TILE, count)) for start in range(0, count, TILE)]
    return [(rows, columns) for index, rows in enumerate(tiles) for columns in tiles[index:]]
