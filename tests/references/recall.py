"""Recall loss: class weights from counts of the argmax, then weighted cross entropy."""

import torch
from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = (
    {"floor": 0.0},
    {"floor": 30.0},
    {"floor": 300.0},
    {"prior_hits": 20.0},
    {"prior_hits": 500.0},
    {"prior_misses": 7.0},
    {"prior_misses": 50.0},
    {"prior_hits": 5.0, "prior_misses": 7.0, "floor": 9.0},
    {"scope": "image"},
    {"reduction": "all"},
    {"reduction": "weights"},
    {"scope": "image", "reduction": "all", "prior_misses": 3.0},
    {"scope": "image", "reduction": "weights", "floor": 5.0},
)


def recall(
    logits: Tensor,
    labels: Tensor,
    *,
    weights: Tensor | None = None,
    floor: float = 1.0,
    prior_hits: float = 0.0,
    prior_misses: float = 0.0,
    scope: str = "batch",
    reduction: str = "valid",
    momentum: float = 0.0,
) -> Tensor:
    counted = {"weights": weights, "floor": floor, "prior_hits": prior_hits, "prior_misses": prior_misses}
    return by_class(logits, labels, scope=scope, reduction=reduction, **counted).nansum()


def by_class(logits: Tensor, labels: Tensor, *, scope: str, **settings) -> Tensor:
    """What each class adds to the value: a mean over the groups that have a labelled pixel, the batch or each image."""
    size = len(labels) if scope == "batch" else 1
    groups = [(z, t) for z, t in zip(logits.split(size), labels.split(size), strict=True) if (t != IGNORE).any()]
    each = torch.stack([_of_group(*group, **settings) for group in groups]).mean(0)
    return each.where(one_hot(logits, labels).sum((0, 2, 3)) > 0, torch.nan)


def _of_group(
    logits: Tensor,
    labels: Tensor,
    *,
    weights: Tensor | None,
    floor: float,
    prior_hits: float,
    prior_misses: float,
    reduction: str,
    momentum: float = 0.0,
) -> Tensor:
    predicted, classes = logits.argmax(1), range(logits.shape[1])
    missed = torch.stack([((labels == c) & (predicted != c)).sum() for c in classes]).to(logits.dtype)
    pixels = torch.stack([(labels == c).sum() for c in classes]).to(logits.dtype)
    if weights is None:
        above, below = missed + prior_misses, pixels + prior_hits + prior_misses
        weights = (above.clamp(min=floor) / below.clamp(min=floor)).nan_to_num(1)  # 0/0: a class that is not there
    divisor = {"valid": pixels.sum(), "all": labels.numel(), "weights": (weights * pixels).sum()}[reduction]
    entropy = -(one_hot(logits, labels) * logits.log_softmax(1)).sum(1)
    weighted = (one_hot(logits, labels) * weights.view(1, -1, 1, 1)).sum(1) * entropy  # N H W
    return torch.stack([weighted[labels == c].sum() for c in classes]) / divisor
