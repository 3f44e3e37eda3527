"""From samples to the records of images.

Label maps are measured in the processes that read them. Networks run here, on batches of images of one size; counting
takes place on their device, image by image, so that a result never depends on batch size or workers.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from segablate.checkpoints.segmenter import Segmenter
from segablate.datasets.dataset import Dataset
from segablate.datasets.reading import Failure, ahead, ahead_in_threads
from segablate.errors import CheckpointError, SegablateError
from segablate.evaluation.alignment import Alignment, align
from segablate.evaluation.measures import Measures, measure_labels, measure_maps, write_predicted
from segablate.evaluation.remarks import FOREIGN, NARROWED
from segablate.evaluation.results import ImageRecord
from segablate.evaluation.score_measures import measure_readings
from segablate.evaluation.score_reading import read_scores
from segablate.freed_memory import keep_freed_memory
from segablate.labels import IGNORE, LabelSet
from segablate.samples import Batch, Output, Sample


@dataclass(frozen=True)
class Measuring:
    """A segmenter, what it is measured on, and the measures."""

    segmenter: Segmenter
    dataset: Dataset
    measures: Measures

    @contextmanager
    def records(
        self, todo: Sequence[int], workers: int, batch_size: int, notes: list[str]
    ) -> Iterator[Iterator[ImageRecord | Failure]]:
        """Measure these images: label maps in the processes that read, networks in this one. Adds to `notes`."""
        if self.segmenter.capabilities.on_host:
            with ahead(partial(_measured_sample, self), todo, workers) as records:
                yield records
        else:
            keep_freed_memory()
            images = self.segmenter.capabilities.images or self.measures.errors is not None
            read = partial(self.dataset.read, image=images)
            with ahead_in_threads(read, todo, workers) as samples:
                yield measured(samples, self, batch_size, notes)


def _measured_sample(work: Measuring, index: int) -> ImageRecord:
    """Read and measure one image of a segmenter whose output is label maps."""
    sample = work.dataset.read(index, image=work.measures.errors is not None)
    output = work.segmenter(Batch((sample,)))
    assert output.predicted is not None
    alternative = None if output.alternative is None else output.alternative[0]
    write_predicted(sample, output.predicted[0], work.dataset.labels, work.measures)
    record = measure_labels(sample, output.predicted[0], alternative, work.dataset.labels, work.measures)
    if output.foreign is None:
        return record
    return replace(record, statistics={**record.statistics, FOREIGN: output.foreign[0]})


def measured(
    samples: Iterable[Sample | Failure], work: Measuring, batch_size: int, notes: list[str]
) -> Iterator[ImageRecord | Failure]:
    """Run the network over samples grouped by size, and measure its output."""
    segmenter, measures, labels = work.segmenter, work.measures, work.dataset.labels
    alignment: Alignment | None = None

    def measure(batch: Batch) -> list[ImageRecord | Failure]:
        nonlocal alignment
        try:
            output = segmenter(batch)
            if alignment is None:
                alignment = align_output(segmenter, output, labels)
                notes.extend([alignment.note] if alignment.note else [])
                notes.extend(output.notes)
                notes.extend(measures.activation_notes(output.kind, output.one_channel))
            if output.outputs is None:
                return list(measure_maps(batch, output, alignment, labels, measures))
            readings = read_scores(batch, output, alignment, measures)
            narrowed = output.narrowed
            del output  # or its scores would be held while label maps are measured
            records = list(measure_readings(readings, labels, measures))
            return list(records if narrowed is None else map(_with_narrowed, records, narrowed))
        except SegablateError as error:
            if len(batch.samples) == 1:
                return [Failure(batch.samples[0].index, error)]
        # One bad image must not fail its batch: measure each alone.
        return [result for sample in batch.samples for result in measure(Batch((sample,)))]

    for group in _batches(samples, batch_size if segmenter.capabilities.batches else 1):
        yield from [group] if isinstance(group, Failure) else measure(group)


def _with_narrowed(record: ImageRecord, pixels: np.ndarray) -> ImageRecord:
    return replace(record, statistics={**record.statistics, NARROWED: pixels})


def _batches(samples: Iterable[Sample | Failure], batch_size: int) -> Iterator[Batch | Failure]:
    """Group samples of one size, also of their images, as they come; incomplete batches come last."""
    waiting: dict[tuple[tuple[int, int], ...], list[Sample]] = {}
    for sample in samples:
        if isinstance(sample, Failure):
            yield sample
            continue
        sizes = sample.size, sample.image_size
        group = waiting.setdefault(sizes, [])
        group.append(sample)
        if len(group) == batch_size:
            yield Batch(tuple(waiting.pop(sizes)))
    yield from (Batch(tuple(group)) for group in waiting.values())


def align_output(segmenter: Segmenter, output: Output, labels: LabelSet) -> Alignment:
    """Match outputs and classes.

    Label maps do not tell their number of outputs: it is that of the names or classes, or the highest of a class map.
    """
    outputs = len(segmenter.classes or labels.merged_from or labels)
    if segmenter.classes is None:  # a class map by number tells of outputs beyond the classes
        numbers = (int(name) for name in map(str, segmenter.class_map or {}) if name.isdecimal())
        outputs = max(outputs, *(number + 1 for number in numbers if number < IGNORE), 0)
    try:
        return align(
            outputs if output.outputs is None else output.outputs,
            segmenter.classes,
            labels,
            segmenter.class_map,
            one_channel=output.one_channel,
        )
    except SegablateError as error:
        raise CheckpointError(f"{segmenter.source.spec} {error}") from None
