"""The losses as their papers and authors' code describe them: what the program's losses are held against.

``references/x.py`` defines the loss ``x`` again: a function of that name with the same hyperparameters and defaults,
in plain tensor operations with all classes at once and automatic differentiation, without care for memory. It imports
nothing from segablate. Beside it stand

- ``SETTINGS``, the calls under which ``test_loss_values.py`` compares the two, beside the one with all defaults;
- ``by_class``, where the loss reports a value per class: C values, nan for a class without one. It takes every
  hyperparameter, see :func:`complete`;
- ``TOLERANCE``, where the two cannot agree to 1e-9: the relative difference that is allowed.

The benchmarks of the losses measure against the same functions.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

IGNORE = 255


def reference_module(name: str) -> ModuleType:
    """Import the file of this loss."""
    return import_module(f"references.{name}")


def reference(name: str) -> Callable[..., Tensor]:
    """Return the loss of this name in its plain form."""
    return getattr(reference_module(name), name)


def complete(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return these settings of a loss and the reference's defaults for the rest."""
    parameters = inspect.signature(reference(name)).parameters
    return {key: each.default for key, each in parameters.items() if each.default is not each.empty} | dict(settings)


def one_hot(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the labels as N C H W of the logits' dtype, zero at void pixels."""
    classes = torch.arange(logits.shape[1], device=labels.device).view(1, -1, 1, 1)
    return (labels.unsqueeze(1) == classes).to(logits.dtype)
