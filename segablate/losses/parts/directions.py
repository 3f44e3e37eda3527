"""Cross entropy over the directions in which a boundary pixel may move, with its gradient in closed form."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.losses.parts.predicted_boundary import values_at_once

OFFSETS = ((1, 0), (-1, 0), (0, -1), (0, 1), (-1, 1), (1, 1), (-1, -1), (1, -1))
"""Down and right, in the order in which ties between directions are settled (that of the authors' code)."""


class Pixels(NamedTuple):
    """K places in a batch of maps N H W; indexes such maps."""

    image: Tensor
    row: Tensor
    column: Tensor


class Directions(torch.autograd.Function):
    """(logits, pixels, target K, weight K, smoothing, detach, whether a gradient will be wanted)
    -> Σ_i w_i H(τ_i, π_i), 0-dim float64, where π_i is the softmax of the divergences from the neighbours of pixel i.

    With κ_k = KL(p_k ‖ p_i) and S = Σ_k τ_k the gradient is c_k = w_i (S π_k - τ_k) at κ_k. The c_k of a pixel add up
    to 0, so that -Σ_k c_k p_k is left at its own logits; at those of neighbour k, c_k p_k (ln p_k - ln p_i - κ_k).
    Both are found with the value, for the few pixels alone.
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
        around = _neighbours(pixels, logits.shape[2:])
        rows, log_probabilities = _visited(logits, [*around, pixels])
        for part in _parts(len(target), values_at_once(logits.device) // (9 * logits.shape[1])):
            *near_rows, centre_rows = rows[:, part]
            centre = log_probabilities[centre_rows]
            near = log_probabilities[torch.stack(near_rows)]  # 8 K C
            probability, change = near.exp(), near - centre
            divergence = (probability * change).sum(2)  # 8 K
            log_share = divergence.log_softmax(0)
            aim = _smoothed(target[part], smoothing, log_share)
            total -= (weight[part] * (aim * log_share).sum(0)).sum(dtype=torch.float64)
            if not differentiable:
                continue
            slope = weight[part].to(aim.dtype) * (aim.sum(0) * log_share.exp() - aim)  # 8 K
            probability *= slope.unsqueeze(2)
            places.append(_cut(pixels, part))
            slopes.append(-probability.sum(0))
            if not detach:
                places += [_cut(there, part) for there in around]
                slopes += (probability * (change - divergence.unsqueeze(2))).unbind(0)
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
            at_pixels = gradient.permute(0, 2, 3, 1)
            at_pixels.index_put_((image, row, column), slopes * upstream.to(slopes.dtype), accumulate=True)
        return gradient, *[None] * 6


def _parts(count: int, length: int) -> Iterator[slice]:
    """The pixels in runs of that length."""
    length = max(length, 1)
    yield from (slice(start, start + length) for start in range(0, count, length))


def _neighbours(pixels: Pixels, size: torch.Size) -> list[Pixels]:
    """The eight neighbours; outside the image the nearest pixel inside."""
    rows = {down: (pixels.row + down).clamp(0, size[0] - 1) for down in (-1, 0, 1)}
    columns = {right: (pixels.column + right).clamp(0, size[1] - 1) for right in (-1, 0, 1)}
    return [Pixels(pixels.image, rows[down], columns[right]) for down, right in OFFSETS]


def _cut(pixels: Pixels, part: slice) -> Pixels:
    return Pixels(*(index[part] for index in pixels))


def _visited(logits: Tensor, places: list[Pixels]) -> tuple[Tensor, Tensor]:
    """The log-softmax at all these pixels, each once, U C, and for each list the rows in it, len(places) K.

    The windows of neighbouring pixels overlap: a pixel is visited several times.
    """
    images, _, height, width = logits.shape
    flat = torch.stack([(image * height + row) * width + column for image, row, column in places])
    row_of = torch.zeros(images * height * width, dtype=torch.int64, device=logits.device)
    row_of[flat] = 1
    (each,) = row_of.nonzero(as_tuple=True)
    row_of[each] = torch.arange(len(each), device=logits.device)
    image, within = each // (height * width), each % (height * width)
    return row_of[flat], logits.flatten(2).mT[image, within].log_softmax(1)


def _smoothed(target: Tensor, smoothing: float, like: Tensor) -> Tensor:
    """1 - s at the target, s/8 at the other directions, 8 K: as in the authors' code, not adding up to 1."""
    aim = torch.full_like(like, smoothing / len(OFFSETS))
    return aim.scatter_(0, target.unsqueeze(0), 1 - smoothing)
