"""Affinity regression."""

from functools import reduce
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.labels import ignore_index
from segablate.losses.parts.affinities import sum_of_magnitudes, sum_of_squares
from segablate.losses.parts.shapes import Labels, Logits, void_of
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Choice, Range


@loss(
    paper="after the description in Cao and Yang, Use Square Root Affinity to Regress Labels in Semantic Segmentation, "
    "arXiv:2103.04990",
    objective="ce + ar",
    incomparable={
        "scales": "cells of another size differ less or more",
        "kernel": "the two affinities differ in scale",
        "penalty": "squares of shares are smaller than the shares",
    },
    bounds=(0, 1),
)
def ar(
    logits: Logits,
    labels: Labels,
    *,
    scales: Annotated[
        tuple[int, ...],
        Range(1, 4096, grid=((4,), (8,), (4, 8), (2, 4, 8), (8, 16)), help="sides of the cells, in pixels"),
    ] = (4, 8),
    kernel: Annotated[
        str, Choice("sqrt", "dot", help="affinity of two cells: product of the roots of their shares, or of the shares")
    ] = "sqrt",
    penalty: Annotated[str, Choice("l2", "l1", help="squared or absolute difference of two affinities")] = "l2",
) -> Parts:
    """Difference of predicted and labelled affinities between all pairs of cells, after the paper's description.

    Formula:
        L = mean over s of Σ_n Σ_ij (Â_ij - A_ij)² / Σ_n M_n²,    Â_ij = Σ_c √(P_ic P_jc),    A_ij = Σ_c √(Q_ic Q_jc)

        At scale s the image is cut into disjoint cells of s×s pixels, smaller at the lower and right frame. P_i is the
        mean softmax and Q_i the mean one-hot label over the labelled pixels of cell i; the M_n cells of image n that
        have one take part. With kernel=dot affinities are Σ_c P_ic P_jc and Σ_c Q_ic Q_jc; with penalty=l1 the
        difference is |Â_ij - A_ij|. Affinities and the value are in 0..1; 0 is perfect. A scale larger than the image
        is one cell, which with kernel=sqrt carries no information: its affinity to itself is always 1.

    Parts:
        The value over images follows from the sums differences and pairs, one entry a scale. The fact cells is the
        number of cells M over all images and scales.

    After the paper's description:
        Neither code nor equations are available. The paper describes label affinities at several scales, an output
        affinity with a square root kernel and a regression between the two; cells, scales, the penalty and the weight
        beside cross entropy are this program's choice.
    """
    pooled = _PooledSoftmax.apply(logits, labels != void_of(logits), scales)  # one N C h w for each scale
    measure = sum_of_squares if penalty == "l2" else sum_of_magnitudes
    differences, cells = [], []
    for scale, sums in zip(scales, pooled, strict=True):  # type: ignore[arg-type]
        counts = _count_labels(labels, logits.shape[1], scale)  # N C M
        pixels = counts.sum(1, keepdim=True)  # N 1 M
        shares = sums.flatten(2).double() / pixels.clamp(min=1), counts / pixels.clamp(min=1)
        if kernel == "sqrt":  # a single cell has affinity 1 to itself: rounding must not make a difference of it
            several = (pixels > 0).sum(2, keepdim=True) > 1
            shares = tuple(_root(share).where(several, 0) for share in shares)
        differences.append(measure(*shares))
        cells.append((pixels > 0).sum((1, 2)))
    each, pairs = torch.stack(differences), torch.stack(cells).square().sum(1)  # scales each
    value = (each / pairs.clamp(min=1)).mean()
    return Parts(
        value.to(logits.dtype),
        pairs.any(),
        sums={"differences": each.detach(), "pairs": pairs},
        facts={"cells": torch.stack(cells).sum()},
    )


class _PooledSoftmax(torch.autograd.Function):
    """(logits, valid N H W, scales) -> sums of the softmax over the valid pixels of each cell, N C h w for each scale.

    Only the softmax is kept for the gradient, 0 at pixels that are not valid, which keeps them out of the gradient.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, valid: Tensor, scales: tuple[int, ...]) -> tuple[Tensor, ...]:
        probabilities = logits.softmax(1).mul_(valid.unsqueeze(1))  # N C H W
        ctx.save_for_backward(probabilities)
        ctx.scales = scales
        return tuple(F.avg_pool2d(probabilities, scale, ceil_mode=True, divisor_override=1) for scale in scales)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (probabilities,) = ctx.saved_tensors
        gradient = torch.empty_like(probabilities)  # N C H W
        inner = torch.zeros_like(probabilities[:, :1])  # N 1 H W
        for index in range(probabilities.shape[1]):
            one = slice(index, index + 1)
            cells = [_spread(each[:, one], scale, inner) for each, scale in zip(upstream, ctx.scales, strict=True)]
            gradient[:, one] = reduce(torch.add, cells)  # N 1 H W
            inner.addcmul_(probabilities[:, one], gradient[:, one])
        return gradient.sub_(inner).mul_(probabilities), None, None


def _spread(cells: Tensor, scale: int, like: Tensor) -> Tensor:
    """Return the value of each pixel's cell, N 1 H W of the size of ``like``, from cells N 1 h w."""
    height, width = like.shape[2:]
    return cells.repeat_interleave(scale, 3)[..., :width].repeat_interleave(scale, 2)[:, :, :height]


def _count_labels(labels: Labels, classes: int, scale: int) -> Tensor:
    """Count the labelled pixels of each class in each cell, N C M in float64."""
    images, height, width = labels.shape
    rows, columns = -(-height // scale), -(-width // scale)
    row = torch.arange(height, device=labels.device).view(-1, 1) // scale  # H 1
    column = torch.arange(width, device=labels.device) // scale  # W
    image = torch.arange(images, device=labels.device).view(-1, 1, 1)  # N 1 1
    group = image * (classes + 1) + labels.long().where(labels != ignore_index(classes), classes)  # N H W
    cell = (group * rows + row) * columns + column  # N H W
    counts = torch.bincount(cell.flatten(), minlength=images * (classes + 1) * rows * columns)  # N·(C+1)·M
    return counts.view(images, classes + 1, rows * columns)[:, :classes].double()


def _root(shares: Tensor) -> Tensor:
    """Return √x with slope 0 at 0: there a probability underflowed, and its own slope with it."""
    return shares.clamp(min=torch.finfo(shares.dtype).tiny).sqrt().where(shares > 0, 0)
