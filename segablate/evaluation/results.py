"""Results of an evaluation: counts and values of each image, and the facts of the run.

A saved run is a folder (:mod:`segablate.evaluation.runs`), format 1, described in ``docs/reference/run-format.md``::

    run.json       what was run, versions, hashes, the label set, notes, skipped images, hashes of the other files
    counts.npz     per image: names, sizes, label hashes, confusion counts, boundary counts, values of losses
    summary.json   the report as ``--format json`` prints it, for scripts; derived, never read back

The counts are read with numpy in three lines; the last label is void, the last prediction is of no class::

    run = numpy.load("RUN/counts.npz")
    table = numpy.zeros((len(run["names"]), run["classes"] + 1, run["classes"] + 1), int)
    table[run["image"], run["label"], run["predicted"]] = run["pixels"]
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from segablate.archives import read_structure
from segablate.errors import RunError, at
from segablate.evaluation.runs import npz, packed, read_run, write_run
from segablate.evaluation.stored import check_boundary, check_counts, label_set
from segablate.labels import LabelSet
from segablate.metrics.boundary import BoundaryCounts, merge
from segablate.metrics.confusion import Confusion, column_types

COUNTS = "counts.npz"


@dataclass(frozen=True)
class ImageRecord:
    """The measurements of one image.

    - `confusion`: counts of the one image, sparse, as a dense table of 847 classes takes 5.7 MB.
    - `boundary`: boundary distances, where they were asked for.
    - `values`: one float64 for each loss; nan where it is undefined.
    - `statistics`: further counts and sums by name, arrays of the same shapes for every image; a run keeps them.
    - `probed`: arrays of a further measurement, see :data:`segablate.evaluation.measures.Probe`.
    - `alternative`: as `confusion`, for :attr:`Output.alternative`; a run does not keep it.
    """

    index: int
    name: str
    size: tuple[int, int]
    label_hash: str
    confusion: Confusion
    values: Mapping[str, float] = field(default_factory=dict)
    boundary: BoundaryCounts | None = None
    alternative: Confusion | None = None
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)
    probed: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """An image that could not be read or measured, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """The results of a checkpoint on a dataset of N images and C classes.

    - `labels`: the label set; `names`, `sizes` (N, 2) and `label_hashes`: the images, in the dataset's order.
    - `confusion`, `boundary`, `values` (each (N,) float64, nan where undefined): what was measured.
    - `statistics`: further counts and sums by name, (N, ...) each, defined by the metric that counted them.
    - `facts`: what was run, as plain values: checkpoint, dataset, options, versions.
    - `probed`: further measurements, stacked over images, (N, ...); not saved.
    - `alternative`: as `confusion`, for :attr:`Output.alternative`, where every image has it; not saved.
    """

    labels: LabelSet
    names: tuple[str, ...]
    sizes: np.ndarray
    label_hashes: tuple[str, ...]
    confusion: Confusion
    values: Mapping[str, np.ndarray]
    boundary: BoundaryCounts | None
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)
    probed: Mapping[str, np.ndarray] = field(default_factory=dict)
    alternative: Confusion | None = None

    @property
    def images(self) -> int:
        """Number of images measured."""
        return len(self.names)

    @property
    def title(self) -> str:
        """The name of the checkpoint."""
        return str(self.facts["checkpoint"]["name"])


def collect(records: Sequence[ImageRecord], labels: LabelSet, **rest: Any) -> Evaluation:
    """Return the evaluation of per-image records, in the dataset's order; `rest`: facts, notes, skipped."""
    records = sorted(records, key=lambda record: record.index)
    losses = records[0].values if records else {}
    boundaries = [record.boundary for record in records if record.boundary is not None]
    alternatives = [record.alternative for record in records if record.alternative is not None]
    return Evaluation(
        labels,
        tuple(record.name for record in records),
        np.array([record.size for record in records], np.int32).reshape(-1, 2),
        tuple(record.label_hash for record in records),
        Confusion.joined([record.confusion for record in records], len(labels)),
        {loss: np.array([record.values[loss] for record in records], np.float64) for loss in losses},
        merge(boundaries) if boundaries else None,
        statistics=_stacked([record.statistics for record in records]),
        probed=_stacked([record.probed for record in records]),
        alternative=Confusion.joined(alternatives, len(labels)) if len(alternatives) == len(records) > 0 else None,
        **rest,
    )


