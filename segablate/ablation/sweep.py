"""One loss under several settings, on one forward pass of the network.

The sweep is a probe of the evaluation loop: for every image it receives the logits once and computes the loss under
every setting. Everything is kept per image, so that means, intervals and correlations are pure functions of arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from segablate.ablation.gradients import MEASURED, Reference, gradient_at, gradient_statistics, unmeasured
from segablate.ablation.over_images import over_images
from segablate.errors import KnobError, ObjectiveError, counted, thousands
from segablate.evaluation.results import Evaluation
from segablate.losses import Loss
from segablate.objective.from_files import name_settings, refuse_unfit
from segablate.objective.knobs import find_knob
from segablate.objective.weighted_sum import Objective
from segablate.samples import LossInputs

if TYPE_CHECKING:
    from segablate.ablation.cost import Cost


@dataclass(frozen=True)
class Setting:
    """The hyperparameters that differ from the published default, and their text in tables."""

    values: Mapping[str, Any]
    text: str


def plan_settings(
    loss: Loss, given: Mapping[str, Sequence[Any]], every: bool = False, training: bool = False
) -> tuple[Setting, ...]:
    """Plan the settings of a sweep: the published default first, as the baseline.

    With hyperparameters given, exactly those settings, also one that is the default: several lists make a grid. With
    none, or with `every`, each hyperparameter over its declared grid, one at a time. With `training`, also those that
    have an effect in training alone. Raises KnobError for an unknown hyperparameter, a value outside its range, or a
    hyperparameter without effect under the settings.
    """
    for name, values in given.items():
        knob = find_knob(loss.knobs, name, loss.name)
        for value in values:
            knob.check(value, as_option=True)
    asked = [dict(zip(given, values, strict=True)) for values in product(*given.values())] if given else []
    if idle := [name for name in given if loss.knobs[name].training and not training]:
        option = loss.knobs[idle[0]].option
        raise KnobError(f"{option} of {loss.name} has an effect in training alone; add --train head or --train full")
    grids: list[dict[str, Any]] = []
    if every or not given:
        defaults = {name: knob.default for name, knob in loss.knobs.items()}
        knobs = {name: knob for name, knob in loss.knobs.items() if training or not knob.training}
        turned = [_with_conditions(loss, name, value) for name, knob in knobs.items() for value in knob.grid]
        grids = [{name: value for name, value in values.items() if value != defaults[name]} for values in turned]
    for values in asked:
        _refuse_idle(loss, values)
    settings = [Setting({}, "baseline")]
    for values in (*asked, *grids):
        if all(values != setting.values for setting in settings):
            settings.append(Setting(values, name_settings(loss.knobs, values)))
    return tuple(settings)


def _with_conditions(loss: Loss, name: str, value: Any) -> dict[str, Any]:
    """Return the setting of one value, with the other values that it needs to have an effect."""
    defaults = {other: knob.default for other, knob in loss.knobs.items()}
    needed = {
        other: allowed[0] for other, allowed in loss.knobs[name].used_when.items() if defaults[other] not in allowed
    }
    return {**needed, name: value}


def _refuse_idle(loss: Loss, values: Mapping[str, Any]) -> None:
    refuse_unfit(loss.knobs, values)
    complete = {name: knob.default for name, knob in loss.knobs.items()} | dict(values)
    for name in values:
        knob = loss.knobs[name]
        if not knob.used_in(complete):
            other, allowed = next((o, a) for o, a in knob.used_when.items() if complete[o] not in a)
            remedy = f"{loss.knobs[other].option} {loss.knobs[other].format(allowed[0])}"
            raise KnobError(f"{knob.option} has no effect on {loss.name} unless {other} is set; add {remedy}")


class Sweep:
    """A probe that computes every setting on the logits of an image; see :data:`segablate.evaluation.loop.Probe`.

    It keeps the first sample, on which the cost is measured afterwards.
    """

    def __init__(
        self,
        loss: Loss,
        settings: Sequence[Setting],
        objective: Objective,
        gradients: bool = True,
        only: frozenset[int] | None = None,
    ) -> None:
        """Measure gradients, if at all, of the images with these indices `only`; None: of all.

        Raises ObjectiveError where the objective lacks the loss, or sets hyperparameters of it.
        """
        self.loss, self.settings, self.gradients, self.only = loss, tuple(settings), gradients, only
        own = [part for part in objective.terms if part.loss.name == loss.name]
        if not own:
            raise ObjectiveError(f"objective '{objective}' lacks {loss.name}; add it, as in ce + {loss.name}")
        if any(part.settings for part in own):
            raise ObjectiveError(
                f"objective '{objective}' sets hyperparameters of {loss.name}; give them as options instead"
            )
        self.weight = sum(part.weight for part in own)
        self.others = Objective(tuple(part for part in objective.terms if part.loss.name != loss.name))
        self.first: LossInputs | None = None

    @property
    def needs(self) -> frozenset[str]:
        """Return the inputs beside logits and labels that a setting, or the objective, needs."""
        needed = frozenset().union(*(self.loss.needs(setting.values) for setting in self.settings))
        return needed | (self.others.needs if self.others.terms else frozenset())

    def __call__(self, sample: LossInputs) -> dict[str, np.ndarray]:
        """Compute arrays by name: `pixel` (); over settings `term`, `objective`, facts, per class and gradients.

        Gradients that are not measured are nan. Sums of a loss with a value over the set are named
        `sums.SETTING.NAME`; see :func:`segablate.ablation.over_images.over_images`.
        """
        from segablate.losses.parts.sharing import sharing

        self.first = self.first or sample
        measured = self.gradients and (self.only is None or sample.index in self.only)
        sample.logits.requires_grad_(measured)
        pixel = self._pixel(sample)
        reference = Reference.of(sample) if measured else None
        with sharing():
            found = [self._try(setting, sample, reference) for setting in self.settings]
        sums = {
            f"sums.{place}.{name}": total
            for place, values in enumerate(found)
            for name, total in values.pop("sums").items()
        }
        stacked = {name: _stacked(found, name) for name in dict.fromkeys(name for values in found for name in values)}
        beside = reference.arrays() if reference else {}
        if self.gradients and self.only is not None:
            beside |= {} if reference else unmeasured(len(self.settings), sample.classes)
            beside[MEASURED] = np.array(measured)
        return {
            "pixel": np.array(pixel),
            "objective": pixel + self.weight * stacked["term"],
            **stacked,
            **beside,
            **sums,
        }

    def _pixel(self, sample: LossInputs) -> float:
        """Compute the other terms of the objective."""
        import torch

        with torch.no_grad():
            return float(
                sum(
                    term(sample.read_by(term.loss.reads(term.settings)), sample.labels, **sample.inputs)
                    for term in self.others.terms
                )
            )

    def _try(self, setting: Setting, sample: LossInputs, reference: Reference | None) -> dict[str, Any]:
        """Compute the loss under one setting; `sums` by name, all others to be stacked over settings."""
        import torch

        inputs = {name: value for name, value in sample.inputs.items() if name in self.loss.inputs}
        with torch.set_grad_enabled(reference is not None):
            logits = sample.read_by(self.loss.reads(setting.values))
            parts = self.loss.parts(logits, sample.labels, **inputs, **setting.values)
        dimension = parts.facts.get("points_per_dimension", float("nan"))
        if dimension < 1:
            raise KnobError(
                f"{self.loss.name} with {setting.text} has {dimension:.2f} points for each dimension in an image of "
                f"{logits.shape[2]}x{logits.shape[3]}; below 1 the value is meaningless; use a smaller radius or stride"
            )
        found: dict[str, Any] = {"term": float(parts.value.detach()) if parts.defined else float("nan")}
        found |= {f"fact_{name}": value for name, value in parts.facts.items()}
        if parts.per_class is not None:
            found["per_class"] = parts.per_class.detach().double().cpu().numpy()[: sample.classes]
        if reference is not None:
            measured = gradient_statistics(
                gradient_at(sample.logits, parts.value), reference.gradient, reference.regions
            )
            found |= measured if parts.defined else {name: value * np.nan for name, value in measured.items()}
        sums = parts.sums if self.loss.over_images is not None else {}
        return {**found, "sums": {name: total.double().cpu().numpy() for name, total in sums.items()}}


def _stacked(found: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Stack one array over settings; nan where a setting has nothing of that name."""
    arrays = [np.asarray(values[name], np.float64) if name in values else None for values in found]
    shape = next(array.shape for array in arrays if array is not None)
    return np.stack([np.full(shape, np.nan) if array is None else array for array in arrays])


