"""Evaluate a checkpoint by its name: open it, provide the inputs of losses, measure it or take it from the cache.

The commands, training, reports and the public API evaluate through this module.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segablate.checkpoints.segmenter import Loading, OnError, Segmenter, Substitute, no_substitute
from segablate.errors import UsageError
from segablate.evaluation.inputs import Display, available, require_scores, silent, with_inputs
from segablate.evaluation.persistence import Persistence, new_folder, to_be_resumed
from segablate.runtime import team

if TYPE_CHECKING:
    from segablate.datasets import Dataset
    from segablate.evaluation.loop import PreparedEvaluation
    from segablate.evaluation.measures import LabelCount, Measures
    from segablate.evaluation.pieces import Pieces
    from segablate.evaluation.results import Evaluation
    from segablate.metrics.tolerance import Tolerance


@dataclass(frozen=True)
class Request:
    """The measures to take.

    - `losses`: comma-separated names, "all" or "none"; None: cross entropy where there are logits.
    - `tolerances`: tolerances of boundary scores; may be empty.
    - `calibration`: whether to count calibration; None: where there are logits.
    - `boundary_iou`, `error_kinds`: width of the band and of boundaries; None: not counted.
    - `counts`: further counts of label maps.
    """

    losses: str | None = None
    tolerances: "tuple[Tolerance, ...]" = ()
    calibration: bool | None = None
    boundary_iou: "Tolerance | None" = None
    error_kinds: "Tolerance | None" = None
    counts: "tuple[LabelCount, ...]" = ()


@dataclass(frozen=True)
class Execution:
    """Options of the execution; except `on_error`, none of them changes a number.

    - `workers`: threads or processes that read images.
    - `on_error`: what to do at an image that cannot be read: "stop" the run, or "skip" the image and name it.
    - `display`: displays the progress.
    - `substitute`: what runs in the place of the segmenter.
    """

    batch_size: int = 4
    workers: int = 0
    on_error: OnError = "stop"
    display: Display = silent
    substitute: Substitute = no_substitute


_NOTHING = Persistence(cache=False)


def evaluate_checkpoint(
    checkpoint: str,
    dataset: "Dataset",
    request: Request = Request(),
    loading: Loading | None = None,
    execution: Execution = Execution(),
    keeping: Persistence = _NOTHING,
) -> "Evaluation":
    """Open a checkpoint and evaluate it on a dataset, or take an unchanged evaluation from the cache.

    Raises a SegablateError for what cannot be opened or measured.
    """
    from segablate.evaluation.origin import with_origin

    loading = loading or Loading()
    found = _evaluated(checkpoint, dataset, request, loading, execution, keeping)
    return with_origin(found, checkpoint, dataset, loading, keeping.predictions)


def _evaluated(
    checkpoint: str,
    dataset: "Dataset",
    request: Request,
    loading: Loading,
    execution: Execution,
    keeping: Persistence,
) -> "Evaluation":
    """Take an unchanged evaluation from the cache without opening the checkpoint, or open and evaluate it."""
    if not keeping.cache or keeping.writes or team().size > 1:
        return _opened_and_evaluated(checkpoint, dataset, request, loading, execution, keeping)
    from segablate.evaluation.manifests import manifest_key

    asked = manifest_key(checkpoint, dataset, request, loading, execution.on_error)
    found = _found_unopened(asked, dataset)
    return found or _opened_and_evaluated(checkpoint, dataset, request, loading, execution, keeping, asked)


def _found_unopened(asked: str, dataset: "Dataset") -> "Evaluation | None":
    """Return the cached evaluation that a manifest leads to; None without one, or where a file has changed."""
    from segablate.evaluation.cache import kept_evaluation, key_of
    from segablate.evaluation.identity import stamps_of
    from segablate.evaluation.manifests import find_manifest

    manifest = find_manifest(asked)
    key = key_of(manifest.identity, stamps_of(dataset, manifest.images)) if manifest else None
    found = kept_evaluation(key) if key else None
    return found if manifest and found and manifest.unchanged() else None


def _opened_and_evaluated(
    checkpoint: str,
    dataset: "Dataset",
    request: Request,
    loading: Loading,
    execution: Execution,
    keeping: Persistence,
    asked: str | None = None,
) -> "Evaluation":
    """Open a checkpoint; evaluate it, or take the evaluation from the cache. `asked`: the key of its manifest."""
    from segablate.checkpoints import open_checkpoint
    from segablate.evaluation.cache import keep_evaluation, kept_evaluation, key_of
    from segablate.evaluation.identity import identity_of, stamps_of
    from segablate.evaluation.loop import prepare
    from segablate.evaluation.manifests import keep_manifest

    segmenter, measures = prepared(open_checkpoint(checkpoint, loading), dataset, request, execution.display)
    if keeping.predictions is not None and segmenter.capabilities.on_host:
        raise UsageError(f"--write-predictions: {checkpoint} is already a folder of predictions")
    work = prepare(segmenter, dataset, measures, execution.on_error)
    identity, stamps = identity_of(work, loading), stamps_of(dataset, work.segmenter.capabilities.images)
    key = key_of(identity, stamps) if keeping.cache and not keeping.writes else None
    together = team()
    found = together.gather(kept_evaluation(key) if key and together.leads else None)[0]
    if found is None:
        found = _kept_while_run(work, identity, stamps, execution, keeping)
        if key and together.leads:
            keep_evaluation(key, found)
    if asked:
        keep_manifest(asked, work, identity)
    return found


def times_in_turns(
    checkpoints: Sequence[str], dataset: "Dataset", loading: Loading, batch_size: int
) -> dict[str, float]:
    """Return the milliseconds per image of checkpoints, measured in turns on the first images of a dataset.

    All are in memory together. Raises UsageError for what reads no images, such as a folder of predictions.
    """
    from segablate.checkpoints import open_checkpoint
    from segablate.evaluation.clock import milliseconds_in_turns
    from segablate.samples import Batch

    segmenters = [open_checkpoint(name, loading).for_dataset(dataset, "stop") for name in checkpoints]
    for name, segmenter in zip(checkpoints, segmenters, strict=True):
        if not segmenter.capabilities.images:
            raise UsageError(f"--time: {name} has label maps only; leave out --time, or give the network")
    dataset = dataset.with_bands(max(segmenter.capabilities.bands for segmenter in segmenters))
    samples = [dataset.read(index) for index in range(min(batch_size, len(dataset)))]
    sizes = samples[0].size, samples[0].image_size
    batch = Batch(tuple(sample for sample in samples if (sample.size, sample.image_size) == sizes))
    return dict(zip(checkpoints, milliseconds_in_turns(segmenters, batch), strict=True))


def run(
    work: "PreparedEvaluation",
    execution: Execution,
    what: str,
    pieces: "Pieces | None" = None,
    stamps: Mapping[str, str] | None = None,
) -> "Evaluation":
    """Run a prepared evaluation, each process of the team its share; `what` labels the progress bar."""
    from segablate.evaluation.loop import LoopOptions, carry_out

    together = team()
    share = len(together.share(range(len(work.dataset))))
    with (execution.display if together.leads else silent)(share, what) as advance:
        given = execution.batch_size, execution.workers, advance, together, pieces, stamps or {}
        how = LoopOptions(*given, execution.substitute)
        return carry_out(work, how)


def prepared(
    segmenter: Segmenter, dataset: "Dataset", request: Request, display: Display = silent
) -> "tuple[Segmenter, Measures]":
    """Return the segmenter with the inputs of losses, and the measures. UsageError for losses without scores."""
    from segablate.evaluation.measures import Measures
    from segablate.losses import get_loss
    from segablate.objective.catalogue import loadable_losses
    from segablate.objective.written_lists import separated

    asked = request.losses
    if request.calibration:
        require_scores(segmenter, "calibration")
    measures = Measures(
        tolerances=request.tolerances,
        boundary_iou=request.boundary_iou,
        error_kinds=request.error_kinds,
        counts=request.counts,
    )
    if not segmenter.capabilities.scores and asked in (None, "none"):
        return segmenter, measures
    listed = separated(asked or "ce", "--losses")
    losses, broken = loadable_losses() if asked == "all" else ({}, ())
    if asked not in ("all", "none"):
        losses = {name: get_loss(name) for name in listed}
    wanting = [name for name, loss in losses.items() if asked == "all" and loss.needs({}) - available(segmenter)]
    losses = {name: loss for name, loss in losses.items() if name not in wanting}
    needs = frozenset[str]().union(*(loss.needs({}) for loss in losses.values()))
    segmenter, inputs, notes = with_inputs(segmenter, needs, dataset, f"--losses {asked}", display)
    notes = (*notes, *broken)
    if wanting:
        notes = (*notes, f"--losses all leaves out {', '.join(wanting)}, which need the image or features of a network")
    described = [name for name, loss in losses.items() if loss.after_description]
    if described:
        notes = (*notes, f"implemented by this project from the description in the paper: {', '.join(described)}")
    reads = {name: loss.reads({}) for name, loss in losses.items()}
    calibration = request.calibration is not False
    return segmenter, replace(measures, losses=losses, calibration=calibration, inputs=inputs, reads=reads, notes=notes)


def _kept_while_run(
    work: "PreparedEvaluation",
    identity: Mapping[str, Any],
    stamps: Mapping[str, str],
    execution: Execution,
    keeping: Persistence,
) -> "Evaluation":
    """Run the evaluation, writing pieces and predictions where these are asked for."""
    from segablate.evaluation.error_maps import write_key
    from segablate.evaluation.pieces import open_pieces

    together = team()
    pieces = None
    if keeping.save is not None:
        opened = open_pieces(keeping.save, identity, work.dataset.labels, stamps) if together.leads else None
        pieces = together.gather(opened)[0]
    if pieces is not None:
        pieces = replace(pieces, rank=together.rank)
        work = replace(work, notes=pieces.notes)
    wanted = [path if together.leads else None for path in (keeping.predictions, keeping.errors)]
    maps, errors = (nullcontext() if path is None else new_folder(path) for path in wanted)
    with to_be_resumed(keeping, pieces), maps as maps_folder, errors as errors_folder:
        if errors_folder is not None:
            write_key(errors_folder)
        maps_folder, errors_folder = together.gather((maps_folder, errors_folder))[0]
        measures = replace(work.measures, predictions=maps_folder, errors=errors_folder)
        return run(replace(work, measures=measures), execution, "evaluating", pieces, stamps)
