"""An ablation of a checkpoint on a dataset, from their names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segablate.ablation.gradients import gradient_at, gradient_images
from segablate.ablation.sweep import Ablation, Setting, Sweep
from segablate.errors import counted
from segablate.evaluation.inputs import Display, silent, with_inputs
from segablate.evaluation.session import Execution, run
from segablate.losses import Loss, get_loss
from segablate.metrics.tolerance import Tolerance
from segablate.objective.weighted_sum import Objective, parse_objective
from segablate.samples import LossInputs

if TYPE_CHECKING:
    from torch import Tensor

    from segablate.ablation.cost import Cost
    from segablate.checkpoints import Loading, Segmenter
    from segablate.datasets import Dataset
    from segablate.evaluation.measures import Measures
    from segablate.evaluation.results import Evaluation


@dataclass(frozen=True)
class AblationRequest:
    """A loss with its settings, and what to measure under each of them.

    - `objective`: a weighted sum in place of the published one.
    - `tolerance`: that of the boundary F-score with which values are correlated.
    - `gradients`, `cost`: whether to measure gradients, and time and memory.
    - `gradient_images`: the number of evenly spaced images whose gradients are measured; None: all.
    """

    loss: Loss
    settings: tuple[Setting, ...]
    objective: str | None
    tolerance: Tolerance
    gradients: bool = True
    cost: bool = True
    gradient_images: int | None = None


def ablate_checkpoint(
    checkpoint: str, dataset: "Dataset", asked: AblationRequest, loading: "Loading", execution: Execution
) -> Ablation:
    """Compute a loss under every setting on one forward pass of a checkpoint over a dataset.

    Raises a SegablateError where the checkpoint lacks what the loss needs.
    """
    from segablate.checkpoints import open_checkpoint
    from segablate.evaluation.loop import prepare
    from segablate.evaluation.origin import with_origin

    plan = AblationPlan.of(open_checkpoint(checkpoint, loading), dataset, asked, execution.display)
    work = prepare(plan.segmenter, dataset, plan.measures, execution.on_error)
    return plan.ablation(with_origin(run(work, execution, plan.what), checkpoint, dataset, loading))


@dataclass(frozen=True)
class AblationPlan:
    """What is measured for an ablation: by a segmenter that has the inputs of the loss, with the sweep as the probe."""

    asked: AblationRequest
    objective: Objective
    probe: Sweep
    segmenter: "Segmenter"
    measures: "Measures"

    @classmethod
    def of(
        cls, segmenter: "Segmenter", dataset: "Dataset", asked: AblationRequest, display: Display = silent
    ) -> "AblationPlan":
        """Plan an ablation. Raises a SegablateError where the segmenter lacks what the loss needs."""
        from segablate.evaluation.measures import Measures

        loss, settings = asked.loss, asked.settings
        objective = parse_objective(asked.objective or loss.objective)
        only = gradient_images(len(dataset), asked.gradient_images)
        probe = Sweep(loss, settings, objective, asked.gradients, only)
        segmenter, inputs, notes = with_inputs(segmenter, probe.needs, dataset, f"ablate {loss.name}", display)
        if loss.after_description:
            notes = (*notes, f"the formula of {loss.name} is this project's, after the description in the paper")
        reads = {loss.name: loss.reads({})}
        measures = Measures(tolerances=(asked.tolerance,), probe=probe, inputs=inputs, reads=reads, notes=notes)
        return cls(asked, objective, probe, segmenter, measures)

    @property
    def what(self) -> str:
        """The work, as it is printed beside its progress."""
        return f"{self.asked.loss.name}, {counted(len(self.asked.settings), 'setting')}"

    def ablation(self, evaluation: "Evaluation") -> Ablation:
        """Return the ablation of what was measured, with the costs where they were asked for."""
        asked, probe = self.asked, self.probe
        found = costs(probe) if asked.cost and probe.first else {}
        return Ablation(evaluation, asked.loss, asked.settings, self.objective, found)


def costs(sweep: Sweep, repeats: int = 5) -> "dict[str, list[Cost]]":
    """Measure time and memory on the first image: `forward` and `both`, cross entropy first, then every setting."""
    from segablate.ablation.cost import measure_costs

    sample = sweep.first
    assert sample is not None
    entropy = get_loss("ce")

    def calls(backward: bool) -> list[Callable[[], Any]]:
        swept = (loss_call(sweep.loss, setting.values, sample, backward) for setting in sweep.settings)
        return [loss_call(entropy, {}, sample, backward), *swept]

    device = sample.logits.device
    return {
        "forward": measure_costs(calls(False), repeats, device),
        "both": measure_costs(calls(True), repeats, device),
    }


def loss_call(
    loss: Loss, values: Mapping[str, Any], sample: LossInputs, backward: bool = True
) -> "Callable[[], Tensor]":
    """Return a function that computes a loss under a setting on one image, with its gradient where `backward`."""
    taken = {name: value for name, value in sample.inputs.items() if name in loss.inputs}
    seen = sample.read_by(loss.reads(values), sample.logits.detach())
    return lambda: _run(lambda logits: loss(logits, sample.labels, **taken, **values), seen, backward)


def _run(function: Any, logits: "Tensor", backward: bool) -> "Tensor":
    import torch

    if not backward:
        with torch.no_grad():
            return function(logits)
    leaf = logits.clone().requires_grad_()
    return gradient_at(leaf, function(leaf))
