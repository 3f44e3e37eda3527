"""Soft Dice loss."""

from typing import Annotated

import torch

from segablate.losses.parts.shapes import ClassWeights, Labels, Logits, void_of
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Range


@loss(paper="Milletari, Navab and Ahmadi, V-Net, 3DV 2016, arXiv:1606.04797", bounds=(0, 1))
def dice(
    logits: Logits,
    labels: Labels,
    *,
    weights: ClassWeights | None = None,
    smooth: Annotated[float, Range(0, 1e6, grid=(0, 1, 100), help="added to numerator and denominator, in pixels")] = 1,
) -> Parts:
    """One minus the Dice coefficient of the softmax, mean over the classes that are labelled.

    Formula:
        L = mean over c of w_c [1 - (2 Σ_i p_ic y_ic + s) / (Σ_i p_ic + Σ_i y_ic + s)]

        The sums run over the labelled pixels of the batch, p is the softmax, y the one-hot label, s is smooth. 0 is
        perfect. A class without a labelled pixel is left out. w_c is the weight of class c, 1 unless weights are passed
        in; the mean divides by the number of classes, as in MONAI.

    Differs from the authors' code:
        Theirs is for one foreground class and has the squares of p in the denominator.
    """
    valid = (labels != void_of(logits)).unsqueeze(1)  # N 1 H W
    label = labels.long().where(valid[:, 0], 0).unsqueeze(1)  # N 1 H W
    probabilities = logits.softmax(1).where(valid, 0)  # N C H W
    of_label = probabilities.gather(1, label).flatten().double()  # N·H·W: probability of the label, 0 where void
    zeros = of_label.new_zeros(logits.shape[1])  # C; float64, as float32 loses digits in long sums
    overlap = zeros.index_add(0, label.flatten(), of_label)  # C
    pixels = zeros.index_add(0, label.flatten(), valid.flatten().double())  # C
    each = 1 - (2 * overlap + smooth) / (probabilities.sum((0, 2, 3)) + pixels + smooth).clamp(min=1e-12)  # C
    each = each if weights is None else each * weights
    present = pixels > 0
    value = each.where(present, 0).sum() / present.sum().clamp(min=1)
    return Parts(value.to(logits.dtype), present.any(), per_class=each.detach().where(present, torch.nan))
