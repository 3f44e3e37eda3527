"""Recall loss: cross entropy weighted by how much of each class is missed."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.losses.parts.shapes import ClassWeights, Labels, Logits, void_of
from segablate.losses.parts.sharing import shared
from segablate.objective.loss import Parts, loss
from segablate.objective.processes import summed
from segablate.objective.ranges import Choice, Range

_SCALE = "the weights of all classes grow or shrink together, unless reduction=weights divides it out"


def running_weights(
    logits: Tensor, labels: Tensor, previous: Mapping[str, Tensor] | None, **settings: Any
) -> dict[str, Tensor]:
    """Return what training carries: with a momentum the running weights, else nothing."""
    if not settings["momentum"]:
        return {}
    known = {name: settings[name] for name in ("momentum", "floor", "prior_hits", "prior_misses")}
    return {"weights": recall_weights(logits, labels, previous["weights"] if previous else None, **known)}


@loss(
    paper="Tian et al., Striking the Right Balance: Recall Loss for Semantic Segmentation, ICRA 2022, arXiv:2106.14917",
    incomparable={
        "floor": _SCALE,
        "prior_hits": _SCALE,
        "prior_misses": _SCALE,
        "reduction": "the three divisors give values of different scale",
    },
    summed=True,
    carry=running_weights,
    opaque=True,
    bounds=(0, None),
)
def recall(
    logits: Logits,
    labels: Labels,
    *,
    weights: ClassWeights | None = None,
    floor: Annotated[
        float, Range(0, 1e9, grid=(0, 1, 10, 100, 1000), help="lower limit of the numbers of misses and of pixels")
    ] = 1,
    prior_hits: Annotated[
        float,
        Range(
            0,
            1e12,
            grid=(0, 1, 10, 100, 1000, 10000),
            help="smoothing of recall: pixels added to the hits of each class",
        ),
    ] = 0,
    prior_misses: Annotated[
        float,
        Range(
            0,
            1e12,
            grid=(0, 1, 10, 100, 1000, 10000),
            help="smoothing of recall: pixels added to the misses of each class",
        ),
    ] = 0,
    scope: Annotated[str, Choice("batch", "image", help="pixels over which recall is counted")] = "batch",
    reduction: Annotated[
        str, Choice("valid", "all", "weights", help="divisor: labelled pixels, all pixels or the sum of the weights")
    ] = "valid",
    momentum: Annotated[
        float,
        Range(
            0,
            1,
            grid=(0, 0.5, 0.9, 0.99),
            open_high=True,
            training=True,
            help="smoothing of the weights over batches in training: the share of the earlier ones",
        ),
    ] = 0,
) -> Parts:
    """Cross entropy in which each class is weighted by the share of its pixels that is missed.

    Formula:
        L = -(1/D) Σ_{i∈V} w_{t_i} ln softmax(z_i)[t_i],    w_c = max(FN_c + b, f) / max(N_c + a + b, f)

        V are the labelled pixels, N_c those of class c and FN_c those of them predicted (argmax) as another class; a
        is prior_hits, b prior_misses and f floor, in pixels. D is |V|, with reduction=all the number of all pixels,
        with reduction=weights Σ_{i∈V} w_{t_i}. With scope=image each image has its own counts and D, and the images
        with a labelled pixel are averaged. In nats. No gradient flows through the weights.

    In training with a momentum m the weights are carried over batches, w̄_c ← (1 - m) w_c + m w̄_c for the classes that
    are labelled. Weights can also be passed in; floor and the priors are then unused.

    Differs from the authors' code:
        Void pixels are left out of counts, loss and divisor (the authors' training code divides by all pixels, which
        is reduction=all, and fails on void). Their variant with running weights divides by the sum of the weights. The
        paper's weight is 1 - recall: floor=0.
    """
    images = labels.shape[0] if scope == "image" else 1
    across = summed if scope == "batch" else _alone
    with torch.no_grad():
        misses, pixels = _counts(logits, labels)  # N C each
    misses, pixels = (across(counts.reshape(images, -1, counts.shape[1]).sum(1)) for counts in (misses, pixels))
    if weights is None:
        by_group = _weights(misses, pixels, floor, prior_hits, prior_misses)
    else:
        by_group = weights.detach().double().expand_as(misses)
    entropy = _entropy_by_class(logits, labels, images)
    divisor = {
        "valid": pixels.sum(1).clamp(min=1),
        "all": across(torch.tensor(labels.numel() // images, device=labels.device)),
        "weights": _positive((by_group * pixels).sum(1)),
    }[reduction]
    defined = pixels.sum(1) > 0
    groups = defined.sum() if scope == "batch" else summed(defined.sum())
    per_class = (by_group * entropy).T / divisor / groups.clamp(min=1)  # C groups
    seen = pixels.sum(0)
    return Parts(
        per_class.sum().to(logits.dtype),
        defined.any(),
        per_class=per_class.detach().sum(1).where(seen > 0, torch.nan),
        sums={"misses": misses.sum(0), "pixels": seen},
    )


def recall_weights(
    logits: Logits,
    labels: Labels,
    previous: ClassWeights | None = None,
    momentum: float = 0.0,
    *,
    floor: float = 1,
    prior_hits: float = 0,
    prior_misses: float = 0,
) -> ClassWeights:
    """Return the class weights of this batch, C, smoothed with those of earlier batches.

    w̄_c ← (1 - m) w_c + m w̄_c for the classes labelled here; the others keep theirs. Without ``previous``, the weights
    are those of this batch. Detached, at least float32; pass the result to :data:`recall` and to the next call.
    """
    misses, pixels = (summed(counts.sum(0)) for counts in _counts(logits.detach(), labels))
    fresh = _weights(misses, pixels, floor, prior_hits, prior_misses).to(
        torch.promote_types(logits.dtype, torch.float32)
    )
    if previous is None:
        return fresh
    return torch.where(pixels > 0, (1 - momentum) * fresh + momentum * previous, previous.to(fresh.dtype))


@shared
def _counts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Count the misses and labelled pixels of each image and class, N C each."""
    images, classes = logits.shape[:2]
    valid = labels != void_of(logits)
    image = torch.arange(images, device=labels.device).view(-1, 1, 1)  # N 1 1
    pair = (image * classes + labels.long()) * classes + logits.argmax(1)  # N H W
    cells = images * classes * classes
    # void pixels fall into one more cell, which is cut off: a selection would have to wait for the device
    counts = torch.bincount(pair.where(valid, cells).flatten(), minlength=cells + 1)[:cells]
    counts = counts.view(images, classes, classes)  # N C C
    pixels = counts.sum(2)  # N C
    return pixels - counts.diagonal(dim1=1, dim2=2), pixels