def _stacked(records: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([record[name] for record in records]) for name in (records[0] if records else ())}


def select(run: Evaluation, images: Sequence[int]) -> Evaluation:
    """Return the evaluation of the images at these indices, in this order."""
    places = np.asarray(images, np.int64)
    if np.array_equal(places, np.arange(run.images)):
        return run
    return replace(
        run,
        names=tuple(run.names[place] for place in places),
        sizes=run.sizes[places],
        label_hashes=tuple(run.label_hashes[place] for place in places),
        confusion=run.confusion.subset(images),
        values={loss: values[places] for loss, values in run.values.items()},
        boundary=run.boundary.subset(images) if run.boundary else None,
        statistics={name: array[places] for name, array in run.statistics.items()},
        probed={name: array[places] for name, array in run.probed.items()},
        alternative=run.alternative.subset(images) if run.alternative else None,
    )


def save_run(run: Evaluation, path: Path, summary: str) -> None:
    """Write a run folder, atomically; `summary` is its report as JSON. RunError when `path` exists."""
    write_run(path, evaluation_files(run, summary))


def evaluation_files(run: Evaluation, summary: str) -> dict[str, bytes]:
    """Return the files of a run folder by name."""
    described = {
        "facts": run.facts,
        "labels": asdict(run.labels),
        "notes": run.notes,
        "skipped": [{"name": skipped.name, "reason": skipped.reason} for skipped in run.skipped],
    }
    return packed("evaluation", described, {COUNTS: npz(arrays_of(run)), "summary.json": summary.encode()})


def load_run(path: Path) -> Evaluation:
    """Read a run folder back. RunError when it is no run, damaged, of another kind or of a newer format."""
    described, files = read_run(path, "evaluation")
    if COUNTS not in files:
        raise RunError(f"{path} is damaged: it has no {COUNTS}; create the run again")
    with at(f"{path} is damaged"):
        return from_arrays(
            read_structure(files[COUNTS]),
            label_set(described["labels"]),
            facts=described["facts"],
            notes=tuple(described["notes"]),
            skipped=tuple(Skipped(entry["name"], entry["reason"]) for entry in described["skipped"]),
        )


def to_arrays(run: Evaluation) -> dict[str, np.ndarray]:
    """Return the counts and values by their names in ``counts.npz``."""
    return dict(arrays_of(run))


def arrays_of(run: Evaluation) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what :func:`to_arrays` returns, one array at a time."""
    yield "classes", np.array(len(run.labels))
    yield "names", np.array(run.names, dtype=str)
    yield "sizes", run.sizes
    yield "label_hashes", np.array(run.label_hashes, dtype=str)
    yield from ((name, run.confusion.rows[name]) for name in column_types(len(run.labels)))
    yield from _prefixed("value_", run.values.items())
    yield from _prefixed("tally_", run.statistics.items())
    if run.boundary is not None:
        yield from _prefixed("boundary_", run.boundary.arrays())
    if run.alternative is not None:
        yield from _prefixed("alternative_", run.alternative.rows.items())


def _prefixed(prefix: str, arrays: Iterable[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    return ((prefix + name, array) for name, array in arrays)


def from_arrays(arrays: Mapping[str, np.ndarray], labels: LabelSet, **rest: Any) -> Evaluation:
    """Return the evaluation that :func:`to_arrays` wrote; `rest`: facts, notes, skipped.

    Raises RunError for arrays that do not fit each other.
    """
    check_counts(arrays, labels)
    names = tuple(arrays["names"].tolist())

    def under(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    def confusion(prefix: str) -> Confusion:
        kinds = column_types(len(labels))
        rows = {name: arrays[prefix + name].astype(kind, copy=False) for name, kind in kinds.items()}
        return Confusion(len(labels), len(names), rows)

    boundary = BoundaryCounts.from_arrays(columns) if (columns := under("boundary_")) else None
    if boundary is not None:
        check_boundary(boundary, len(names), len(labels))
    return Evaluation(
        labels,
        names,
        arrays["sizes"],
        tuple(arrays["label_hashes"].tolist()),
        confusion(""),
        under("value_"),
        boundary,
        statistics=under("tally_"),
        alternative=confusion("alternative_") if "alternative_image" in arrays else None,
        **rest,
    )
