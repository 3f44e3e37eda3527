"""Batch norm in training: statistics of the batch, frozen, or of the whole batch over all processes.

torch's synchronised batch norm refuses the CPU; this one needs nothing but sums over processes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Add = Callable[[Tensor], Tensor]
"""The sum of a tensor over all processes."""

_NORMS = nn.modules.batchnorm._BatchNorm


def freeze(module: nn.Module) -> None:
    """Fix statistics, scale and shift of every batch norm."""
    for part in module.modules():
        if isinstance(part, _NORMS):
            part.eval()
            for parameter in part.parameters(recurse=False):
                parameter.requires_grad_(False)


def set_momentum(module: nn.Module, momentum: float) -> None:
    """Set the share of a batch in the running statistics of every batch norm."""
    for part in module.modules():
        if isinstance(part, _NORMS):
            part.momentum = momentum


def synchronise(module: nn.Module, add: Add) -> None:
    """Let every batch norm take its statistics over the batches of all processes, in place; keys stay as they are."""
    for part in module.modules():
        if isinstance(part, _NORMS):
            part.forward = _Synchronised(part, add)  # type: ignore[method-assign]


class _Synchronised:
    """The forward pass of a batch norm over all processes."""

    def __init__(self, norm: Any, add: Add) -> None:
        self.norm, self.add = norm, add

    def __call__(self, x: Tensor) -> Tensor:
        norm = self.norm
        if not norm.training:
            return nn.functional.batch_norm(
                x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
            )
        y, mean, variance, count = _Normalise.apply(x, norm.eps, self.add)  # type: ignore[misc]
        self._track(mean, variance, count)
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return y if norm.weight is None else y * norm.weight.view(shape) + norm.bias.view(shape)

    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        norm = self.norm
        if norm.running_mean is None:
            return
        with torch.no_grad():
            norm.num_batches_tracked += 1
            share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            unbiased = variance * count / (count - 1).clamp(min=1)
            norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
            norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), share)


class _Normalise(torch.autograd.Function):
    """(x N C ..., eps, add) -> normalised x; mean C, variance C and count over all processes, without gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float, add: Add) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        lifted = x.double()
        count = torch.full((1,), x.numel() / x.shape[1], dtype=torch.float64, device=x.device)
        sums = add(torch.cat([lifted.sum(axes), lifted.square().sum(axes), count]))
        first, second = sums[:-1].chunk(2)
        count = sums[-1]
        mean = first / count  # C
        variance = (second / count - mean.square()).clamp(min=0)  # C
        shape = (1, -1) + (1,) * (x.ndim - 2)
        scale = (variance + eps).rsqrt()  # C
        y = ((lifted - mean.view(shape)) * scale.view(shape)).to(x.dtype)
        ctx.save_for_backward(y, scale, count)
        ctx.add, ctx.axes, ctx.shape = add, axes, shape
        ctx.mark_non_differentiable(mean, variance, count)
        return y, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        y, scale, count = ctx.saved_tensors
        gradient = upstream[0].double()
        lifted = y.double()
        sums = ctx.add(torch.cat([gradient.sum(ctx.axes), (gradient * lifted).sum(ctx.axes)]))
        first, second = (part.view(ctx.shape) / count for part in sums.chunk(2))
        result = scale.view(ctx.shape) * (gradient - first - lifted * second)
        return result.to(y.dtype), None, None
