"""Cross entropy: minus the logarithm of the softmax at the label, mean over labelled pixels."""

from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = ()


def ce(logits: Tensor, labels: Tensor, *, weights: Tensor | None = None) -> Tensor:
    target = one_hot(logits, labels)  # N C H W
    if weights is not None:
        target = target * weights.view(1, -1, 1, 1)
    return -(target * logits.log_softmax(1)).sum() / (target.sum() if weights is not None else (labels != IGNORE).sum())
