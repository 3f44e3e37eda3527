"""A loss: one function with its hyperparameters, its paper, and its two results, the scalar and the parts."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from segablate.errors import KnobError, counted
from segablate.labels import ignore_index
from segablate.objective.knobs import INPUTS, Knob, complete, knobs_of
from segablate.objective.ranges import Conditions, holds
from segablate.user_code import own_output

if TYPE_CHECKING:  # tables and the command line read losses without importing torch
    from torch import Tensor

EXCEPTIONS = ("void", "scope", "finite", "gradient", "relabelling")
"""Properties that a loss may declare to break: void pixels have no effect; with ``scope=image`` the value of an image
does not depend on the rest of the batch; finite on every input; the gradient is that of the value; renaming classes
changes nothing."""


@dataclass(frozen=True)
class Parts:
    """The value of a loss for one batch, and the numbers beside it.

    ``value`` is the loss itself (0-dim, attached to the graph); ``defined`` is false where nothing can be measured.
    ``per_class`` is each class's value or contribution (C, nan where undefined; detached). ``sums`` are quantities that
    add over images. ``facts`` are further numbers about this one call. A function may return ``defined`` and facts as
    0-dim tensors: :meth:`Loss.parts` turns them into Python values; calling the loss leaves them on the device.

    Examples:
        >>> import torch, segablate
        >>> void = torch.full((1, 4, 4), 255)
        >>> segablate.get_loss("dice").parts(torch.zeros(1, 2, 4, 4), void).defined
        False
    """

    value: "Tensor"
    defined: "bool | Tensor"
    per_class: "Tensor | None" = None
    sums: "Mapping[str, Tensor]" = field(default_factory=dict)
    facts: "Mapping[str, float | Tensor]" = field(default_factory=dict)


Pooled = Callable[[Mapping[str, Any], "Mapping[str, Tensor]"], "Tensor"]
"""(complete settings, sums over images) -> the value over the images, 0-dim."""

Carry = Callable[..., "dict[str, Tensor]"]
"""(logits, labels, previous, **complete settings) -> inputs to pass in this batch, and ``previous`` in the next.