@dataclass(frozen=True)
class Ablation:
    """A sweep over a dataset: the evaluation it is part of, per-image arrays in `run.probed`, and the costs."""

    run: Evaluation
    loss: Loss
    settings: tuple[Setting, ...]
    objective: Objective
    costs: "Mapping[str, Sequence[Cost]]"

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Return all per-image arrays, with the names of images and settings, for saving."""
        texts = np.array([setting.text for setting in self.settings], dtype=str)
        return {"names": np.array(self.run.names, dtype=str), "settings": texts, **self.run.probed}

    @property
    def gradient_note(self) -> str | None:
        """Return the share of the images whose gradients were measured, as text; None where all were."""
        if MEASURED not in self.run.probed:
            return None
        count = int(self.run.probed[MEASURED].sum())
        return f"gradients: {thousands(count)} of {counted(self.run.images, 'image')}, evenly spaced"

    @property
    def values(self) -> np.ndarray:
        """Return the loss, (N, S); nan where it is undefined."""
        return self.run.probed["term"]

    @cached_property
    def over_images(self) -> tuple[float, ...]:
        """Return the value of each setting over the whole set; empty where the loss has none."""
        return over_images(self.loss, self.settings, self.run.probed)

    @property
    def merit(self) -> np.ndarray:
        """Return the score that ranks images, (N, S), larger is better: the gain where the loss has one, else −loss."""
        gain = self.run.probed.get(f"fact_{self.loss.ranks_by}")
        return -self.values if gain is None else gain
