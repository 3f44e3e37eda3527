"""Losses as ``torch.nn.Module``: ``segablate.losses.RMI(radius=3)``, one class for every loss of the catalogue.

The hyperparameters are checked when the module is made; a call computes what calling the loss computes. Losses that are
means over labelled pixels also have a ``reduction``: "mean", "sum" or "none", and any loss that takes class weights
has ``weights``, which move and are saved with the module.
"""

import inspect
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from segablate.errors import KnobError, counted, did_you_mean
from segablate.objective.catalogue import get_loss, loss_names
from segablate.objective.compiled import described, value_in_graph
from segablate.objective.knobs import complete
from segablate.objective.loss import Loss, Parts

REDUCTIONS = ("mean", "sum", "none")

_HALF = (torch.float16, torch.bfloat16)


class LossModule(nn.Module):
    """A loss with its hyperparameters, callable as ``module(logits, labels)`` in any training loop.

    - `loss`: the loss; `settings`: all its hyperparameters; `weights`: class weights, C, a buffer, or None.
    - `reduction`: how values of pixels become one, "mean" as the loss is defined.
    """

    loss: Loss
    weights: Tensor | None

    def __init__(self, **given: Any) -> None:
        super().__init__()
        weights, self.reduction = given.pop("weights", None), given.pop("reduction", "mean")
        self._refuse(weights is not None, "weights" in self.loss.inputs, "class weights")
        self._refuse(self.reduction != "mean", self.loss.pixelwise, f"reduction {self.reduction!r}")
        if self.reduction not in REDUCTIONS:
            raise KnobError(f"reduction is {self.reduction!r}, but must be 'mean', 'sum' or 'none'")
        self.settings = complete(self.loss.knobs, given, self.loss.name)
        self.needs, self._text = self.loss.needs(given), described(self.loss, self.settings)
        self.register_buffer("weights", None if weights is None else torch.as_tensor(weights, dtype=torch.float32))

    def forward(self, logits: Tensor, labels: Tensor, **inputs: Tensor) -> Tensor:
        """Return the value, 0-dim; with reduction "none" that of each pixel, N H W, 0 where void.

        Args:
            logits: N C H W floating point; half precision is computed in float32.
            labels: N H W integers, class indices, 255 void.
            inputs: further tensors by name that the loss needs: ``image``, ``features``, ``roi``, ``edge_net``.

        Raises:
            KnobError: for an input that is missing or unknown. ValueError: for shapes that do not fit.
        """
        self._check(logits, labels, inputs)
        lifted = logits.float() if logits.dtype in _HALF else logits
        with torch.autocast(logits.device.type, enabled=False):
            if self.reduction == "mean":
                if self.loss.opaque and torch.compiler.is_compiling():
                    return value_in_graph(self._text, lifted, labels, {**self._weighted(lifted), **inputs})
                result = self.loss.function(lifted, labels, **self._weighted(lifted), **inputs, **self.settings)
                return result.value if isinstance(result, Parts) else result
            each = self._of_pixels(lifted, labels)
            return each.sum() if self.reduction == "sum" else each

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickle by the name of the class, which is made when it is asked for."""
        return _anew, (type(self).__name__, self.__getstate__())

    def extra_repr(self) -> str:
        """Return the hyperparameters that differ from the defaults, for printing."""
        differing = {name: v for name, v in self.settings.items() if v != self.loss.knobs[name].default}
        words = [f"{name}={value!r}" for name, value in differing.items()]
        words += [f"reduction={self.reduction!r}"] if self.reduction != "mean" else []
        return ", ".join([*words, *(["weights"] if self.weights is not None else [])])

    def _of_pixels(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the value of each pixel, N H W, as that of a batch of one pixel, without dividing by weights."""
        pixelwise = import_module("segablate.losses.parts.pixelwise")
        return getattr(pixelwise, f"{self.loss.name}_of_pixels")(
            logits, labels, **self._weighted(logits), **self.settings
        )

    def _weighted(self, logits: Tensor) -> dict[str, Tensor]:
        """Return class weights for as many outputs as there are; those beyond the weights have weight 1."""
        if self.weights is None:
            return {}
        surplus = logits.shape[1] - self.weights.numel()
        if self.weights.ndim != 1 or surplus < 0:
            raise KnobError(
                f"weights of {self.loss.name} has {counted(self.weights.numel(), 'value')} for "
                f"{counted(logits.shape[1], 'output')}"
            )
        return {"weights": torch.cat([self.weights, self.weights.new_ones(surplus)]) if surplus else self.weights}

    def _check(self, logits: Tensor, labels: Tensor, inputs: dict[str, Tensor]) -> None:
        known = self.loss.inputs - {"weights"}
        for name in inputs:
            if name not in known:
                raise KnobError(f"{self.loss.name} takes no {name!r}{did_you_mean(name, known)}")
        for name in sorted(self.needs - inputs.keys()):
            raise KnobError(f"{self.loss.name} needs {name} beside logits and labels; pass {name}=...")
        if logits.ndim != 4 or labels.shape != logits.shape[:1] + logits.shape[2:]:
            found = f"{tuple(logits.shape)} and {tuple(labels.shape)}"
            raise ValueError(f"{self.loss.name} takes logits N C H W and labels N H W; here they are {found}")

    def _refuse(self, given: bool, allowed: bool, what: str) -> None:
        if given and not allowed:
            raise KnobError(f"{self.loss.name} has no {what}: its definition leaves no choice; leave it out")


def _anew(name: str, state: dict[str, Any]) -> LossModule:
    module = object.__new__(module_class(name))
    module.__setstate__(state)
    return module


def class_names() -> dict[str, str]:
    """Return the names of the losses by the names of their classes: ``{"RMI": "rmi", "DenseCRF": "dense_crf"}``."""
    return {_class_name(name): name for name in loss_names()}


@cache
def module_class(name: str) -> type[LossModule]:
    """Return the class of that name. Raises AttributeError where no loss has it."""
    if name not in class_names():
        raise AttributeError(f"module 'segablate.losses' has no attribute {name!r}{did_you_mean(name, class_names())}")
    loss = get_loss(class_names()[name])
    made = type(name, (LossModule,), {"loss": loss, "__doc__": _docstring(loss), "__module__": "segablate.losses"})
    made.__signature__ = inspect.Signature(_parameters(loss))  # type: ignore[attr-defined]
    return made


def _class_name(name: str) -> str:
    return "".join(part.upper() if len(part) <= 3 else part.capitalize() for part in name.split("_"))


def _parameters(loss: Loss) -> list[inspect.Parameter]:
    options = {name: knob.default for name, knob in loss.knobs.items()}
    options |= {"weights": None} if "weights" in loss.inputs else {}
    options |= {"reduction": "mean"} if loss.pixelwise and "reduction" not in options else {}
    return [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in options.items()]


def _docstring(loss: Loss) -> str:
    """Return the docstring of the class: that of the loss, its hyperparameters and inputs."""
    lines = [loss.docstring, "", "Args:"]
    lines += [f"    {name}: {knob.help}; {knob.expected()}" for name, knob in loss.knobs.items()]
    lines += ["    weights: one weight a class, C"] if "weights" in loss.inputs else []
    lines += ['    reduction: "mean" as defined, "sum", or "none": N H W'] if loss.pixelwise else []
    needed = ", ".join(sorted(loss.inputs - {"weights"}))
    lines += ["", f"Inputs beside logits N C H W and labels N H W: {needed or 'none'}."]
    lines += ["", f"Raises:\n    KnobError: for a value out of range.\n\nSource:\n    {loss.paper}"]
    return "\n".join(lines)
