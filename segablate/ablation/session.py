"""An ablation of a checkpoint on a dataset, from their names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segablate.ablation.gradients import cross_entropy, gradient_at, gradient_images
from segablate.ablation.sweep import Ablation, Setting, Sweep
from segablate.evaluation.inputs import with_inputs
from segablate.evaluation.session import Execution, run
from segablate.losses import Loss
from segablate.metrics.tolerance import Tolerance
from segablate.objective.weighted_sum import parse_objective

if TYPE_CHECKING:
    from torch import Tensor

    from segablate.ablation.cost import Cost
    from segablate.checkpoints import Loading
    from segablate.datasets import Dataset


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
    from segablate.evaluation.measures import Measures
    from segablate.evaluation.origin import with_origin

    loss, settings = asked.loss, asked.settings
    objective = parse_objective(asked.objective or loss.objective)
    only = gradient_images(len(dataset), asked.gradient_images)
    probe = Sweep(loss, settings, objective, asked.gradients, only)
    segmenter = open_checkpoint(checkpoint, loading)
    asker = f"ablate {loss.name}"
    segmenter, inputs, notes = with_inputs(segmenter, probe.needs, dataset, asker, execution.display)
    if loss.after_description:
        notes = (*notes, f"the formula of {loss.name} is this project's, after the description in the paper")
    reads = {loss.name: loss.reads({})}
    measures = Measures(tolerances=(asked.tolerance,), probe=probe, inputs=inputs, reads=reads, notes=notes)
    work = prepare(segmenter, dataset, measures, execution.on_error)
    evaluation = with_origin(
        run(work, execution, f"{loss.name}, {len(settings)} settings"), checkpoint, dataset, loading
    )
    return Ablation(evaluation, loss, settings, objective, costs(probe) if asked.cost and probe.first else {})


def costs(sweep: Sweep, repeats: int = 5) -> "dict[str, list[Cost]]":
    """Measure time and memory on the first image: `forward` and `both`, cross entropy first, then every setting."""
    from segablate.ablation.cost import measure_costs

    sample = sweep.first
    assert sample is not None
    taken = {name: value for name, value in sample.inputs.items() if name in sweep.loss.inputs}
    plain = sample.logits.detach()

    def calls(backward: bool) -> list[Any]:
        def entropy() -> "Tensor":
            return _run(lambda logits: cross_entropy(logits, sample.labels), plain, backward)

        def setting(values: Mapping[str, Any]) -> Any:
            seen = sample.read_by(sweep.loss.reads(values), plain)
            return lambda: _run(lambda logits: sweep.loss(logits, sample.labels, **taken, **values), seen, backward)

        return [entropy, *(setting(s.values) for s in sweep.settings)]

    return {
        "forward": measure_costs(calls(False), repeats, plain.device),
        "both": measure_costs(calls(True), repeats, plain.device),
    }


def _run(function: Any, logits: "Tensor", backward: bool) -> "Tensor":
    import torch

    if not backward:
        with torch.no_grad():
            return function(logits)
    leaf = logits.clone().requires_grad_()
    return gradient_at(leaf, function(leaf))
