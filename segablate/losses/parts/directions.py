"""Cross entropy over the directions in which a boundary pixel may move, with its gradient in closed form.

Shapes: K pixels, 8 directions, C classes, U pixels visited.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.losses.parts.predicted_boundary import values_at_once

OFFSETS = ((1, 0), (-1, 0), (0, -1), (0, 1), (-1, 1), (1, 1), (-1, -1), (1, -1))
"""(Down, right) of each direction, in the order that decides ties (that of the authors' code)."""


class Pixels(NamedTuple):
    """K positions in a batch of maps N H W, as an index into such maps."""

    image: Tensor
    row: Tensor
    column: Tensor


class Directions(torch.autograd.Function):
    """(logits, pixels, target K, weight K, smoothing, detach, differentiable) -> Σ_i w_i H(τ_i, π_i), 0-dim float64.

    π_i is the softmax of the divergences κ_k = KL(p_k ‖ p_i) of the neighbours k from pixel i. With S = Σ_k τ_k the
    gradient at κ_k is c_k = w_i (S π_k - τ_k). The c_k of a pixel add up to 0, so that the gradient at its own logits
    is -Σ_k c_k p_k; at those of neighbour k it is c_k p_k (ln p_k - ln p_i - κ_k). Both are computed with the value,
    for the boundary pixels alone.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        pixels: Pixels,
        target: Tensor,
        weight: Tensor,
        smoothing: float,
        detach: bool,
        differentiable: bool,
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float64, device=logits.device)
        places: list[Pixels] = []
        slopes: list[Tensor] = []
        around = _neighbours(pixels, logits.shape[2:])  # 8 of K
        rows, log_probabilities = _visited(logits, [*around, pixels])  # 9 K, U C
        for part in _parts(len(target), values_at_once(logits.device) // (9 * logits.shape[1])):
            *near_rows, centre_rows = rows[:, part]
            centre = log_probabilities[centre_rows]  # K C
            near = log_probabilities[torch.stack(near_rows)]  # 8 K C
            probability, change = near.exp(), near - centre  # 8 K C
            divergence = (probability * change).sum(2)  # 8 K
            log_share = divergence.log_softmax(0)  # 8 K
            aim = _smoothed(target[part], smoothing, log_share)  # 8 K
            total -= (weight[part] * (aim * log_share).sum(0)).sum(dtype=torch.float64)
            if not differentiable:
                continue
            slope = weight[part].to(aim.dtype) * (aim.sum(0) * log_share.exp() - aim)  # 8 K
            probability *= slope.unsqueeze(2)  # 8 K C
            places.append(_cut(pixels, part))
            slopes.append(-probability.sum(0))  # K C
            if not detach:
                places += [_cut(there, part) for there in around]
                slopes += (probability * (change - divergence.unsqueeze(2))).unbind(0)  # 8 of K C
        if places:
            ctx.save_for_backward(*(torch.cat(indices) for indices in zip(*places, strict=True)), torch.cat(slopes))
        ctx.shape, ctx.form = logits.shape, logits.detach().new_empty(0)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient = ctx.form.new_zeros(ctx.shape)
        if ctx.saved_tensors:
            image, row, column, slopes = ctx.saved_tensors
            at_pixels = gradient.permute(0, 2, 3, 1)  # N H W C
            at_pixels.index_put_((image, row, column), slopes * upstream.to(slopes.dtype), accumulate=True)
        return gradient, *[None] * 6


def _parts(count: int, length: int) -> Iterator[slice]:
    """Yield slices of that length over ``count`` pixels."""
    length = max(length, 1)
    yield from (slice(start, start + length) for start in range(0, count, length))


def _neighbours(pixels: Pixels, size: torch.Size) -> list[Pixels]:
    """Return the eight neighbours, K each; outside the image the nearest pixel inside."""
    rows = {down: (pixels.row + down).clamp(0, size[0] - 1) for down in (-1, 0, 1)}
    columns = {right: (pixels.column + right).clamp(0, size[1] - 1) for right in (-1, 0, 1)}
    return [Pixels(pixels.image, rows[down], columns[right]) for down, right in OFFSETS]


def _cut(pixels: Pixels, part: slice) -> Pixels:
    return Pixels(*(index[part] for index in pixels))


def _visited(logits: Tensor, places: list[Pixels]) -> tuple[Tensor, Tensor]:
    """Return the indices of all these pixels in a table, len(places) K, and the table of their log-softmax, U C.

    The windows of neighbouring pixels overlap; each pixel is in the table once.
    """
    images, _, height, width = logits.shape
    flat = torch.stack([(image * height + row) * width + column for image, row, column in places])  # places K
    row_of = torch.zeros(images * height * width, dtype=torch.int64, device=logits.device)  # N·H·W
    row_of[flat] = 1
    (each,) = row_of.nonzero(as_tuple=True)
    row_of[each] = torch.arange(len(each), device=logits.device)
    image, within = each // (height * width), each % (height * width)  # U each
    return row_of[flat], logits.flatten(2).mT[image, within].log_softmax(1)


def _smoothed(target: Tensor, smoothing: float, like: Tensor) -> Tensor:
    """Return 1 - s at the target and s/8 at the others, 8 K: as in the authors' code, not adding up to 1."""
    aim = torch.full_like(like, smoothing / len(OFFSETS))  # 8 K
    return aim.scatter_(0, target.unsqueeze(0), 1 - smoothing)
