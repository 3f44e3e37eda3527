"""Scores merged over the pixels of one label in a window, and their cross entropy, by shifting whole maps.

For each offset in the window the maps are shifted and added up where the labels agree, so that memory does not grow
with the window. The gradient is the same loop with the shifts reversed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.losses.parts.shapes import void_of


@dataclass(frozen=True)
class Window:
    """Hyperparameters of the merging in ``lal``; ``window``, ``stride`` and ``sigma`` in pixels."""

    window: int
    stride: int
    sigma: float
    by_weight: bool
    of_probabilities: bool


class Shift(NamedTuple):
    """One offset in the window: the anchors with a pixel at this offset, those pixels, and ln of their Gaussian weight.

    The slices index the last two axes of maps of anchors, h w, and of pixels, H W.
    """

    anchors: tuple[Any, ...]
    pixels: tuple[Any, ...]
    log_weight: float


def anchor_labels(labels: Tensor, stride: int) -> Tensor:
    """Return the labels at every stride-th row and column, N h w."""
    return labels[:, ::stride, ::stride]


class Merged(torch.autograd.Function):
    """(logits N C H W, labels N H W, window) -> e N h w float64: cross entropy of the merged scores at the anchors.

    0 at void anchors. The merged scores are kept for the gradient, 1/stride² of the size of the logits; nothing kept
    grows with the window.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, window: Window) -> Tensor:
        at_anchor = anchor_labels(labels, window.stride)  # N h w
        if window.of_probabilities:
            log_probabilities = logits.log_softmax(1)  # N C H W
            scores, divisor = _merge_probabilities(log_probabilities, labels, window), None
            ctx.save_for_backward(log_probabilities, labels, scores)
        else:
            scores, divisor = _merge_logits(logits, labels, window)
            ctx.save_for_backward(logits, labels, scores, divisor)
        ctx.window = window
        return F.cross_entropy(scores, at_anchor.long(), ignore_index=void_of(logits), reduction="none").double()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        maps, labels, scores, *divisor = ctx.saved_tensors
        label = anchor_labels(labels, ctx.window.stride).unsqueeze(1)  # N 1 h w
        slope = scores.softmax(1)  # N C h w
        known = label.long().where(label != void_of(maps), 0)  # N 1 h w
        slope.scatter_add_(1, known, slope.new_full((), -1).expand(known.shape))
        upstream = upstream.to(slope.dtype).unsqueeze(1).where(label != void_of(maps), 0)  # N 1 h w
        if not ctx.window.of_probabilities:
            return _spread_over_logits(slope.mul_(upstream / divisor[0]), maps, labels, ctx.window), None, None
        gradient = _spread_over_probabilities(slope.mul_(upstream), scores, maps, labels, ctx.window)
        return gradient.sub_(maps.exp().mul_(gradient.sum(1, keepdim=True))), None, None


def _merge_logits(logits: Tensor, labels: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Return merged logits, N C h w, and their divisor, N 1 h w."""
    scores = torch.zeros_like(logits[..., :: window.stride, :: window.stride])  # N C h w
    divisor = torch.zeros_like(scores[:, :1])  # N 1 h w
    for shift in _shifts(labels.shape[1:], window):
        same = _same_label(labels, shift, window.stride)
        weight = same.to(scores.dtype) * math.exp(shift.log_weight)
        scores[shift.anchors].addcmul_(logits[shift.pixels], weight)
        divisor[shift.anchors].add_(weight if window.by_weight else same)
    return scores.div_(divisor), divisor


def _merge_probabilities(log_probabilities: Tensor, labels: Tensor, window: Window) -> Tensor:
    """Return ln Q, N C h w: summed as logarithms, since probabilities underflow."""
    scores = torch.full_like(log_probabilities[..., :: window.stride, :: window.stride], -torch.inf)  # N C h w
    for shift in _shifts(labels.shape[1:], window):
        same = _same_label(labels, shift, window.stride)
        merged = scores[shift.anchors]
        more = (log_probabilities[shift.pixels] + shift.log_weight).where(same, -torch.inf)
        torch.logaddexp(merged, more, out=merged)
    return scores


def _spread_over_logits(slope: Tensor, logits: Tensor, labels: Tensor, window: Window) -> Tensor:
    """Return the gradient at the logits, N C H W, from that at the undivided sums, N C h w."""
    gradient = torch.zeros_like(logits)  # N C H W
    for shift in _shifts(labels.shape[1:], window):
        weight = _same_label(labels, shift, window.stride).to(slope.dtype) * math.exp(shift.log_weight)
        gradient[shift.pixels].addcmul_(slope[shift.anchors], weight)
    return gradient


def _spread_over_probabilities(
    slope: Tensor, scores: Tensor, log_probabilities: Tensor, labels: Tensor, window: Window
) -> Tensor:
    """Return the gradient at the log-probabilities from that at ln Q, by each pixel's share of Q."""
    gradient = torch.zeros_like(log_probabilities)  # N C H W
    for shift in _shifts(labels.shape[1:], window):
        share = (log_probabilities[shift.pixels] + shift.log_weight).sub_(scores[shift.anchors])
        share = share.where(_same_label(labels, shift, window.stride), -torch.inf).exp_()
        gradient[shift.pixels].addcmul_(share, slope[shift.anchors])
    return gradient


def _same_label(labels: Tensor, shift: Shift, stride: int) -> Tensor:
    """Return whether the pixel at this offset has the label of the anchor, N 1 rows columns."""
    return (labels[shift.pixels] == anchor_labels(labels, stride)[shift.anchors]).unsqueeze(1)


def _shifts(size: torch.Size, window: Window) -> Iterator[Shift]:
    """Yield every offset at which some anchor has a pixel inside the image."""
    reach = window.window // 2
    rows, columns = (list(_along(length, reach, window.stride)) for length in size)
    for down, anchor_rows, pixel_rows in rows:
        for right, anchor_columns, pixel_columns in columns:
            distance = max(abs(down), abs(right))
            yield Shift(
                (..., anchor_rows, anchor_columns),
                (..., pixel_rows, pixel_columns),
                -(distance**2) / (2 * window.sigma**2),
            )


def _along(length: int, reach: int, stride: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield, along one axis, an offset, the anchors whose pixel there is inside the image, and those pixels."""
    anchors = -(-length // stride)
    for offset in range(-min(reach, length - 1), min(reach, length - 1) + 1):
        first = max(0, -(offset // stride))
        last = min(anchors - 1, (length - 1 - offset) // stride)
        if first <= last:
            pixels = slice(first * stride + offset, last * stride + offset + 1, stride)
            yield offset, slice(first, last + 1), pixels
