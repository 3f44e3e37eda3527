"""Feature consistency: the affinities of all pairs of cells in a matrix, the three kinds of pairs by masks."""

import torch
from torch import Tensor

from references import IGNORE

EPSILON = 1e-5
SETTINGS = (
    {"radius": 1},
    {"radius": 2, "background": 2},
    {"radius": 100},
    {"background": 1},
    {"background": None},
)


def feature_consistency(
    logits: Tensor, labels: Tensor, *, features: Tensor, radius: int = 4, background: int | None = 0
) -> Tensor:
    height, width = features.shape[2:]
    rows, columns = (torch.arange(n) * side // n for n, side in zip((height, width), labels.shape[1:], strict=True))
    label = labels[:, rows][:, :, columns].flatten(1)  # at the nearest pixel, N M
    cells = features.flatten(2)
    affinity = torch.exp(-(cells.unsqueeze(3) - cells.unsqueeze(2)).abs().mean(1))  # N M M
    row, column = torch.arange(height).repeat_interleave(width), torch.arange(width).repeat(height)
    apart = torch.maximum((row.view(-1, 1) - row).abs(), (column.view(-1, 1) - column).abs())
    known = label != IGNORE
    pairs = known.unsqueeze(2) & known.unsqueeze(1) & (apart > 0) & (apart <= radius)
    equal = label.unsqueeze(2) == label.unsqueeze(1)
    ground = equal & (label == (-1 if background is None else background)).unsqueeze(1)
    alike, unlike = -(affinity + EPSILON).log(), -(1 + EPSILON - affinity).log()
    kinds = ((0.25, alike, ground), (0.25, alike, equal & ~ground), (0.5, unlike, ~equal))
    return sum(share * mean_over(each, pairs & kind) for share, each, kind in kinds)  # type: ignore[return-value]


def mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """0 where nothing is chosen."""
    return values[chosen].sum() / chosen.sum().clamp(min=1)
