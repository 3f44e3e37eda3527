"""Scores in 32 bits: those of 64 bits that are beyond their range keep the class of the highest."""

import torch
from torch import Tensor

_LARGE = 1e4
"""What such scores are read as, positive or negative: a sigmoid or softmax of it is 0 or 1."""


def in_float32(scores: Tensor) -> Tensor:
    """Return scores N, K, h, w as float32."""
    return narrowed(scores)[0]


def narrowed(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores N, K, h, w as float32, and the number of pixels with one beyond its range of each image, (N,).

    There all scores are limited to ±10 000, and the highest, if it is beyond that, is 5 000 higher than others can be.
    """
    narrow = scores.float()
    if scores.dtype != torch.float64:
        return narrow, torch.zeros(len(scores), dtype=torch.int64)
    pixels = (narrow.isinf() & scores.isfinite()).any(dim=1, keepdim=True)  # N 1 h w
    counts = pixels.sum(dim=(1, 2, 3))
    if not scores.is_cuda and not bool(counts.any()):
        return narrow, counts
    highest = scores.amax(dim=1, keepdim=True)  # N 1 h w
    limited = scores.clamp(-_LARGE, _LARGE)
    lifted = limited.where((scores != highest) | (highest.abs() <= _LARGE), limited + _LARGE / 2)
    return narrow.where(~pixels, lifted.float()), counts
