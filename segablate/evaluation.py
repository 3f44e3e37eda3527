"""The one evaluation loop: samples in, per-image counts and values out.

Label maps are measured in the processes that read them. Networks run here, on batches of images of one size; what is
counted is counted on their device, image by image, so that a result never depends on batch size or workers.
"""

import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from segablate import __version__
from segablate.alignment import Alignment, align
from segablate.checkpoints.predictions import encoding_notes
from segablate.checkpoints.segmenter import OnError, Segmenter
from segablate.datasets.dataset import Dataset
from segablate.datasets.reading import Failure, ahead
from segablate.errors import CheckpointError, DatasetError, SegablateError
from segablate.files import fingerprint
from segablate.labels import LabelSet
from segablate.measures import Measures, measure_labels, measure_scores
from segablate.results import Evaluation, ImageRecord, Skipped, collect
from segablate.samples import Batch, Output, Sample

if TYPE_CHECKING:
    pass

Progress = Callable[[int], None]


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
    """Run a checkpoint over a dataset.

    With `on_error` "skip", images that cannot be read or measured are left out and named in the result; otherwise the
    first of them ends the run with its error. Raises a SegablateError; also when no image is left.
    """
    segmenter = segmenter.for_dataset(dataset, on_error)
    records: list[ImageRecord] = []
    failures: list[Failure] = []
    notes: list[str] = []
    with _records(segmenter, dataset, measures, batch_size, workers, notes) as results:
        for result in results:
            if isinstance(result, Failure):
                if on_error == "stop":
                    raise result.error
                failures.append(result)
            else:
                records.append(result)
            if progress:
                progress(1)
    if not records:
        raise DatasetError(f"none of the {len(dataset)} images could be measured; first: {failures[0].error}")
    notes += encoding_notes(segmenter.source, [r.table for r in records], [r.alternative for r in records])
    skipped = tuple(Skipped(dataset.names[failure.index], str(failure.error)) for failure in failures)
    return collect(
        records,
        dataset.labels,
        facts=_facts(segmenter, dataset, measures),
        notes=(*segmenter.source.notes, *notes, *measures.notes, *dataset.notes),
        skipped=skipped,
    )


@contextmanager
def _records(
    segmenter: Segmenter, dataset: Dataset, measures: Measures, batch_size: int, workers: int, notes: list[str]
) -> Iterator[Iterator[ImageRecord | Failure]]:
    """What was measured on each image: by the processes that read, or here, by the network."""
    if segmenter.on_host:
        with ahead(partial(_measured_sample, dataset, segmenter, measures), range(len(dataset)), workers) as records:
            yield records
    else:
        read = partial(dataset.read, image=segmenter.needs_images)
        with ahead(read, range(len(dataset)), workers) as samples:
            yield _measured(samples, segmenter, dataset, measures, batch_size, notes)


def _measured_sample(dataset: Dataset, segmenter: Segmenter, measures: Measures, index: int) -> ImageRecord:
    """Read and measure one image of a segmenter that gives label maps."""
    sample = dataset.read(index, image=False)
    output = segmenter(Batch((sample,)))
    assert output.predicted is not None
    alternative = None if output.alternative is None else output.alternative[0]
    return measure_labels(sample, output.predicted[0], alternative, dataset.labels, measures)


def _measured(
    samples: Iterable[Sample | Failure],
    segmenter: Segmenter,
    dataset: Dataset,
    measures: Measures,
    batch_size: int,
    notes: list[str],
) -> Iterator[ImageRecord | Failure]:
    """Run the network over samples grouped by size, and measure its output."""
    alignment: Alignment | None = None

    def measure(batch: Batch) -> list[ImageRecord | Failure]:
        nonlocal alignment
        try:
            output = segmenter(batch)
            if alignment is None:
                alignment = _align(segmenter, output, dataset.labels)
                notes.extend([alignment.note] if alignment.note else [])
                notes.extend(measures.activation_notes(output.kind))
            return list(measure_scores(batch, output, alignment, dataset.labels, measures))
        except SegablateError as error:
            if len(batch.samples) == 1:
                return [Failure(batch.samples[0].index, error)]
        # One image must not take its batch with it: each alone.
        return [result for sample in batch.samples for result in measure(Batch((sample,)))]

    for group in _batches(samples, batch_size):
        yield from [group] if isinstance(group, Failure) else measure(group)


def _batches(samples: Iterable[Sample | Failure], batch_size: int) -> Iterator[Batch | Failure]:
    """Group samples of one size as they come; what does not fill a batch comes last."""
    waiting: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        if isinstance(sample, Failure):
            yield sample
            continue
        group = waiting.setdefault(sample.size, [])
        group.append(sample)
        if len(group) == batch_size:
            yield Batch(tuple(waiting.pop(sample.size)))
    yield from (Batch(tuple(group)) for group in waiting.values())


def _align(segmenter: Segmenter, output: Output, labels: LabelSet) -> Alignment:
    assert output.scores is not None
    try:
        return align(output.scores.shape[1], segmenter.classes, labels, segmenter.class_map)
    except SegablateError as error:
        raise CheckpointError(f"{segmenter.source.spec} {error}") from None


def _facts(segmenter: Segmenter, dataset: Dataset, measures: Measures) -> dict[str, Any]:
    """What was run, as plain values, for the head of a table and for the run."""
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
        "versions": {
            "segablate": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in ("numpy", "torch", "opencv-python-headless")},
        },
    }
