"""One way to measure a segmenter on a dataset or on pairs, for evaluations and ablations."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from segablate.api.pairs import Pairs
from segablate.checkpoints import Segmenter
from segablate.datasets import Dataset
from segablate.datasets.reading import Failure
from segablate.errors import DatasetError, UsageError
from segablate.evaluation.inputs import Display, available, silent
from segablate.evaluation.loop import PreparedEvaluation, prepare
from segablate.evaluation.measures import Measures
from segablate.evaluation.measuring import Measuring, measured
from segablate.evaluation.remarks import without_remarks
from segablate.evaluation.results import Evaluation, ImageRecord, collect
from segablate.evaluation.session import Execution, Request, run
from segablate.losses import Loss, get_loss
from segablate.objective.catalogue import loadable_losses
from segablate.objective.written_lists import separated


def measure(
    segmenter: Segmenter, data: Dataset | Pairs, measures: Measures, execution: Execution, what: str
) -> Evaluation:
    """Measure a segmenter; `what` is printed beside the progress. Raises SegablateError for what cannot be measured."""
    if isinstance(data, Dataset):
        return run(prepare(segmenter, data, measures, execution.on_error), execution, what)
    if not segmenter.capabilities.images:
        raise UsageError(f"{segmenter.source.spec} has label maps by name, but pairs bring images; give a dataset")
    work = prepare(segmenter, data.dataset, measures, execution.on_error)
    notes: list[str] = []
    with execution.display(0, what) as advance, closing(data.samples()) as samples:
        measuring = Measuring(work.segmenter, work.dataset, measures)
        found = list(_counted(measured(samples, measuring, execution.batch_size, notes), advance))
    if not found:
        raise DatasetError("none of the pairs could be measured")
    return _whole(work, found, notes)


def for_pairs(data: Dataset | Pairs, request: Request, segmenter: Segmenter) -> tuple[Request, tuple[str, ...]]:
    """Return the request with losses that need only what pairs bring, and notes on those that "all" leaves out.

    Raises UsageError for a loss by name that needs more.
    """
    if isinstance(data, Dataset) or request.losses in (None, "none"):
        return request, ()
    if request.losses != "all":
        refuse_inputs(data, {name: get_loss(name) for name in separated(request.losses, "losses")})
        return request, ()
    losses, broken = loadable_losses()
    brought = available(segmenter) - {"edge_net"} - ({"image"} if data.floating else set())
    left = [name for name, loss in losses.items() if loss.needs({}) - brought]
    note = f'losses="all" leaves out {", ".join(left)}, which need what pairs or the network do not bring'
    kept = ",".join(name for name in losses if name not in left)
    return replace(request, losses=kept), (*broken, *([note] if left else []))


def refuse_inputs(data: Dataset | Pairs, losses: dict[str, Loss], settings: Any = None) -> None:
    """Raise UsageError for losses that need what pairs do not bring."""
    if isinstance(data, Dataset):
        return
    for name, loss in losses.items():
        needed = loss.needs(settings or {})
        if "edge_net" in needed:
            raise UsageError(
                f"{name} needs an edge network, which is trained on the masks of a dataset; give one, not pairs"
            )
        if "image" in needed and data.floating:
            raise UsageError(f"{name} needs images of 0..255; give images as uint8, not as floating point tensors")


def display(progress: "bool | Display") -> Display:
    """Return a progress bar where asked for, or none."""
    from segablate.render import progress as bar

    return progress if callable(progress) else bar if progress else silent


def _counted(results: Iterator[ImageRecord | Failure], advance: Callable[[int], None]) -> Iterator[ImageRecord]:
    for result in results:
        if isinstance(result, Failure):
            raise result.error
        advance(1)
        yield result


def _whole(work: PreparedEvaluation, records: list[ImageRecord], notes: list[str]) -> Evaluation:
    whole, remarks = without_remarks(collect(records, work.dataset.labels, facts={}), work.dataset)
    facts = {**work.facts, "dataset": {**work.facts["dataset"], "images": whole.images}}
    said = (*work.segmenter.source.notes, *notes, *work.measures.notes, *remarks)
    return replace(whole, facts=facts, notes=said)
