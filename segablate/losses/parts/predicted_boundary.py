"""Where neighbouring predictions differ most: the seeds of a predicted boundary, and the boundary around them."""

import sys
from functools import cache

import torch
from torch import Tensor

from segablate.objective.processes import summed, sums

FIRST, FACTOR = 1e-5, 1.2
"""The thresholds that are tried: 1e-5, 1.2e-5, 1.44e-5, ..."""

_CACHED = 1 << 18
"""Probabilities that are made at once on a CPU, a thread: few enough for its cache."""

_AT_ONCE = 1 << 26
"""The same elsewhere: a bound on memory."""


def values_at_once(device: torch.device) -> int:
    """How many probabilities to make at once."""
    return torch.get_num_threads() * _CACHED if device.type == "cpu" else _AT_ONCE


def divergences(logits: Tensor) -> Tensor:
    """KL(p_i ‖ p_below) + KL(p_i ‖ p_right) of the softmax p, N H W in nats; 0 for a neighbour outside the image.

    `logits`: N C H W. A few rows at a time, so that nothing as large as the logits is made.
    """
    images, classes, height, width = logits.shape
    total = logits.new_empty(images, height, width)
    rows = max(values_at_once(logits.device) // (images * classes * width), 1)
    for start in range(0, height, rows):
        block = logits[:, :, start : start + rows + 1].log_softmax(1)  # one row more, to look down at
        here = block[:, :, : min(rows, height - start)]
        change = torch.zeros_like(here)
        change[..., :-1] = here[..., :-1] - here[..., 1:]
        below = block[:, :, 1:]
        change[:, :, : below.shape[2]] += here[:, :, : below.shape[2]] - below
        total[:, start : start + rows] = change.mul_(here.exp()).sum(1)
    return total


def select_seeds(divergence: Tensor, budget: float, pooled: bool) -> Tensor:
    """Pixels above the lowest threshold of the row that leaves at most `budget` times the pixels of one image.

    Counted in each image, or in the whole batch if `pooled`. N H W bool. The threshold is found by one selection: it
    is the first of the row that is no less than the largest divergence that must not be a seed.
    """
    images, height, width = divergence.shape
    groups = divergence.reshape(1 if pooled else images, -1)
    most = int(height * width * budget)
    thresholds = _thresholds(divergence.dtype, divergence.device)
    if pooled and sums():
        return divergence > _threshold_by_counts(groups[0], thresholds, most)
    if most >= groups.shape[1]:
        return divergence > thresholds[0]
    left_out = groups.topk(most + 1).values[:, -1:]
    place = torch.searchsorted(thresholds, left_out.contiguous()).clamp(max=len(thresholds) - 1)
    return (groups > thresholds[place]).view_as(divergence)


def _threshold_by_counts(divergence: Tensor, thresholds: Tensor, most: int) -> Tensor:
    """The lowest threshold that leaves at most `most` divergences, counted over all processes."""
    above = torch.searchsorted(thresholds, divergence.contiguous())  # how many thresholds lie below each
    counts = summed(torch.bincount(above, minlength=len(thresholds) + 1))
    left = counts.sum() - counts.cumsum(0)[: len(thresholds)]  # divergences above each threshold
    place = (left > most).sum().clamp(max=len(thresholds) - 1)
    return thresholds[place]


def dilated(seeds: Tensor) -> Tensor:
    """The seeds and their eight neighbours, N H W bool."""
    for axis in (1, 2):
        rest = seeds.shape[axis] - 1
        spread = seeds.clone()
        spread.narrow(axis, 1, rest).logical_or_(seeds.narrow(axis, 0, rest))
        spread.narrow(axis, 0, rest).logical_or_(seeds.narrow(axis, 1, rest))
        seeds = spread
    return seeds


@cache
def _thresholds(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The row up to the largest number there is, multiplied out in double precision as the authors do."""
    row, largest = [FIRST], min(torch.finfo(dtype).max, sys.float_info.max / FACTOR)
    while row[-1] * FACTOR <= largest:
        row.append(row[-1] * FACTOR)
    return torch.tensor(row, dtype=dtype, device=device)
