"""Lovász-softmax, as its authors compute it: sorted errors times the differences of the Jaccard loss."""

import torch
from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = ({"scope": "image"},)


def lovasz(logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, scope: str = "batch") -> Tensor:
    return _weighted(_by_group(logits, labels, scope), weights).nanmean(1).nanmean()


def by_class(logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, scope: str) -> Tensor:
    return _weighted(_by_group(logits, labels, scope), weights).nanmean(0)


def _weighted(each: Tensor, weights: Tensor | None) -> Tensor:
    return each if weights is None else each * weights


def _by_group(logits: Tensor, labels: Tensor, scope: str) -> Tensor:
    """G C: the batch as one group, or every image as its own."""
    size = len(labels) if scope == "batch" else 1
    groups = zip(logits.split(size), labels.split(size), strict=True)
    return torch.stack([_of_group(*group) for group in groups])


def _of_group(logits: Tensor, labels: Tensor) -> Tensor:
    """C, nan for a class without a labelled pixel."""
    valid = (labels != IGNORE).flatten()
    p = logits.softmax(1).transpose(0, 1).flatten(1)[:, valid]
    target = one_hot(logits, labels).transpose(0, 1).flatten(1)[:, valid]
    losses = []
    for foreground, probability in zip(target, p, strict=True):
        if foreground.sum() == 0:
            losses.append(p.new_tensor(torch.nan))
            continue
        errors, order = (foreground - probability).abs().sort(descending=True)
        hit = foreground[order]
        jaccard = 1 - (hit.sum() - hit.cumsum(0)) / (hit.sum() + (1 - hit).cumsum(0))
        steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
        losses.append((errors * steps).sum())
    return torch.stack(losses)
