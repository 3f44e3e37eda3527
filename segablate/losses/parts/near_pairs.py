"""Disagreement of the predictions of similar pixels over all pairs within a window, by shifting whole maps.

Every pair is visited once, from the first of its two pixels in raster order.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.losses.parts.all_pairs import NEGLIGIBLE, complement
from segablate.losses.parts.guidance import resampled

Cut = tuple[slice, slice, slice]

CHANNELS = 16
"""Channels of a guide that are subtracted at once: a bound on memory."""


@dataclass(frozen=True)
class Guide:
    """One kernel of pixel similarity: w exp(-½ |f_i - f_j|²), with f all the maps together, each divided by its sigma.

    The maps are N D h w, each on its own grid.
    """

    weight: float
    maps: tuple[Tensor, ...]

    def at(self, image: int, size: Sequence[int]) -> Tensor:
        """Return all maps of one image on one grid, D H W."""
        return torch.cat([resampled(maps[image : image + 1], size)[0] for maps in self.maps])


def half_window(size: Sequence[int], radius: int) -> Iterator[tuple[Cut, Cut, int]]:
    """Yield, for each offset of the half window, the pixels D H W, their partners, and the squared distance.

    The offsets are those to the right in the same row and all in the rows below; the others are the same pairs
    reversed.
    """
    height, width = size
    rows, columns = min(radius, height - 1), min(radius, width - 1)
    for down in range(rows + 1):
        for right in range(-columns if down else 1, columns + 1):
            left, every = max(-right, 0), slice(None)
            here = every, slice(height - down), slice(left, width - max(right, 0))
            there = every, slice(down, height), slice(left + right, width - max(right, 0) + right)
            yield here, there, down * down + right * right


class NearDisagreement(torch.autograd.Function):
    """(probabilities N C H W, roi N H W, guides, radius, sigma_xy) -> Σ G_ij (1 - p_i·p_j) and Σ G_ij, 0-dim.

    G_ij = r_i r_j exp(-|x_i - x_j|² / 2σ²) Σ_t w_t exp(-½ |f_ti - f_tj|²) over ordered pairs of different pixels at
    most radius rows and columns apart. float64; the second is detached. The gradient at the probabilities omits a
    constant over the classes of each pixel, which the backward pass of the softmax removes: 2 Σ_j G_ij (1 - p_j).
    """

    @staticmethod
    def forward(
        ctx: Any, probabilities: Tensor, roi: Tensor, guides: Sequence[Guide], radius: int, sigma_xy: float
    ) -> tuple[Tensor, Tensor]:
        others, unlike = complement(probabilities), torch.zeros_like(probabilities)  # N C H W
        size = roi.shape[1:]
        pairs = torch.zeros((), dtype=torch.float64, device=roi.device)
        for image, region in enumerate(roi.unsqueeze(1)):  # 1 H W
            weighted = [(guide.weight, guide.at(image, size)) for guide in guides]
            for here, there, squared in half_window(size, radius):
                exponent = squared / (2 * sigma_xy**2)
                if exponent > NEGLIGIBLE:
                    continue
                kernel = reduce(torch.add, (weight * _similarity(maps, here, there) for weight, maps in weighted))
                kernel = kernel.mul_(math.exp(-exponent)).mul_(region[here]).mul_(region[there])  # 1 h w
                pairs += 2 * kernel.sum(dtype=torch.float64)
                unlike[image][here].addcmul_(kernel, others[image][there])
                unlike[image][there].addcmul_(kernel, others[image][here])
        ctx.save_for_backward(unlike)
        ctx.mark_non_differentiable(pairs)
        return (probabilities * unlike).sum(dtype=torch.float64), pairs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (unlike,) = ctx.saved_tensors
        return 2 * upstream[0].to(unlike.dtype) * unlike, None, None, None, None


def _similarity(maps: Tensor, here: Cut, there: Cut) -> Tensor:
    """Return exp(-½ |f_i - f_j|²) for every pair, 1 h w."""
    ours, theirs = maps[here], maps[there]
    squared = torch.zeros_like(ours[:1])
    difference = torch.empty_like(ours[:CHANNELS])
    for a, b in zip(ours.split(CHANNELS), theirs.split(CHANNELS), strict=True):
        part = torch.sub(a, b, out=difference[: len(a)])  # d h w
        squared += part.square_().sum(0, keepdim=True)
    return squared.div_(-2).exp_()
