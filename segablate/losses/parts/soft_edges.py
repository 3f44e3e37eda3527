"""Edges of label maps, and soft edges of probability maps, for the surrogates of boundary metrics.

A pixel is on the edge of its class if its 3×3 window holds another label; void differs from every class, the image
frame from none.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.losses.parts.curves import Curve
from segablate.losses.parts.shapes import Labels, void_of

EPSILON = 1e-8
"""Added to every denominator, as the authors do."""


class EdgeSums(NamedTuple):
    """Predicted edge, its part near a labelled edge, labelled edge pixels, their part near a predicted edge."""

    predicted: Tensor
    predicted_near: Tensor
    labelled: Tensor
    labelled_near: Tensor


def f_score(sums: EdgeSums) -> Tensor:
    """Return 2 P R / (P + R) with precision P and recall R of the edges, of the shape of the sums."""
    precision = sums.predicted_near / (sums.predicted + EPSILON)
    recall = sums.labelled_near / (sums.labelled + EPSILON)
    return 2 * precision * recall / (precision + recall + EPSILON)


def label_edges(labels: Labels, void: int) -> Tensor:
    """Return the labelled pixels on the edge of their class, N H W bool."""
    maps = labels.unsqueeze(1).float()  # N 1 H W
    mixed = F.max_pool2d(maps, 3, 1, 1) + F.max_pool2d(-maps, 3, 1, 1) > 0  # N 1 H W
    return mixed.squeeze(1) & (labels != void)


def spread(maps: Tensor, reach: int) -> Tensor:
    """Return the largest value in the square window of this reach around each pixel, clipped at the frame, N H W."""
    rows, columns = (min(reach, size) for size in maps.shape[1:])
    across = F.max_pool2d(maps.unsqueeze(1), (1, 2 * columns + 1), 1, (0, columns))  # N 1 H W
    return F.max_pool2d(across, (2 * rows + 1, 1), 1, (rows, 0)).squeeze(1)


def edge_scores(
    probabilities: Tensor, labels: Labels, curves: Sequence[Curve], tolerance: int, drop: bool
) -> tuple[Tensor, EdgeSums]:
    """Return the soft boundary F-score of each class, C and attached, and the sums it is made of, C each, detached.

    Classes without a labelled edge, and class 0 where it is dropped, are left out and are 0 everywhere.
    """
    edges = label_edges(labels, void_of(probabilities))  # N H W bool
    pixels = torch.bincount(labels[edges].long(), minlength=probabilities.shape[1])
    counted = [index for index, count in enumerate(pixels.tolist()) if count and not (drop and index == 0)]
    batch = _EdgeBatch(edges, labels, tuple(curves), tolerance, counted)
    differentiable = torch.is_grad_enabled() and probabilities.requires_grad
    scores, *sums = _Scores.apply(probabilities, batch, differentiable)  # type: ignore[misc]
    return scores, EdgeSums(*sums)


class _EdgeBatch(NamedTuple):
    edges: Tensor
    labels: Tensor
    curves: tuple[Curve, ...]
    tolerance: int
    counted: list[int]


class _Scores(torch.autograd.Function):
    """(probabilities, batch, differentiable) -> F-scores, and the four sums; float64, C each.

    One class at a time, its gradient with its value: the many maps of two classes are never in memory together.
    """

    @staticmethod
    def forward(ctx: Any, probabilities: Tensor, batch: _EdgeBatch, differentiable: bool) -> tuple[Tensor, ...]:
        results = torch.zeros(5, probabilities.shape[1], dtype=torch.float64, device=probabilities.device)  # 5 C
        gradient = torch.zeros_like(probabilities) if differentiable else None  # N C H W
        for index in batch.counted:
            with torch.set_grad_enabled(differentiable):
                probability = probabilities[:, index].detach().requires_grad_(differentiable)  # N H W
                sums = _sum_edges(probability, batch.edges & (batch.labels == index), batch)
                score = f_score(sums)
            if gradient is not None:
                gradient[:, index] = torch.autograd.grad(score, probability)[0]
            results[:, index] = torch.stack([score, *sums]).detach()
        ctx.save_for_backward(gradient)
        scores, *others = results.unbind()
        ctx.mark_non_differentiable(*others)
        return scores, *others

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0].to(gradient.dtype).view(1, -1, 1, 1), None, None


def _sum_edges(probability: Tensor, labelled: Tensor, batch: _EdgeBatch) -> EdgeSums:
    """Return the four sums of one class; its soft edge is the exclusive or of the probability and its erosion."""
    and_here, and_eroded, or_here, or_eroded = batch.curves
    eroded = -spread(-probability, 1)  # N H W
    here, there = or_here(probability), or_eroded(eroded)  # N H W
    predicted = here + there - here * there - and_here(probability) * and_eroded(eroded)  # N H W
    target = labelled.to(predicted.dtype)  # N H W
    near_label, near_predicted = (spread(maps, batch.tolerance) for maps in (target, predicted))  # N H W
    products = (predicted, predicted * near_label, target, near_predicted * target)
    return EdgeSums(*(product.sum(dtype=torch.float64) for product in products))
