"""An atlas of a checkpoint on a dataset, from their names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segablate.ablation.gradients import gradient_images
from segablate.ablation.session import loss_call
from segablate.atlas.clusters import SAME
from segablate.atlas.probe import AtlasProbe, Chosen
from segablate.atlas.results import ENTROPY, Atlas
from segablate.datasets.dataset import evenly_spaced
from segablate.errors import SegablateError, UsageError, counted, did_you_mean
from segablate.evaluation.inputs import require_scores
from segablate.evaluation.session import Execution, Request, prepared, run
from segablate.objective.written_lists import joined, separated
from segablate.runtime import team
from segablate.samples import LossInputs

if TYPE_CHECKING:
    import torch

    from segablate.ablation.cost import Cost
    from segablate.checkpoints import Loading, Segmenter
    from segablate.datasets import Dataset
    from segablate.evaluation.measures import Measures
    from segablate.metrics.tolerance import Tolerance

SLOW = 1.0
"""Seconds of processor time of a loss with its gradient on one image above which it is measured on few images."""

CLEARLY_SLOW = 20.0
"""Seconds of processor time above which a loss is slow, whatever else the machine does."""

FEW = 12
"""Images on which a slow loss is measured."""


@dataclass(frozen=True)
class AtlasRequest:
    """What an atlas measures.

    - `tolerance`: that of the boundary F-score with which values are correlated.
    - `losses`: comma-separated names, or "all"; cross entropy, with which the others are compared, is always measured.
    - `gradient_images`: the number of evenly spaced images whose gradients are measured; None: all.
    - `loss_images`: of losses by name the number of images on which they are measured; None: :data:`FEW` for those
      that take longer than :data:`SLOW`; empty: every loss on every image.
    - `same`: the cosine from which on two losses count as the same.
    """

    tolerance: "Tolerance"
    losses: str = "all"
    gradient_images: int | None = 24
    loss_images: Mapping[str, int] | None = None
    same: float = SAME


def atlas_checkpoint(
    checkpoint: str, dataset: "Dataset", asked: AtlasRequest, loading: "Loading", execution: Execution
) -> Atlas:
    """Measure all losses on one forward pass of a checkpoint over a dataset.

    Raises a SegablateError where the checkpoint has no scores, or lacks what a loss needs that is asked for by name.
    """
    from segablate.checkpoints import open_checkpoint
    from segablate.evaluation.loop import prepare
    from segablate.evaluation.origin import with_origin

    segmenter = open_checkpoint(checkpoint, loading)
    require_scores(segmenter, "atlas")
    request = Request(_with_entropy(asked.losses), (asked.tolerance,), calibration=False)
    segmenter, measures = prepared(segmenter, dataset, request, execution.display)
    plan = _planned(segmenter, dataset, measures, asked, execution)
    quick = {name: loss for name, loss in measures.losses.items() if name not in plan.few}
    measures = replace(measures, losses=quick, probe=plan.probe)
    work = prepare(segmenter, dataset, measures, execution.on_error)
    evaluation = with_origin(
        run(work, execution, counted(len(plan.probe.losses), "loss", "losses")), checkpoint, dataset, loading
    )
    counts = {name: (plan.costs[name].processor, number) for name, number in plan.few.items()}
    return Atlas(evaluation, tuple(plan.probe.losses.values()), plan.costs, counts, asked.same)


@dataclass(frozen=True)
class AtlasPlan:
    """The probe of an atlas, the costs of its losses on one image, and the number of images of the slow ones."""

    probe: AtlasProbe
    costs: "Mapping[str, Cost]"
    few: Mapping[str, int]


def _planned(
    segmenter: "Segmenter", dataset: "Dataset", measures: "Measures", asked: AtlasRequest, execution: Execution
) -> AtlasPlan:
    losses = measures.losses
    if len(losses) < 2:
        raise UsageError(f"--losses {asked.losses} leaves no loss to compare with {ENTROPY}; name another, or all")
    for name in asked.loss_images or {}:
        if name not in losses:
            raise UsageError(f"--loss-images: {name!r} is none of the losses of this atlas{did_you_mean(name, losses)}")
    sample = first_sample(segmenter, dataset, measures, execution)
    calls = {name: loss_call(loss, {}, sample) for name, loss in losses.items()}
    once = first_costs(calls, sample.logits.device)
    few = few_images(once, asked.loss_images, len(dataset))
    chosen = chosen_images(len(dataset), asked.gradient_images, few)
    costs = quick_costs({name: call for name, call in calls.items() if name not in few}, sample.logits.device)
    return AtlasPlan(AtlasProbe(losses, chosen), {**once, **costs}, few)


def first_sample(segmenter: "Segmenter", dataset: "Dataset", measures: "Measures", execution: Execution) -> LossInputs:
    """Return the inputs of losses for the first image, or the first that can be read where others are skipped."""
    from segablate.evaluation.loop import evaluate

    kept: list[LossInputs] = []

    def keep(sample: LossInputs) -> dict[str, Any]:
        kept.append(sample)
        return {}

    alone = replace(measures, losses={}, tolerances=(), probe=keep)
    for place, item in enumerate(dataset.items):
        try:
            evaluate(segmenter, replace(dataset, items=(item,)), alone)
            break
        except SegablateError:
            if execution.on_error == "stop" or place == len(dataset) - 1:
                raise
    return kept[0]


def first_costs(calls: "Mapping[str, Callable[[], object]]", device: "torch.device") -> "dict[str, Cost]":
    """Measure each of the calls once; in a team, those of its leader count for all.

    What seems slow on the CPU is run again in one thread, unless it clearly is: the less of the two processor times is
    that of the loss.
    """
    from segablate.ablation.cost import measure_once, processor_seconds

    costs = {name: measure_once(call, device) for name, call in calls.items()}
    for name, cost in costs.items():
        if device.type == "cpu" and SLOW < cost.processor < CLEARLY_SLOW:
            costs[name] = replace(cost, processor=min(cost.processor, processor_seconds(calls[name])))
    return team().gather(costs)[0]


def quick_costs(calls: "Mapping[str, Callable[[], object]]", device: Any, repeats: int = 3) -> "dict[str, Cost]":
    """Measure the calls that are not slow again, in turns."""
    from segablate.ablation.cost import measure_costs

    return dict(zip(calls, measure_costs(list(calls.values()), repeats, device), strict=True))


def few_images(once: "Mapping[str, Cost]", loss_images: Mapping[str, int] | None, images: int) -> dict[str, int]:
    """Return the losses that are measured on fewer than all images, with the number of them."""
    if loss_images is None:
        loss_images = {name: FEW for name, cost in once.items() if cost.processor > SLOW and name != ENTROPY}
    return {name: number for name, number in loss_images.items() if number < images}


def chosen_images(images: int, gradients: int | None, few: Mapping[str, int]) -> Chosen:
    """Choose evenly spaced images for gradients, and among these some for each loss that is measured on `few`.

    UsageError for more of these than images with gradients.
    """
    with_gradients = gradient_images(images, gradients)
    among = range(images) if with_gradients is None else sorted(with_gradients)
    for name, number in few.items():
        if number > len(among):
            raise UsageError(
                f"--loss-images {name}={number} is more than the {counted(len(among), 'image')} with gradients; give "
                f"at most {len(among)}, or raise --gradient-images"
            )
    some = {name: frozenset(among[place] for place in evenly_spaced(len(among), few[name])) for name in few}
    return Chosen(with_gradients, some)


def _with_entropy(losses: str) -> str:
    """Put cross entropy first into a list of losses that lacks it."""
    names = separated(losses, "--losses")
    if losses == "none" or not any(names):
        raise UsageError(f"--losses is {losses!r}, but an atlas compares losses; name some, or all")
    return losses if losses == "all" or ENTROPY in names else joined([ENTROPY, *names])
