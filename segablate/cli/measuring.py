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
    from segablate.files import atomic_folder

    segmenter, measures = prepared(open_checkpoint(checkpoint, loading.loading(running)), data, measuring)
    if predictions is None:
        return run(segmenter, data, measures, running, "evaluating")
    if segmenter.on_host:
        raise UsageError(f"--write-predictions: {checkpoint} is a folder of predictions already")
    with atomic_folder(predictions) as folder:
        return run(segmenter, data, replace(measures, predictions=folder), running, "evaluating")


def run(
    segmenter: "Segmenter", data: "Dataset", measures: "Measures", running: RunningOptions, what: str
) -> "Evaluation":
    """The evaluation loop under the options of the command line, with a progress bar."""
    from segablate.evaluation import evaluate
    from segablate.render import progress

    with progress(len(data), what) as advance:
        return evaluate(
            segmenter,
            data,
            measures,
            batch_size=running.batch_size,
            workers=running.processes,
            on_error=running.on_error,
            progress=advance,
        )


def prepared(segmenter: "Segmenter", data: "Dataset", measuring: MeasureOptions) -> "tuple[Segmenter, Measures]":
    """The segmenter with what losses need, and what is measured. UsageError for losses where there are no scores."""
    from segablate.losses import get_loss, loss_names
    from segablate.measures import Measures

    asked = measuring.losses
    if segmenter.on_host and asked in (None, "none"):
        band, near = measuring.widths
        return segmenter, Measures(tolerances=measuring.tolerances, boundary_iou=band, error_kinds=near)
    listed = [name.strip() for name in (asked or "ce").split(",")]
    terms = {name: get_loss(name) for name in {"none": (), "all": loss_names()}.get(asked or "", listed)}
    wanting = [name for name, term in terms.items() if asked == "all" and term.needs({}) - available(segmenter)]
    terms = {name: term for name, term in terms.items() if name not in wanting}
    needs = frozenset[str]().union(*(term.needs({}) for term in terms.values()))
    segmenter, inputs, notes = with_inputs(segmenter, needs, data, f"--losses {asked}")
    if wanting:
        notes = (*notes, f"--losses all leaves out {', '.join(wanting)}: they need the image or features of a network")
    described = [name for name, term in terms.items() if term.after_description]
    if described:
        notes = (*notes, f"formulas by this project, after the papers' description: {', '.join(described)}")
    reads = {name: term.reads({}) for name, term in terms.items()}
    band, near = measuring.widths
    return segmenter, Measures(terms, measuring.tolerances, band, near, inputs=inputs, reads=reads, notes=notes)


def available(segmenter: "Segmenter") -> frozenset[str]:
    """What losses may have beside logits and labels with this segmenter, by name."""
    inference = getattr(segmenter, "inference", None)
    features = hasattr(segmenter, "keep_features") and (inference is None or inference.plain)
    return frozenset(
        {"edge_net"} | ({"features"} if features else set()) | ({"image"} if segmenter.needs_images else set())
    )


def with_inputs(
    segmenter: "Segmenter", needs: Collection[str], data: "Dataset", what: str
) -> "tuple[Segmenter, dict[str, Any], tuple[str, ...]]":
    """The segmenter such that it gives what losses need, what is the same for all images, and notes on it.

    Raises UsageError where it cannot: label maps have no logits, and not every checkpoint has features.
    """
    if segmenter.on_host:
        raise UsageError(
            f"{what} needs logits, but {segmenter.source.spec} gives label maps; give the checkpoint itself, or "
            f"predictions saved as .npz with logits"
        )
    missing = sorted(set(needs) - available(segmenter))
    if missing:
        raise UsageError(
            f"{what} needs the {' and '.join(missing)}, which {segmenter.source.spec} does not give; evaluate the "
            f"network itself, without windows and flips"
        )
    if "features" in needs:
        segmenter = replace(segmenter, keep_features=True)  # type: ignore[type-var]
    if "edge_net" not in needs:
        return segmenter, {}, ()
    inputs, note = _edge_network(segmenter, data)
    return segmenter, inputs, (note,)


def _edge_network(segmenter: "Segmenter", data: "Dataset") -> tuple[dict[str, Any], str]:
    """SEMEDA's edge network for a dataset, on the segmenter's device, and what it is called."""
    from segablate.edges import Training, edge_network_for
    from segablate.render import progress

    with progress(Training().steps, "training the edge network of SEMEDA") as advance:
        network = edge_network_for(data, progress=advance)
    device = getattr(segmenter, "device", "cpu")
    layers = tuple((weight.to(device), bias.to(device)) for weight, bias in network.layers)
    facts = network.facts
    note = (
        f"semeda compares by edge network {network.hash}, trained on {facts['masks_read']} masks of split "
        f"{facts['split']}; values under another network are not comparable"
    )
    return {"edge_net": layers}, note


def default_dataset(checkpoint: str, command: str) -> str:
    """The sample data for the sample's checkpoints; UsageError for any other, whose dataset must be named."""
    if checkpoint.startswith("sample:"):
        return "sample"
    raise UsageError(f"which dataset is {checkpoint} to be evaluated on? as in: segablate {command} folder:DIR")