``previous`` is what the last batch returned, or None. Empty where the settings carry nothing.
"""

Function = Callable[..., Any]
"""(logits, labels, *, inputs and hyperparameters) -> a 0-dim tensor or :class:`Parts`."""


@dataclass(frozen=True, eq=False)
class Loss:
    """One loss, callable like its function: ``rmi(logits, labels, radius=3)`` is a 0-dim tensor.

    Half-precision logits are computed in float32, outside autocast.

    - ``objective``: the weighted sum with which its authors train.
    - ``exceptions``: which of :data:`EXCEPTIONS` it breaks by design, and why.
    - ``conditions``: the settings under which an optional input is needed.
    - ``incomparable``: the hyperparameters between whose settings values cannot be compared, and why.
    - ``ranks_by``: the fact that ranks images in place of the value, larger being better.
    - ``activation``: the activation of the logits, where there is no hyperparameter ``probability``.
    - ``over_images``: computes the value over any number of images from the complete settings and the ``sums`` of
      :class:`Parts`, added over the images.
    - ``summed``: it divides by counts that are summed over processes, see :mod:`segablate.objective.processes`.
    - ``carry``: what training carries from batch to batch.
    - ``pixelwise``: by default a mean over labelled pixels, each of whose values depends on that pixel alone.
    - ``opaque``: its code depends on data, so that ``torch.compile`` takes it as one operator.
    - ``bounds``: the smallest and the largest value under any settings, class weights of 1; None where there is none.
    - ``package``: the other package that brings it.
    """

    name: str
    function: Function
    paper: str
    objective: str
    exceptions: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, Conditions] = field(default_factory=dict)
    incomparable: Mapping[str, str] = field(default_factory=dict)
    ranks_by: str = ""
    activation: str = "softmax"
    over_images: Pooled | None = None
    summed: bool = False
    carry: Carry | None = None
    pixelwise: bool = False
    opaque: bool = False
    package: str = ""
    bounds: tuple[float | None, float | None] = (None, None)

    def __post_init__(self) -> None:
        vars(self).update(__doc__=self.function.__doc__, __wrapped__=self.function)  # for help() and signatures

    def __reduce__(self) -> tuple[Any, ...]:
        from segablate.objective.catalogue import get_loss

        return get_loss, (self.name,)

    def __call__(self, logits: "Tensor", labels: "Tensor", **options: Any) -> "Tensor":
        """Return the value for this batch, reduced as the authors reduce it, differentiable in the logits.

        Raises :class:`KnobError` for an unknown hyperparameter, a value out of its range or a missing input, ValueError
        for tensors whose shapes do not fit.
        """
        result = self._evaluate(logits, labels, options)
        return result.value if isinstance(result, Parts) else result

    def parts(self, logits: "Tensor", labels: "Tensor", **options: Any) -> Parts:
        """Return the value and the numbers beside it; raises as calling does."""
        result = self.parts_on_device(logits, labels, **options)
        facts = {name: float(fact) for name, fact in result.facts.items()}
        return replace(result, defined=bool(result.defined), facts=facts)

    def parts_on_device(self, logits: "Tensor", labels: "Tensor", **options: Any) -> Parts:
        """Return what :meth:`parts` does, but what the function left on a GPU stays there, unread by the host."""
        result = self._evaluate(logits, labels, options)
        return result if isinstance(result, Parts) else Parts(result, (labels != ignore_index(logits.shape[1])).any())

    @cached_property
    def knobs(self) -> dict[str, Knob]:
        """Return the hyperparameters by name, in the order of the signature."""
        return knobs_of(self.function)

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Return the tensors it can take beyond logits and labels, needed or not."""
        return frozenset(inspect.signature(self.function).parameters) & frozenset(INPUTS)

    def needs(self, settings: Mapping[str, object]) -> frozenset[str]:
        """Return the inputs that must be passed under these settings; raises :class:`KnobError` for a bad setting."""
        return self._needed(complete(self.knobs, settings, self.name))

    def reads(self, settings: Mapping[str, object]) -> str:
        """Return the activation of the logits under these settings: softmax or sigmoid."""
        knob = self.knobs.get("probability")
        return self.activation if knob is None else str(settings.get("probability", knob.default))

    @property
    def after_description(self) -> bool:
        """Return whether the formula is this project's, after the paper's description: no code was published."""
        return self.paper.startswith("after the description")

    @property
    def summary(self) -> str:
        """Return the first line of the docstring."""
        return self.docstring.partition("\n")[0]

    @property
    def docstring(self) -> str:
        """Return the docstring of the function."""
        return inspect.getdoc(self.function) or ""

    @property
    def sections(self) -> dict[str, str]:
        """Return the docstring after its first line by heading; the text before the first heading is under ``""``.

        A heading is an unindented line that ends in a colon, followed by indented lines.
        """
        sections, heading = {"": ""}, ""
        lines = self.docstring.splitlines()[1:]
        for line, after in zip(lines, [*lines[1:], ""][: len(lines)], strict=True):
            if line.endswith(":") and not line.startswith(" ") and after.startswith(" "):
                heading = line[:-1]
                sections[heading] = ""
            else:
                sections[heading] += line + "\n"
        return {name: inspect.cleandoc(text) for name, text in sections.items() if text.strip()}

    def _class_weights(self, weights: Any, logits: "Tensor") -> "Tensor":
        """Return the weights, C, on the device of the logits; outputs outside the label set have weight 1."""
        import torch

        found = torch.as_tensor(weights, device=logits.device)
        surplus = logits.shape[1] - found.numel()
        if found.ndim != 1 or surplus < 0:
            raise KnobError(
                f"weights of {self.name} has {counted(found.numel(), 'value')} for {counted(logits.shape[1], 'output')}"
            )
        return torch.cat([found, found.new_ones(surplus)]) if surplus else found

    def _needed(self, settings: Mapping[str, object]) -> frozenset[str]:
        parameters = inspect.signature(self.function).parameters
        always = {name for name in self.inputs if parameters[name].default is inspect.Parameter.empty}
        conditions = self.conditions.items()
        return frozenset(always | {name for name, condition in conditions if holds(condition, settings)})

    def _evaluate(self, logits: "Tensor", labels: "Tensor", options: dict[str, Any]) -> "Parts | Tensor":
        import torch

        given = {name: options.pop(name) for name in self.inputs & options.keys() if options[name] is not None}
        if "weights" in given:
            given["weights"] = self._class_weights(given["weights"], logits)
        settings = complete(self.knobs, options, self.name)
        if missing := sorted(self.needs(options) - given.keys()):
            raise KnobError(
                f"{self.name} needs {' and '.join(missing)} beside logits and labels; pass {missing[0]}=..."
            )
        if logits.ndim != 4 or labels.shape != logits.shape[:1] + logits.shape[2:]:
            found = f"{tuple(logits.shape)} and {tuple(labels.shape)}"
            raise ValueError(f"{self.name} takes logits N C H W and labels N H W; here they are {found}")
        users = own_output() if self.package or self.name.startswith("python:") else nullcontext()
        with users, torch.autocast(logits.device.type, enabled=False):
            lifted = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
            result = self.function(lifted, labels, **given, **settings)
        value = result.value if isinstance(result, Parts) else result
        if not isinstance(value, torch.Tensor) or value.ndim:
            found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)
            raise KnobError(f"{self.name} returns {found[:80]}; a loss must return one 0-dim tensor for the batch")
        return result


