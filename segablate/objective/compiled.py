"""Losses as one operator of ``torch.compile``, where their code depends on data or is long to trace.

The operator computes value and gradients when it is called, as the loss does outside a compiled function; the backward
pass multiplies. So a model and its loss compile as one graph, whatever the loss.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from segablate.objective.catalogue import get_loss
from segablate.objective.loss import Loss

_PAIRS = "edge_net"
"""The input that is a sequence of pairs of tensors."""


def described(loss: Loss, settings: Mapping[str, Any]) -> str:
    """Return a loss and its settings as the text that the operator takes."""
    return json.dumps({"loss": loss.name, "settings": dict(settings)})


def value_in_graph(text: str, logits: Tensor, labels: Tensor, inputs: Mapping[str, Any]) -> Tensor:
    """Return the value of a described loss, 0-dim, by one operator; logits are N C H W float32."""
    tensors: list[Tensor] = [logits]
    for name, given in inputs.items():
        tensors += [each for pair in given for each in pair] if name == _PAIRS else [given]
    wanted = [torch.is_grad_enabled() and each.requires_grad for each in tensors]
    return _evaluated(tensors, labels, text, ",".join(inputs), wanted)[0]


@torch.library.custom_op("segablate::evaluated", mutates_args=())
def _evaluated(
    tensors: list[Tensor], labels: Tensor, text: str, names: str, wanted: list[bool]
) -> tuple[Tensor, list[Tensor]]:
    """Return the value, and the gradient of each tensor, logits first, or an empty one where none is wanted."""
    found = json.loads(text)
    loss = get_loss(found["loss"])
    settings = {name: loss.knobs[name].check(value) for name, value in found["settings"].items()}
    with _tracked():
        leaves = [each.detach().requires_grad_(want) for each, want in zip(tensors, wanted, strict=True)]
        value = loss(leaves[0], labels, **_by_name(names.split(",") if names else [], leaves[1:]), **settings)
        asked = [leaf for leaf, want in zip(leaves, wanted, strict=True) if want]
        found = iter(torch.autograd.grad(value, asked, allow_unused=True) if asked else ())
    gradients = [
        _gradient(leaf, next(found)) if want else leaf.new_empty(0) for leaf, want in zip(leaves, wanted, strict=True)
    ]
    return value.detach().clone(), gradients


@_evaluated.register_fake
def _(tensors: list[Tensor], labels: Tensor, text: str, names: str, wanted: list[bool]) -> tuple[Tensor, list[Tensor]]:
    gradients = [each.new_empty(each.shape if want else 0) for each, want in zip(tensors, wanted, strict=True)]
    return tensors[0].new_empty(()), gradients


def _gradient(leaf: Tensor, gradient: Tensor | None) -> Tensor:
    return torch.zeros_like(leaf).contiguous() if gradient is None else gradient.contiguous()


@contextmanager
def _tracked() -> Iterator[None]:
    """Let autograd record what happens inside, which it does not within an operator."""
    keys = torch._C.DispatchKey.AutogradFunctionality, torch._C.DispatchKey.ADInplaceOrView
    with ExitStack() as stack:
        for key in keys:
            stack.enter_context(torch._C._SetExcludeDispatchKeyGuard(key, False))  # type: ignore[attr-defined]
        stack.enter_context(torch.enable_grad())
        yield


def _keep(ctx: Any, inputs: Any, output: tuple[Tensor, list[Tensor]]) -> None:
    ctx.save_for_backward(*output[1])
    ctx.wanted = inputs[4]


def _backward(ctx: Any, of_value: Tensor, _: Any) -> tuple[Any, ...]:
    kept = zip(ctx.saved_tensors, ctx.wanted, strict=True)
    return [of_value * gradient if want else None for gradient, want in kept], None, None, None, None


_evaluated.register_autograd(_backward, setup_context=_keep)


def _by_name(names: list[str], tensors: list[Tensor]) -> dict[str, Any]:
    left, found = list(tensors), {}
    for place, name in enumerate(names):
        if name == _PAIRS:
            count = len(left) - (len(names) - place - 1)
            flat, left = left[:count], left[count:]
            found[name] = tuple(zip(flat[::2], flat[1::2], strict=True))
        else:
            found[name] = left.pop(0)
    return found