def _weights(misses: Tensor, pixels: Tensor, floor: float, hits: float, missed: float) -> Tensor:
    """Return w = max(FN + b, f) / max(N + a + b, f) in float64; 1, which is unused, where both are 0."""
    above = (misses.double() + missed).clamp(min=floor)  # groups C
    below = (pixels.double() + hits + missed).clamp(min=floor)  # groups C
    return torch.where(below > 0, above / _positive(below), 1)


@shared
def _entropy_by_class(logits: Tensor, labels: Tensor, groups: int) -> Tensor:
    """Sum the cross entropy over the pixels of each group of images and class, groups C in float64."""
    classes = logits.shape[1]
    void = void_of(logits)
    entropy = F.cross_entropy(logits, labels.long(), ignore_index=void, reduction="none")  # N H W, 0 where void
    group = torch.arange(groups, device=labels.device).repeat_interleave(labels.numel() // groups)  # N·H·W
    cell = group * classes + labels.long().where(labels != void, 0).flatten()  # N·H·W
    zeros = torch.zeros(groups * classes, dtype=torch.float64, device=entropy.device)
    return zeros.index_add(0, cell, entropy.flatten().double()).view(groups, classes)


def _alone(counts: Tensor) -> Tensor:
    return counts


def _positive(divisor: Tensor) -> Tensor:
    """Return the divisor, 1 where it is 0, so that 0 over 0 is 0."""
    return divisor.where(divisor > 0, 1)
