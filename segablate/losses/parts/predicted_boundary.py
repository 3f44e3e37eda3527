"""The predicted boundary: seeds where neighbouring predictions differ most, and the pixels around them."""

import sys
from functools import cache

import torch
from torch import Tensor

from segablate.objective.processes import summed, sums

FIRST, FACTOR = 1e-5, 1.2
"""The first threshold, and the factor from one to the next: 1e-5, 1.2e-5, 1.44e-5, ..."""

_CACHED = 1 << 18
"""Probabilities computed at once by each thread of a CPU: few enough for its cache."""

_AT_ONCE = 1 << 26
"""Probabilities computed at once on other devices: a bound on memory."""


def values_at_once(device: torch.device) -> int:
    """Return the number of probabilities to compute at once."""
    return torch.get_num_threads() * _CACHED if device.type == "cpu" else _AT_ONCE


def divergences(logits: Tensor) -> Tensor:
    """Return KL(p_i ‖ p_below) + KL(p_i ‖ p_right) of the softmax p, N H W in nats; 0 for a neighbour outside.

    `logits`: N C H W. Computed a few rows at a time, so that no tensor as large as the logits is allocated.
    """
    images, classes, height, width = logits.shape
    total = logits.new_empty(images, height, width)  # N H W
    rows = max(values_at_once(logits.device) // (images * classes * width), 1)
    for start in range(0, height, rows):
        block = logits[:, :, start : start + rows + 1].log_softmax(1)  # N C rows+1 W: one more, for the row below
        here = block[:, :, : min(rows, height - start)]  # N C rows W
        change = torch.zeros_like(here)  # N C rows W
        change[..., :-1] = here[..., :-1] - here[..., 1:]
        below = block[:, :, 1:]
        change[:, :, : below.shape[2]] += here[:, :, : below.shape[2]] - below
        total[:, start : start + rows] = change.mul_(here.exp()).sum(1)
    return total


def select_seeds(divergence: Tensor, budget: float, pooled: bool) -> Tensor:
    """Return the pixels above the first threshold that few enough pixels exceed, N H W bool.

    Few enough is at most `budget` times the pixels of one image, counted in each image, or in the whole batch if
    `pooled`. The threshold follows from one selection: it is the first that is not below the largest divergence that
    must not be a seed.
    """
    images, height, width = divergence.shape
    groups = divergence.reshape(1 if pooled else images, -1)  # groups pixels
    most = int(height * width * budget)
    thresholds = _thresholds(divergence.dtype, divergence.device)
    if pooled and sums():
        return divergence > _threshold_by_counts(groups[0], thresholds, most)
    if most >= groups.shape[1]:
        return divergence > thresholds[0]
    left_out = groups.topk(most + 1).values[:, -1:]  # groups 1
    place = torch.searchsorted(thresholds, left_out.contiguous()).clamp(max=len(thresholds) - 1)  # groups 1
    return (groups > thresholds[place]).view_as(divergence)


def _threshold_by_counts(divergence: Tensor, thresholds: Tensor, most: int) -> Tensor:
    """Return the lowest threshold that at most `most` divergences exceed, counted over all processes."""
    above = torch.searchsorted(thresholds, divergence.contiguous())  # N·H·W: number of thresholds below each
    counts = summed(torch.bincount(above, minlength=len(thresholds) + 1))
    left = counts.sum() - counts.cumsum(0)[: len(thresholds)]  # divergences above each threshold
    place = (left > most).sum().clamp(max=len(thresholds) - 1)
    return thresholds[place]


def dilated(seeds: Tensor) -> Tensor:
    """Return the seeds and their eight neighbours, N H W bool."""
    for axis in (1, 2):
        rest = seeds.shape[axis] - 1
        spread = seeds.clone()
        spread.narrow(axis, 1, rest).logical_or_(seeds.narrow(axis, 0, rest))
        spread.narrow(axis, 0, rest).logical_or_(seeds.narrow(axis, 1, rest))
        seeds = spread
    return seeds


@cache
def _thresholds(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return all thresholds up to the largest number, multiplied out in double precision as the authors do."""
    row, largest = [FIRST], min(torch.finfo(dtype).max, sys.float_info.max / FACTOR)
    while row[-1] * FACTOR <= largest:
        row.append(row[-1] * FACTOR)
    return torch.tensor(row, dtype=dtype, device=device)
