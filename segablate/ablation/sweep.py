"""One loss under several settings, on one forward pass of the network.

The sweep rides on the one evaluation loop as a probe: for every image it gets the logits once and tries every setting
on them. What it finds is kept per image, so that means, intervals and correlations are pure functions of arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from segablate.ablation.gradients import PixelRegions, gradient_statistics, pixel_regions, pixel_shares
from segablate.errors import KnobError, ObjectiveError
from segablate.evaluation.results import Evaluation
from segablate.losses import Loss
from segablate.objective.knobs import complete, find_knob, format_settings
from segablate.objective.weighted_sum import Objective
from segablate.samples import LossInputs

if TYPE_CHECKING:
    from torch import Tensor

    from segablate.ablation.cost import Cost


@dataclass(frozen=True)
class Setting:
    """The knobs that differ from the published default, and how the table calls them."""

    values: Mapping[str, Any]
    text: str


def plan_settings(loss: Loss, given: Mapping[str, Sequence[Any]], every: bool = False) -> tuple[Setting, ...]:
    """What is tried: the published default first, as the baseline.

    With knobs given, exactly those settings, also one that is the default: several lists make a grid. With none, or
    with `every`, each knob over its declared grid, one at a time. Raises KnobError for an unknown knob, a value outside
    its range, or a knob without effect under the settings.
    """
    for name, values in given.items():
        knob = find_knob(loss.knobs, name, loss.name)
        for value in values:
            knob.check(value, as_option=True)
    asked = [dict(zip(given, values, strict=True)) for values in product(*given.values())] if given else []
    if idle := [name for name in given if loss.knobs[name].training]:
        option = loss.knobs[idle[0]].option
        raise KnobError(f"{option} of {loss.name} has an effect in training alone; add --train head or --train full")
    grids: list[dict[str, Any]] = []
    if every or not given:
        defaults = {name: knob.default for name, knob in loss.knobs.items()}
        knobs = {name: knob for name, knob in loss.knobs.items() if not knob.training}
        turned = [_with_conditions(loss, name, value) for name, knob in knobs.items() for value in knob.grid]
        grids = [{name: value for name, value in values.items() if value != defaults[name]} for values in turned]
    for values in asked:
        _refuse_idle(loss, values)
    settings = [Setting({}, "baseline")]
    for values in (*asked, *grids):
        if all(values != setting.values for setting in settings):
            settings.append(Setting(values, format_settings(loss.knobs, values)))
    return tuple(settings)


def _with_conditions(loss: Loss, name: str, value: Any) -> dict[str, Any]:
    """One knob turned, with what must be chosen beside it for it to have an effect."""
    defaults = {other: knob.default for other, knob in loss.knobs.items()}
    needed = {
        other: allowed[0] for other, allowed in loss.knobs[name].used_when.items() if defaults[other] not in allowed
    }
    return {**needed, name: value}


def _refuse_idle(loss: Loss, values: Mapping[str, Any]) -> None:
    complete = {name: knob.default for name, knob in loss.knobs.items()} | dict(values)
    for name in values:
        knob = loss.knobs[name]
        if not knob.used_in(complete):
            other, allowed = next((o, a) for o, a in knob.used_when.items() if complete[o] not in a)
            remedy = f"{loss.knobs[other].option} {loss.knobs[other].format(allowed[0])}"
            raise KnobError(f"{knob.option} has no effect on {loss.name} unless {other} is set; add {remedy}")


class Sweep:
    """A probe that tries every setting on the logits of an image; see :data:`segablate.evaluation.loop.Probe`.

    It keeps the first scene it sees, on which the cost is measured afterwards.
    """

    def __init__(self, loss: Loss, settings: Sequence[Setting], objective: Objective, gradients: bool = True) -> None:
        """Raises ObjectiveError where the objective lacks the term, or settles knobs of it."""
        self.loss, self.settings, self.gradients = loss, tuple(settings), gradients
        own = [part for part in objective.terms if part.loss.name == loss.name]
        if not own:
            raise ObjectiveError(f"objective '{objective}' lacks {loss.name}; add it, as in ce + {loss.name}")
        if any(part.settings for part in own):
            raise ObjectiveError(f"objective '{objective}' settles knobs of {loss.name}; give them as options instead")
        self.weight = sum(part.weight for part in own)
        self.others = Objective(tuple(part for part in objective.terms if part.loss.name != loss.name))
        self.first: LossInputs | None = None
        self.sums: list[dict[str, Tensor]] = [{} for _ in settings]

    def over_images(self) -> tuple[float, ...]:
        """The value of each setting over all images seen, from their sums; empty where the term has no such value."""
        pooled, knobs = self.loss.over_images, self.loss.knobs
        if pooled is None:
            return ()
        pairs = zip(self.settings, self.sums, strict=True)
        return tuple(float(pooled(complete(knobs, s.values, self.loss.name), sums)) for s, sums in pairs)

    @property
    def needs(self) -> frozenset[str]:
        """The inputs beside logits and labels without which a setting, or the objective, cannot be computed."""
        needed = frozenset().union(*(self.loss.needs(setting.values) for setting in self.settings))
        return needed | (self.others.needs if self.others.terms else frozenset())

    def __call__(self, scene: LossInputs) -> dict[str, np.ndarray]:
        """Arrays by name: `pixel` (); over settings `term`, `objective`, facts, per class and gradients; references."""
        import torch

        from segablate.losses.parts.sharing import sharing

        self.first = self.first or scene
        logits = scene.logits.requires_grad_(self.gradients)
        with torch.no_grad():
            pixel = float(self.others(logits, scene.labels, **scene.inputs)) if self.others.terms else 0.0
        reference = _Reference.of(logits, scene) if self.gradients else None
        with sharing():
            found = [self._try(place, logits, scene, reference) for place in range(len(self.settings))]
        stacked = {name: _stacked(found, name) for name in dict.fromkeys(name for values in found for name in values)}
        beside = reference.arrays() if reference else {}
        return {"pixel": np.array(pixel), "objective": pixel + self.weight * stacked["term"], **stacked, **beside}

    def _try(self, place: int, logits: "Tensor", scene: LossInputs, reference: "_Reference | None") -> dict[str, Any]:
        import torch

        setting, sums = self.settings[place], self.sums[place]
        inputs = {name: value for name, value in scene.inputs.items() if name in self.loss.inputs}
        with torch.set_grad_enabled(self.gradients):
            parts = self.loss.parts(logits, scene.labels, **inputs, **setting.values)
        dimension = parts.facts.get("points_per_dimension", float("nan"))
        if dimension < 1:
            raise KnobError(
                f"{self.loss.name} with {setting.text} has {dimension:.2f} points for each dimension in an image of "
                f"{logits.shape[3]}x{logits.shape[2]}; below 1 it means nothing: use a smaller radius or stride"
            )
        if self.loss.over_images is not None:
            sums |= {name: sums.get(name, 0) + total.double() for name, total in parts.sums.items()}
        found: dict[str, Any] = {"term": float(parts.value.detach()) if parts.defined else float("nan")}
        found |= {f"fact_{name}": value for name, value in parts.facts.items()}
        if parts.per_class is not None:
            found["per_class"] = parts.per_class.detach().double().cpu().numpy()[: scene.classes]
        if reference is not None:
            measured = gradient_statistics(_gradient(parts.value, logits), reference.gradient, reference.regions)
            found |= measured if parts.defined else {name: value * np.nan for name, value in measured.items()}
        return found


def _stacked(found: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """One array over settings; nan where a setting has nothing of that name."""
    arrays = [np.asarray(values[name], np.float64) if name in values else None for values in found]
    shape = next(array.shape for array in arrays if array is not None)
    return np.stack([np.full(shape, np.nan) if array is None else array for array in arrays])


@dataclass(frozen=True)
class _Reference:
    """What the gradients of one image are held against: that of cross entropy, and where its pixels lie."""

    gradient: "Tensor"
    regions: PixelRegions

    @classmethod
    def of(cls, logits: "Tensor", scene: LossInputs) -> "_Reference":
        return cls(
            _gradient(_cross_entropy(logits, scene.labels), logits),
            pixel_regions(scene.label_map, scene.classes, logits),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """`ce_norm`, `ce_within`, `ce_on_class`, `pixels_within`, `pixels_on_class`."""
        entropy = {
            f"ce_{name}": value
            for name, value in gradient_statistics(self.gradient, self.gradient, self.regions).items()
        }
        return entropy | {f"pixels_{name}": value for name, value in pixel_shares(self.regions).items()}


def costs(sweep: Sweep, repeats: int = 5) -> "dict[str, list[Cost]]":
    """Time and peak memory on the first image: `forward` and `both`, cross entropy first, then every setting."""
    from segablate.ablation.cost import measure_costs

    scene = sweep.first
    assert scene is not None
    taken = {name: value for name, value in scene.inputs.items() if name in sweep.loss.inputs}
    plain = scene.logits.detach()

    def calls(backward: bool) -> list[Any]:
        def entropy() -> "Tensor":
            return _run(lambda logits: _cross_entropy(logits, scene.labels), plain, backward)

        def setting(values: Mapping[str, Any]) -> Any:
            return lambda: _run(lambda logits: sweep.loss(logits, scene.labels, **taken, **values), plain, backward)

        return [entropy, *(setting(s.values) for s in sweep.settings)]

    return {
        "forward": measure_costs(calls(False), repeats, plain.device),
        "both": measure_costs(calls(True), repeats, plain.device),
    }


@dataclass(frozen=True)
class Ablation:
    """A sweep over a dataset: the evaluation it rode on, per-image arrays in `run.probed`, and the costs.

    - `over_images`: (S,) the value over the whole set, of terms whose sums give one; else empty.
    """

    run: Evaluation
    loss: Loss
    settings: tuple[Setting, ...]
    objective: Objective
    costs: "Mapping[str, Sequence[Cost]]"
    over_images: tuple[float, ...] = ()

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Everything per image, with the names of images and settings, to be kept."""
        texts = np.array([setting.text for setting in self.settings], dtype=str)
        return {"names": np.array(self.run.names, dtype=str), "settings": texts, **self.run.probed}

    @property
    def values(self) -> np.ndarray:
        """(N, S) the term; nan where it is undefined."""
        return self.run.probed["term"]

    @property
    def merit(self) -> np.ndarray:
        """(N, S) by which images are ranked, larger being better: the gain where the term has one, else −term."""
        gain = self.run.probed.get(f"fact_{self.loss.ranks_by}")
        return -self.values if gain is None else gain


def _run(function: Any, logits: "Tensor", backward: bool) -> "Tensor":
    import torch

    if not backward:
        with torch.no_grad():
            return function(logits)
    leaf = logits.clone().requires_grad_()
    return _gradient(function(leaf), leaf)


def _cross_entropy(logits: "Tensor", labels: "Tensor") -> "Tensor":
    from segablate.losses import get_loss

    return get_loss("ce")(logits, labels)


def _gradient(value: "Tensor", logits: "Tensor") -> "Tensor":
    import torch

    (gradient,) = torch.autograd.grad(value, logits, allow_unused=True) if value.requires_grad else (None,)
    return torch.zeros_like(logits) if gradient is None else gradient
