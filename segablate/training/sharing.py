"""What the processes that train together tell each other in a step: as few messages as there can be."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segablate.runtime import Team


def agree(team: Team, device: torch.device, *facts: bool) -> list[bool]:
    """Return for each fact whether it holds in any process; all processes wait for each other."""
    if team.size == 1:
        return list(facts)
    counts = team.add(torch.tensor([*facts, True], dtype=torch.int32, device=device)).tolist()
    return [bool(count) for count in counts[:-1]]


def share_step(loss: Tensor, parameters: Sequence[Tensor], statistics: Sequence[Tensor], team: Team) -> bool:
    """Give all processes the mean of the gradients and of the running statistics, in place.

    Returns whether the loss, 0-dim, is finite in every process. A parameter without a gradient in any process keeps
    none. One message, and one wait for the device.
    """
    if team.size == 1:
        return bool(loss.isfinite())
    gradients = [parameter.grad for parameter in parameters]
    used = torch.tensor([gradient is not None for gradient in gradients], dtype=torch.float32, device=loss.device)
    filled = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
    tensors = [(~loss.isfinite()).view(1), used, *filled, *statistics]
    total = team.add(torch.cat([tensor.flatten().float() for tensor in tensors]))
    broken, used, *means = (total / team.size).split([tensor.numel() for tensor in tensors])
    anywhere = (torch.cat([broken, used]) > 0).tolist()
    for parameter, mean, wanted in zip(parameters, means, anywhere[1:], strict=False):
        parameter.grad = mean.view_as(parameter).to(parameter.dtype) if wanted else None
    for buffer, mean in zip(statistics, means[len(parameters) :], strict=True):
        buffer.copy_(mean.view_as(buffer))
    return not anywhere[0]
