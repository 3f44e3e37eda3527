"""Soft Dice: one minus twice the overlap over the sum of both areas, mean over the labelled classes."""

import torch
from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = ({"smooth": 0.0}, {"smooth": 7.5}, {"smooth": 100.0})


def dice(logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, smooth: float = 1.0) -> Tensor:
    return by_class(logits, labels, weights=weights, smooth=smooth).nanmean()


def by_class(logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, smooth: float) -> Tensor:
    target = one_hot(logits, labels)
    p = logits.softmax(1) * (labels != IGNORE).unsqueeze(1)
    pixels = target.sum((0, 2, 3))
    each = 1 - (2 * (p * target).sum((0, 2, 3)) + smooth) / (p.sum((0, 2, 3)) + pixels + smooth)
    return (each if weights is None else weights * each).where(pixels > 0, torch.nan)
