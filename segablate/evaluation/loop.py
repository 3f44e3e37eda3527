"""The evaluation loop: samples in, per-image counts and values out.

Results are collected in parts as the loop goes. Parts are small, can be written as pieces from which an interrupted run
is resumed, and are joined over several processes.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from segablate import __version__
from segablate.checkpoints.label_maps import encoding_notes
from segablate.checkpoints.segmenter import Delegate, OnError, Segmenter, Substitute, no_substitute
from segablate.datasets.dataset import Dataset
from segablate.datasets.reading import Failure
from segablate.errors import DatasetError, SegablateError, thousands, unskippable
from segablate.evaluation.clock import TimedSegmenter
from segablate.evaluation.joining import PackedPart, join_packed
from segablate.evaluation.measures import Measures
from segablate.evaluation.measuring import Measuring
from segablate.evaluation.pieces import Pieces
from segablate.evaluation.remarks import without_remarks
from segablate.evaluation.results import Evaluation, ImageRecord, Skipped, collect, select
from segablate.files import fingerprint
from segablate.runtime import Team

Progress = Callable[[int], None]


def _silent(images: int) -> None:
    pass


@dataclass(frozen=True)
class PreparedEvaluation:
    """An evaluation that is ready to be run: a segmenter prepared for the dataset, and what to measure.

    `facts`: what is run, as plain values, for the head of a page and for the run; `notes`: further notes of the run.
    """

    segmenter: Segmenter
    dataset: Dataset
    measures: Measures
    on_error: OnError
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoopOptions:
    """Options of the loop that change no number.

    - `workers`: processes that read; `progress`: called with the number of images that were finished.
    - `team`: the processes that share the work, each of which gets the whole result.
    - `pieces`: what earlier attempts measured, and the folder for what this one measures.
    - `stamps`: stamps of the image files by image name, for the pieces; see :meth:`Dataset.stamp`.
    - `substitute`: what runs in the place of the segmenter.
    """

    batch_size: int = 4
    workers: int = 0
    progress: Progress = _silent
    team: Team = field(default_factory=Team)
    pieces: Pieces | None = None
    stamps: Mapping[str, str] = field(default_factory=dict)
    substitute: Substitute = no_substitute


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    measures: Measures,
    *,
    batch_size: int = 4,
    workers: int = 0,
    on_error: OnError = "stop",
    progress: Progress | None = None,
) -> Evaluation:
    """Run a checkpoint over a dataset, in this process.

    With `on_error` "skip", images that cannot be read or measured are left out and named in the result; otherwise the
    first of them ends the run with its error. Raises a SegablateError, also when no image is left.
    """
    running = LoopOptions(batch_size, workers, progress or _silent)
    return carry_out(prepare(segmenter, dataset, measures, on_error), running)


def prepare(
    segmenter: Segmenter, dataset: Dataset, measures: Measures, on_error: OnError = "stop"
) -> PreparedEvaluation:
    """Prepare a checkpoint for a dataset. Raises CheckpointError where it lacks something for it."""
    dataset = dataset.with_bands(segmenter.capabilities.bands)
    segmenter = segmenter.for_dataset(dataset, on_error)
    return PreparedEvaluation(segmenter, dataset, measures, on_error, _facts(segmenter, dataset, measures))


def carry_out(work: PreparedEvaluation, running: LoopOptions) -> Evaluation:
    """Measure the images without a piece, each process of the team its share, and join all; see :func:`evaluate`."""
    everything = range(len(work.dataset))
    kept = running.pieces.kept if running.pieces else ()
    done = {name for part in kept for name in part.names}
    timed = TimedSegmenter(work.segmenter)
    todo = running.team.share([index for index in everything if work.dataset.names[index] not in done])
    running.progress(len(running.team.share(everything)) - len(todo))
    parts: list[PackedPart] = []
    skipped: list[Skipped] = []
    with running.substitute(timed, work.dataset) as segmenter:
        for part in _parts(replace(work, segmenter=segmenter), running, todo, skipped):
            if running.pieces:
                running.pieces.write(part, running.stamps, len(parts))
            parts.append(PackedPart.of(part))
    found = running.team.gather((parts, skipped))
    parts = [*map(PackedPart.of, kept), *(part for parts, _ in found for part in parts)]
    timing = timed.facts(running.batch_size) or _untimed(segmenter)
    work = replace(work, facts={**work.facts, **timing})
    return _whole(work, parts, [each for _, skipped in found for each in skipped])


def _untimed(segmenter: Segmenter) -> dict[str, Any]:
    """Return why a run has no time of its network, as facts: it was evaluated on something else than images."""
    on = segmenter.evaluated_on if isinstance(segmenter, Delegate) else ""
    return {"timing": {"milliseconds per image": None, "evaluated on": on}} if on else {}


def _parts(
    work: PreparedEvaluation, running: LoopOptions, todo: Sequence[int], skipped: list[Skipped]
) -> Iterator[Evaluation]:
    """Measure these images and yield the results in parts; images that could not be measured go to `skipped`.

    An error that stops the run is raised after the part in progress.
    """
    notes: list[str] = []
    records: list[ImageRecord] = []
    stopped: SegablateError | None = None
    due = _pace()
    measuring = Measuring(work.segmenter, work.dataset, work.measures)
    with measuring.records(todo, running.workers, running.batch_size, notes) as results:
        for result in results:
            running.progress(1)
            if not isinstance(result, Failure):
                records.append(result)
            elif work.on_error == "skip":
                skipped.append(Skipped(work.dataset.names[result.index], str(unskippable(result.error))))
            else:
                stopped = result.error
                break
            if records and due():
                yield collect(records, work.dataset.labels, facts={}, notes=tuple(notes))
                records = []
    if records:
        yield collect(records, work.dataset.labels, facts={}, notes=tuple(notes))
    if stopped:
        raise stopped


def _pace(first: float = 0.25, share: float = 0.01) -> Callable[[], bool]:
    """Return a function that says whether a part should end: after `first` seconds plus `share` of the time so far.

    A run that is killed then loses about 1 % of its time, and the number of parts grows with the logarithm of its time.
    """
    began = last = time.monotonic()

    def due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < first + share * (now - began):
            return False
        last = now
        return True

    return due


def _whole(work: PreparedEvaluation, parts: Sequence[PackedPart], skipped: Sequence[Skipped]) -> Evaluation:
    """Join the parts of all processes and attempts to one evaluation, in the dataset's order."""
    places = {name: place for place, name in enumerate(work.dataset.names)}
    skipped = sorted(skipped, key=lambda each: places[each.name])
    if not parts:
        raise DatasetError(f"no image of {thousands(len(places))} could be measured; first: {skipped[0].reason}")
    whole = join_packed(parts)
    whole = select(whole, np.argsort([places[name] for name in whole.names]).tolist())
    whole, remarks = without_remarks(whole, work.dataset)
    source = work.segmenter.source
    encoding = encoding_notes(source, whole.confusion, whole.alternative)
    said = (*source.notes, *whole.notes, *work.measures.notes, *work.dataset.notes, *remarks, *encoding, *work.notes)
    return replace(whole, facts=work.facts, notes=said, skipped=tuple(skipped), alternative=None)


def _facts(segmenter: Segmenter, dataset: Dataset, measures: Measures) -> dict[str, Any]:
    """Return what is run, as plain values, for the head of a page and for the run."""
    source = segmenter.source
    return {
        "checkpoint": {
            "name": source.spec,
            "files": {path.name: fingerprint(path) for path in source.files},
            **source.facts,
        },
        "dataset": {
            "name": dataset.spec,
            "split": dataset.split,
            "images": len(dataset),
            "label set": dataset.labels.name,
        },
        "measures": {
            "losses": {name: term.summary for name, term in measures.losses.items()},
            "tolerances": [str(tolerance) for tolerance in measures.tolerances],
            **({"boundary_iou": str(measures.boundary_iou)} if measures.boundary_iou else {}),
            **({"error_kinds": str(measures.error_kinds)} if measures.error_kinds else {}),
        },
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of this program, Python and the packages that compute."""
    return {
        "segablate": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in ("numpy", "torch", "opencv-python-headless")},
    }
