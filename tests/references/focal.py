"""Focal loss: cross entropy of the softmax weighted by a power of one minus the probability of the label."""

from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = (
    {"gamma": 0.0},
    {"gamma": 0.5},
    {"gamma": 1.0},
    {"gamma": 5.0},
    {"alpha": 0.25},
    {"alpha": 0.6, "gamma": 3.0},
)


def focal(
    logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, gamma: float = 2.0, alpha: float | None = None
) -> Tensor:
    log_p = logits.log_softmax(1)
    target = one_hot(logits, labels) if weights is None else one_hot(logits, labels) * weights.view(1, -1, 1, 1)
    each = target * (1 - log_p.exp()) ** gamma * log_p
    return -(1 if alpha is None else alpha) * each.sum() / (labels != IGNORE).sum()