def loss(
    *,
    paper: str,
    objective: str | None = None,
    exceptions: Mapping[str, str] | None = None,
    inputs: Mapping[str, Conditions] | None = None,
    incomparable: Mapping[str, str] | None = None,
    ranks_by: str = "",
    activation: str = "softmax",
    over_images: Pooled | None = None,
    summed: bool = False,
    carry: Carry | None = None,
    pixelwise: bool = False,
    opaque: bool = False,
    bounds: tuple[float | None, float | None] = (None, None),
) -> Callable[[Function], Loss]:
    """Make a :class:`Loss` of the function below: its name is the function's, and the file's.

    The function takes logits N C H W and labels N H W (255 is void), hyperparameters by keyword, each annotated with a
    :class:`Range` or :class:`Choice`, and returns a 0-dim tensor or :class:`Parts`.

    Args:
        paper: where the loss was published.
        objective: the weighted sum with which its authors train; the loss alone, unless given.
        exceptions: general properties that it breaks by design (``"void"``, ``"scope"``, ...), and why.
        inputs: the settings under which an input with a default is needed, as ``{"features": {"combine": ("deep",)}}``.
        incomparable: why values under different settings of a hyperparameter cannot be compared, by its name.
        ranks_by: the fact of :class:`Parts` that ranks images in place of the value, larger being better.
        activation: that of the logits, ``"softmax"`` or ``"sigmoid"``.
        over_images: the value over many images, from the settings and the added ``sums`` of :class:`Parts`.
        summed: whether it divides by counts that are summed over processes.
        carry: what training carries from batch to batch.
        pixelwise: whether it is a mean over labelled pixels, each of whose values depends on that pixel alone.
        opaque: whether its code depends on data, so that ``torch.compile`` takes it as one operator.
        bounds: the smallest and the largest value under any settings, to which confidence intervals are cut.

    Returns:
        A decorator of functions.

    Raises:
        KnobError: later, for a parameter without an annotated range or default, when the loss is used.

    Examples:
        >>> from typing import Annotated
        >>> import torch, segablate
        >>> Power = Annotated[float, segablate.Range(0, 4, grid=(1, 2), help="exponent")]
        >>> @segablate.loss(paper="none; the largest logit", objective="ce + 0.1*peak")
        ... def peak(logits, labels, *, power: Power = 1):
        ...     "Mean of the largest logit, to a power."
        ...     return logits.amax(1).mean() ** power
        >>> peak(torch.full((1, 2, 4, 4), 3.0), torch.zeros(1, 4, 4, dtype=torch.long), power=2).item()
        9.0
    """

    def decorate(function: Function) -> Loss:
        name = function.__name__
        declared = (
            exceptions or {},
            inputs or {},
            incomparable or {},
            ranks_by,
            activation,
            over_images,
            summed,
            carry,
            pixelwise,
            opaque,
        )
        return Loss(name, function, paper, objective or name, *declared, bounds=bounds)

    return decorate
