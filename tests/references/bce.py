"""Binary cross entropy: torch's own, summed over the classes and averaged over labelled pixels."""

import torch.nn.functional as F
from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = ({"classes": "mean"}, {"extra": 1.0}, {"extra": 37.5}, {"classes": "mean", "extra": 1.0})


def bce(logits: Tensor, labels: Tensor, *, classes: str = "sum", extra: float = 0.0) -> Tensor:
    return by_class(logits, labels, classes=classes, extra=extra).sum()


def by_class(logits: Tensor, labels: Tensor, *, classes: str, extra: float) -> Tensor:
    """What each class adds to the value."""
    valid = (labels != IGNORE).unsqueeze(1)
    each = F.binary_cross_entropy_with_logits(logits, one_hot(logits, labels), reduction="none")
    total = (each * valid).sum((0, 2, 3)) / (valid.sum() + extra)
    return total / logits.shape[1] if classes == "mean" else total
