"""Losses as one operator of ``torch.compile``, where their code depends on data and cannot be traced.

The operator computes value and gradient when it is called, as the loss does outside a compiled function; the backward
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
    """Return the value of a described loss, 0-dim, by one operator; gradients are of the logits, N C H W float32."""
    tensors: list[Tensor] = []
    for name, given in inputs.items():
        tensors += [each for pair in given for each in pair] if name == _PAIRS else [given]
    wanted = torch.is_grad_enabled() and logits.requires_grad
    return _evaluated(logits, labels, tensors, text, ",".join(inputs), wanted)[0]


@torch.library.custom_op("segablate::evaluated", mutates_args=())
def _evaluated(
    logits: Tensor, labels: Tensor, inputs: list[Tensor], text: str, names: str, wanted: bool
) -> tuple[Tensor, Tensor]:
    """Return value and gradient, N C H W, or an empty tensor where no gradient is wanted."""
    found = json.loads(text)
    loss = get_loss(found["loss"])
    settings = {name: loss.knobs[name].check(value) for name, value in found["settings"].items()}
    with _tracked():
        leaf = logits.detach().requires_grad_(wanted)
        value = loss(leaf, labels, **_by_name(names.split(",") if names else [], inputs), **settings)
        gradient = torch.autograd.grad(value, leaf)[0] if wanted else logits.new_empty(0)
    return value.detach().clone(), gradient.contiguous()


@_evaluated.register_fake
def _(logits: Tensor, labels: Tensor, inputs: list[Tensor], text: str, names: str, wanted: bool) -> tuple[Tensor, Tensor]:
    return logits.new_empty(()), logits.new_empty(logits.shape if wanted else 0)


@contextmanager
def _tracked() -> Iterator[None]:
    """Let autograd record what happens inside, which it does not within an operator."""
    keys = torch._C.DispatchKey.AutogradFunctionality, torch._C.DispatchKey.ADInplaceOrView
    with ExitStack() as stack:
        for key in keys:
            stack.enter_context(torch._C._SetExcludeDispatchKeyGuard(key, False))  # type: ignore[attr-defined]
        stack.enter_context(torch.enable_grad())
        yield


def _keep(ctx: Any, inputs: Any, output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])
    ctx.tensors = len(inputs[2])


def _backward(ctx: Any, of_value: Tensor, _: Tensor) -> tuple[Any, ...]:
    (gradient,) = ctx.saved_tensors
    return of_value * gradient, None, [None] * ctx.tensors, None, None, None


_evaluated.register_autograd(_backward, setup_context=_keep)


def _by_name(names: list[str], tensors: list[Tensor]) -> dict[str, Any]:
    left, found = list(tensors), {}
    for name in names:
        if name == _PAIRS:
            rest = len(left) - sum(each != _PAIRS for each in names[names.index(name) + 1 :])
            flat, left = left[:rest], left[rest:]
            found[name] = tuple(zip(flat[::2], flat[1::2], strict=True))
        else:
            found[name] = left.pop(0)
    return found
