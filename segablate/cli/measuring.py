"""From a specification on the command line to an evaluation, for every command that needs one."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.cli.options import CheckpointOptions, MeasureOptions, RunningOptions
from segablate.errors import Interrupted, SegablateError, UsageError

if TYPE_CHECKING:
    from segablate.checkpoints import Segmenter
    from segablate.datasets import Dataset
    from segablate.evaluation.loop import Work
    from segablate.evaluation.measures import LabelCount, Measures
    from segablate.evaluation.pieces import Pieces
    from segablate.evaluation.results import Evaluation


@dataclass(frozen=True)
class Keeping:
    """What is kept of an evaluation.

    - `cache`: take an unchanged one from the cache, and put a new one there.
    - `save`: the run it is to become, beside which pieces are written as it goes; `resume`: go on from these.
    - `predictions`: a new folder for the predicted label maps.
    """

    cache: bool = True
    save: Path | None = None
    resume: bool = False
    predictions: Path | None = None

    def refuse_early(self) -> None:
        """Refuse before the work what cannot be done after it."""
        from segablate.evaluation.pieces import refuse_partial
        from segablate.evaluation.runs import refuse_existing

        for taken in (self.save, self.predictions):
            if taken is not None:
                refuse_existing(taken)
        if self.save is not None:
            refuse_partial(self.save, self.resume)
        elif self.resume:
            raise UsageError("--resume goes on with a broken run; name the run, as in: --save RUN --resume")
        if self.resume and self.predictions is not None:
            raise UsageError("--write-predictions needs every image again; leave it out, or leave out --resume")


def measured(
    checkpoint: str,
    data: "Dataset",
    measuring: MeasureOptions,
    loading: CheckpointOptions,
    running: RunningOptions,
    keeping: Keeping,
    counts: "tuple[LabelCount, ...]" = (),
) -> "Evaluation":
    """Open a checkpoint and evaluate it on a dataset with a progress bar, or take an unchanged evaluation as it is."""
    from segablate.checkpoints import open_checkpoint
    from segablate.evaluation.cache import keep_evaluation, kept_evaluation, key_of
    from segablate.evaluation.identity import identity_of, stamps_of
    from segablate.evaluation.loop import prepare
    from segablate.runtime import team

    options = loading.loading(running)
    segmenter, measures = prepared(open_checkpoint(checkpoint, options), data, measuring)
    measures = replace(measures, counts=counts)
    if keeping.predictions is not None and segmenter.on_host:
        raise UsageError(f"--write-predictions: {checkpoint} is a folder of predictions already")
    work = prepare(segmenter, data, measures, running.on_error)
    identity, stamps = identity_of(work, options), stamps_of(work)
    key = key_of(identity, stamps) if keeping.cache and keeping.predictions is None else None
    together = team()
    found = together.gather(kept_evaluation(key) if key and together.leads else None)[0]
    if found is None:
        found = _kept_while_run(work, identity, stamps, running, keeping)
        if key and together.leads:
            keep_evaluation(key, found)
    return found


def _kept_while_run(
    work: "Work", identity: "Mapping[str, Any]", stamps: "Mapping[str, str]", running: RunningOptions, keeping: Keeping
) -> "Evaluation":
    """Carry the work out, writing pieces and predictions where these are asked for."""
    from segablate.evaluation.pieces import open_pieces
    from segablate.files import atomic_folder
    from segablate.runtime import team

    together = team()
    pieces = None
    if keeping.save is not None:
        opened = open_pieces(keeping.save, identity, work.dataset.labels, stamps) if together.leads else None
        pieces = together.gather(opened)[0]
    if pieces is not None:
        pieces = replace(pieces, rank=together.rank)
        work = replace(work, notes=pieces.notes)
    new = atomic_folder(keeping.predictions) if keeping.predictions and together.leads else nullcontext()
    with _to_be_resumed(keeping, pieces), new as folder:
        measures = replace(work.measures, predictions=together.gather(folder)[0])
        return run(replace(work, measures=measures), running, "evaluating", pieces, stamps)


@contextmanager
def _to_be_resumed(keeping: Keeping, pieces: "Pieces | None") -> Iterator[None]:
    """Say of what ends a run that one can go on; where there is nothing to go on from, leave nothing behind."""
    from segablate.evaluation.pieces import remove_pieces
    from segablate.runtime import team

    try:
        yield
    except (KeyboardInterrupt, SegablateError) as error:
        if keeping.save is None or pieces is None:
            raise
        if not pieces.found():
            if team().size == 1:
                remove_pieces(keeping.save)
            raise
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(f"interrupted; {pieces.folder} holds what was measured: go on with --resume") from None
        error.args = (f"{error}; then go on with --resume",)
        raise


def run(
    work: "Work",
    running: RunningOptions,
    what: str,
    pieces: "Pieces | None" = None,
    stamps: "Mapping[str, str] | None" = None,
) -> "Evaluation":
    """The evaluation loop under the options of the command line, with a progress bar."""
    from segablate.evaluation.loop import Running, carry_out
    from segablate.render import progress
    from segablate.runtime import team

    together = team()
    share = len(together.share(range(len(work.dataset))))
    with progress(share, what, silent=not together.leads) as advance:
        how = Running(running.batch_size, running.processes, advance, together, pieces, stamps or {})
        return carry_out(work, how)


def prepared(segmenter: "Segmenter", data: "Dataset", measuring: MeasureOptions) -> "tuple[Segmenter, Measures]":
    """The segmenter with what losses need, and what is measured. UsageError for losses where there are no scores."""
    from segablate.evaluation.measures import Measures
    from segablate.losses import get_loss, loss_names

    asked = measuring.losses
    if measuring.calibration:
        _require_logits(segmenter, "calibration")
    band, near = measuring.widths
    if gives_label_maps(segmenter) and asked in (None, "none"):
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
    measures = Measures(
        terms,
        measuring.tolerances,
        calibration=measuring.calibration is not False,
        boundary_iou=band,
        error_kinds=near,
        inputs=inputs,
        reads=reads,
        notes=notes,
    )
    return segmenter, measures


def gives_label_maps(segmenter: "Segmenter") -> bool:
    """Whether it is known to give no scores: predictions, or a network with its argmax inside."""
    return segmenter.on_host or getattr(segmenter, "kind", None) == "labels"


def available(segmenter: "Segmenter") -> frozenset[str]:
    """What losses may have beside logits and labels with this segmenter, by name."""
    features = getattr(segmenter, "gives_features", False)
    return frozenset(
        {"edge_net"} | ({"features"} if features else set()) | ({"image"} if segmenter.needs_images else set())
    )


def with_inputs(
    segmenter: "Segmenter", needs: Collection[str], data: "Dataset", what: str
) -> "tuple[Segmenter, dict[str, Any], tuple[str, ...]]":
    """The segmenter such that it gives what losses need, what is the same for all images, and notes on it.

    Raises UsageError where it cannot: label maps have no logits, and not every checkpoint has features.
    """
    _require_logits(segmenter, what)
    missing = sorted(set(needs) - available(segmenter))
    if missing:
        raise UsageError(
            f"{what} needs the {' and '.join(missing)}, which {segmenter.source.spec} does not give; evaluate the "
            f"network itself, with its code, without windows and flips"
        )
    if "features" in needs:
        segmenter = replace(segmenter, keep_features=True)  # type: ignore[type-var]
    if "edge_net" not in needs:
        return segmenter, {}, ()
    inputs, note = _edge_network(segmenter, data)
    return segmenter, inputs, (note,)


def _require_logits(segmenter: "Segmenter", what: str) -> None:
    if gives_label_maps(segmenter):
        raise UsageError(
            f"{what} needs logits, but {segmenter.source.spec} gives label maps; give the checkpoint itself, or "
            f"predictions saved as .npz with logits"
        )


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
