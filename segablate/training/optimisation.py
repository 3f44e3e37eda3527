"""Optimiser, parameter groups and the norm of gradients."""

from collections.abc import Collection, Iterable
from itertools import chain

import torch
from torch import Tensor, nn

from segablate.training.recipe import Recipe

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def make_optimiser(
    module: nn.Module, recipe: Recipe, new: Collection[str], beside: Iterable[tuple[str, nn.Parameter]] = ()
) -> torch.optim.Optimizer:
    """Return the optimiser of the trainable parameters; `new` names those whose rate has the head's factor.

    `beside`: parameters that are no part of the module, with their names. Parameters are grouped by the factor on their
    learning rate, a group's ``factor``, and by their weight decay.
    """
    undecayed = set() if recipe.decay_norms else undecayed_names(module)
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in chain(module.named_parameters(), beside):
        if parameter.requires_grad:
            factor = recipe.head_factor if name in new else 1.0
            factor *= recipe.auxiliary_factor if is_auxiliary(name) else 1.0
            decay = 0.0 if name in undecayed else recipe.weight_decay
            groups.setdefault((factor, decay), []).append(parameter)
    listed = [
        {"params": parameters, "weight_decay": decay, "factor": factor}
        for (factor, decay), parameters in groups.items()
    ]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(listed, lr=recipe.rate, momentum=recipe.momentum)
    make = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return make(listed, lr=recipe.rate)


def is_auxiliary(name: str) -> bool:
    """Return whether a parameter is of an auxiliary head, by the names that they have: aux, aux_classifier, ..."""
    return any(part.startswith("aux") for part in name.split("."))


def undecayed_names(module: nn.Module) -> set[str]:
    """Return the names of biases and of the parameters of normalisation layers."""
    return {
        f"{place}.{name}" if place else name
        for place, part in module.named_modules()
        for name, _ in part.named_parameters(recurse=False)
        if "bias" in name or _is_norm(part)
    }


def _is_norm(part: nn.Module) -> bool:
    """Also of a library's own layers, and in TorchScript, where the class is known by name alone."""
    return isinstance(part, _NORMS) or "Norm" in getattr(part, "original_name", type(part).__name__)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its factor of this learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]


def clip_gradients(parameters: Iterable[Tensor], largest: float) -> None:
    """Scale the gradients so that their Euclidean norm is at most this."""
    torch.nn.utils.clip_grad_norm_(list(parameters), largest)


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: dict[int, str]) -> dict[str, Tensor]:
    """Return the state of an optimiser as tensors by ``parameter/key``; `names`: a parameter's name by its id."""
    return {
        f"{names[id(parameter)]}/{key}": torch.as_tensor(value)
        for parameter, state in optimiser.state.items()
        for key, value in state.items()
        if value is not None
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, names: dict[int, str], tensors: dict[str, Tensor]) -> None:
    """Put the state of :func:`optimiser_tensors` back. Raises ValueError where it is not that of these parameters."""
    expected = {"momentum_buffer"} if isinstance(optimiser, torch.optim.SGD) else {"step", "exp_avg", "exp_avg_sq"}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            prefix = f"{names[id(parameter)]}/"
            found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            if found and found.keys() != expected:
                raise ValueError(f"state of the optimiser for {prefix[:-1]}")
            if any(value.shape != parameter.shape for key, value in found.items() if key != "step"):
                raise ValueError(f"shape of the optimiser's state for {prefix[:-1]}")
            optimiser.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in found.items()
            }
