"""From a specification on the command line to an evaluation, for every command that needs one."""

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from segablate.cli.options import CheckpointOptions, MeasureOptions, RunningOptions
from segablate.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from segablate.checkpoints import Segmenter
    from segablate.datasets import Dataset
    from segablate.measures import Measures
    from segablate.results import Evaluation


def measured(
    checkpoint: str,
    data: "Dataset",
    measuring: MeasureOptions,
    loading: CheckpointOptions,
    running: RunningOptions,
    predictions: "Path | None" = None,
) -> "Evaluation":
    """Open a checkpoint and evaluate it on a dataset, with a progress bar; write its predictions where asked to."""
    from segablate.checkpoints import open_checkpoint
    from segablate.evaluation import evaluate
    from segablate.render import progress

    segmenter = open_checkpoint(checkpoint, loading.loading(running))
    measures = chosen_measures(measuring, segmenter)
    if predictions is not None:
        if segmenter.on_host:
            raise UsageError(f"--write-predictions: {checkpoint} is a folder of predictions already")
        measures = replace(measures, predictions=predictions)
    with progress(len(data), "evaluating") as advance:
        run = evaluate(
            segmenter,
            data,
            measures,
            batch_size=running.batch_size,
            workers=running.processes,
            on_error=running.on_error,
            progress=advance,
        )
    return replace(run, notes=(*run.notes, *left_out(measuring, measures)))


def chosen_measures(measuring: MeasureOptions, segmenter: "Segmenter") -> "Measures":
    """What is measured on this checkpoint. UsageError when a loss was asked for and there are no scores."""
    from segablate.losses import get_loss, loss_names
    from segablate.measures import Measures

    asked = measuring.losses
    if segmenter.on_host:
        if asked not in (None, "none"):
            raise UsageError(
                f"--losses {asked} needs logits, but {segmenter.source.spec} gives label maps; leave --losses out, "
                f"or evaluate the checkpoint itself"
            )
        return Measures({}, measuring.tolerances)
    names = {None: ["ce"], "none": [], "all": loss_names()}.get(
        asked, [name.strip() for name in (asked or "").split(",")]
    )
    terms = {name: get_loss(name) for name in names}
    if asked == "all":
        terms = {name: term for name, term in terms.items() if not term.needs({})}
    return Measures(terms, measuring.tolerances)


def left_out(measuring: MeasureOptions, measures: "Measures") -> tuple[str, ...]:
    """A note on the losses that ``all`` leaves out, as they need more than logits and labels."""
    from segablate.losses import get_loss, loss_names

    missing = sorted(set(loss_names()) - set(measures.losses)) if measuring.losses == "all" else []
    needs = (f"{name} ({', '.join(sorted(get_loss(name).needs({})))})" for name in missing)
    return (f"--losses all leaves out what needs more than logits: {', '.join(needs)}",) if missing else ()


def with_inputs(
    segmenter: "Segmenter", needs: Collection[str], data: "Dataset", what: str
) -> "tuple[Segmenter, dict[str, Any]]":
    """The segmenter such that it gives what losses need beside logits, and what is the same for all images.

    Raises UsageError where it cannot: label maps have no logits, and not every checkpoint has features.
    """
    if segmenter.on_host:
        raise UsageError(
            f"{what} needs logits, but {segmenter.source.spec} gives label maps; give the checkpoint itself, or "
            f"predictions saved as .npz with logits"
        )
    if "features" in needs:
        if not hasattr(segmenter, "keep_features"):
            raise UsageError(f"{what} needs the features of a network, but {segmenter.source.spec} gives logits alone")
        segmenter = replace(segmenter, keep_features=True)  # type: ignore[type-var]
    return segmenter, {}


def default_dataset(checkpoint: str, command: str) -> str:
    """The sample data for the sample's checkpoints; UsageError for any other, whose dataset must be named."""
    if checkpoint.startswith("sample:"):
        return "sample"
    raise UsageError(f"which dataset is {checkpoint} to be evaluated on? as in: segablate {command} folder:DIR")
