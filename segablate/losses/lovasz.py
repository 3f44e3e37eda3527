"""Lovász-softmax loss."""

from typing import Annotated

import torch
from torch import Tensor

from segablate.losses.parts.shapes import ClassWeights, Labels, Logits, void_of
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Choice


@loss(
    paper="Berman, Triki and Blaschko, The Lovász-Softmax loss, CVPR 2018, arXiv:1705.08790", opaque=True, bounds=(0, 1)
)
def lovasz(
    logits: Logits,
    labels: Labels,
    *,
    weights: ClassWeights | None = None,
    scope: Annotated[str, Choice("batch", "image", help="pixels that are sorted together")] = "batch",
) -> Parts:
    """Convex extension of one minus IoU, over the softmax, mean over the classes that are labelled.

    Formula:
        L = mean over c of w_c Σ_k m_c(k) [J_c(k) - J_c(k-1)],    m_c = |y_c - p_c| sorted, largest first

        J_c(k) is one minus the IoU of class c if its k worst pixels were wrong and all others right; p is the softmax,
        y the one-hot label, over labelled pixels. 0 is perfect, 1 the worst. A class without a labelled pixel is left
        out. With scope=image each image is sorted by itself and those with a labelled pixel are averaged. w_c is the
        weight of class c, 1 unless weights are passed in; the mean divides by the number of classes, as in
        mmsegmentation.

    Differs from the authors' code:
        The steps of J are written out rather than subtracted, which loses no digits on large images.
    """
    probabilities = logits.softmax(1)  # N C H W
    groups = probabilities.split(1) if scope == "image" else (probabilities,)
    targets = labels.split(1) if scope == "image" else (labels,)
    each = torch.stack([_each_class(p, t) for p, t in zip(groups, targets, strict=True)])  # groups C, nan if absent
    each = each if weights is None else each * weights.to(each.dtype)
    present = ~each.isnan()  # groups C
    count = present.sum(1)  # groups
    means = each.where(present, 0).sum(1) / count.clamp(min=1)  # groups
    value = means.sum() / (count > 0).sum().clamp(min=1)
    value = value + 0 * probabilities.flatten()[0]  # attached to the graph even if all pixels are void
    return Parts(value, present.any(), per_class=each.detach().nanmean(0))


def _each_class(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of every class, C, over the valid pixels of these images; nan for an unlabelled class."""
    valid = labels != void_of(probabilities)  # N H W bool
    classes = probabilities.shape[1]
    pixels = torch.bincount(labels.long().where(valid, classes).flatten(), minlength=classes + 1).tolist()
    each = []
    for index, probability in enumerate(probabilities.unbind(1)):
        if not pixels[index]:
            each.append(probabilities.new_full((), torch.nan))
            continue
        positive = labels == index
        error = (positive.to(probability.dtype) - probability).abs()  # N H W
        steps = _steps(error.detach().where(valid, -1).flatten(), positive.flatten())  # N·H·W
        each.append((error.where(valid, 0).flatten() * steps).sum())
    return torch.stack(each)


def _steps(error: Tensor, positive: Tensor) -> Tensor:
    """Return by how much one minus IoU grows when each pixel turns wrong after all worse ones, in pixel order.

    Void pixels have an error below all others: nothing of the intersection is left for them, their step is 0.
    """
    order = error.argsort(descending=True)  # P
    hit = positive[order]  # P
    union = (hit.sum() + (~hit).cumsum(0)).to(error.dtype)  # labelled pixels, and false positives up to this one
    kept = (hit.sum() - hit.cumsum(0)).to(error.dtype)  # intersection left after this one
    step = torch.where(hit, 1 / union, kept / (union * (union - 1)).clamp(min=1))
    return torch.empty_like(error).scatter(0, order, step)
