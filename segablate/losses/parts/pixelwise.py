"""Values of single pixels, N H W, of the losses that are means over labelled pixels; 0 where void.

The loss is their sum over its divisor, see the loss of each name.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.losses.parts.shapes import void_of


def ce_of_pixels(
    logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Return the cross entropy of each pixel, weighted by its class, N H W."""
    weights = None if weights is None else weights.to(logits.dtype)
    return F.cross_entropy(
        logits, labels.long(), weights, ignore_index=void_of(logits), reduction="none", label_smoothing=label_smoothing
    )


def bce_of_pixels(logits: Tensor, labels: Tensor, *, classes: str = "sum", extra: float = 0) -> Tensor:
    """Return the binary cross entropies of each pixel, added or averaged over classes, N H W; `extra` is of means."""
    valid = (labels != void_of(logits)).unsqueeze(1)  # N 1 H W
    label = labels.long().where(valid[:, 0], 0).unsqueeze(1)  # N 1 H W
    signed = logits.scatter(1, label, -logits.gather(1, label))  # N C H W
    each = F.softplus(signed).where(valid, 0)
    return each.sum(1) if classes == "sum" else each.mean(1)


def focal_of_pixels(
    logits: Tensor, labels: Tensor, *, weights: Tensor | None = None, gamma: float = 2, alpha: float | None = None
) -> Tensor:
    """Return the focal loss of each pixel, N H W."""
    target = labels.long()
    log_p = -F.cross_entropy(logits, target, ignore_index=void_of(logits), reduction="none")  # N H W, 0 where void
    # above 0, where a power below 1 has no finite slope
    miss = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)  # N H W
    each = -(miss**gamma * log_p)  # N H W
    if weights is not None:
        each = each * weights.to(logits.dtype)[target.where(labels != void_of(logits), 0)]
    return each if alpha is None else alpha * each
