"""Where neighbouring predictions differ most: the seeds of a predicted boundary, and the boundary around them."""

import sys
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

FIRST, FACTOR = 1e-5, 1.2
"""The thresholds that are tried: 1e-5, 1.2e-5, 1.44e-5, ..."""


def divergences(log_probabilities: Tensor) -> Tensor:
    """KL(p_i ‖ p_below) + KL(p_i ‖ p_right), N H W in nats; a neighbour outside the image adds nothing.

    `log_probabilities`: N C H W. One class at a time, so that nothing as large as the logits is made.
    """
    total = log_probabilities.new_zeros(log_probabilities[:, 0].shape)
    for below in log_probabilities.unbind(1):
        probability = below.exp()
        total[:, :-1].addcmul_(probability[:, :-1], below[:, :-1] - below[:, 1:])
        total[:, :, :-1].addcmul_(probability[:, :, :-1], below[:, :, :-1] - below[:, :, 1:])
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
    if most >= groups.shape[1]:
        return divergence > thresholds[0]
    left_out = groups.topk(most + 1).values[:, -1:]
    place = torch.searchsorted(thresholds, left_out.contiguous()).clamp(max=len(thresholds) - 1)
    return (groups > thresholds[place]).view_as(divergence)


def dilated(seeds: Tensor) -> Tensor:
    """The seeds and their eight neighbours, N H W bool."""
    return F.max_pool2d(seeds.float(), 3, 1, 1) > 0


@cache
def _thresholds(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The row up to the largest number there is, multiplied out in double precision as the authors do."""
    row, largest = [FIRST], min(torch.finfo(dtype).max, sys.float_info.max / FACTOR)
    while row[-1] * FACTOR <= largest:
        row.append(row[-1] * FACTOR)
    return torch.tensor(row, dtype=dtype, device=device)
