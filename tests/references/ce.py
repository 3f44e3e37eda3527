"""Cross entropy: minus the logarithm of the softmax at the label, mean over labelled pixels."""

from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = ({"label_smoothing": 0.1}, {"label_smoothing": 1.0})


def ce(logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, label_smoothing: float = 0.0) -> Tensor:
    hard = one_hot(logits, labels)  # N C H W
    spread = (labels != IGNORE).unsqueeze(1).to(logits.dtype) / logits.shape[1]  # N 1 H W
    target = (1 - label_smoothing) * hard + label_smoothing * spread  # N C H W
    if weights is not None:
        hard, target = hard * weights.view(1, -1, 1, 1), target * weights.view(1, -1, 1, 1)
    return -(target * logits.log_softmax(1)).sum() / (hard.sum() if weights is not None else (labels != IGNORE).sum())
