"""Measures of the scores of a network, counted on their device; only counts are copied to the host.

The predicted label map is copied to the host where it is written, or where a measure exists for the host only.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from segablate.evaluation.measures import Measures, counts_at_boundaries, further_counts, record_of, write_predicted
from segablate.evaluation.remarks import DIVIDED, INFINITE, NOTHING
from segablate.evaluation.results import ImageRecord
from segablate.evaluation.score_reading import BOUNDARIES, CONFUSION, Reading
from segablate.kernels import tally
from segablate.labels import LabelSet
from segablate.metrics import boundary_iou
from segablate.metrics.boundary import BoundaryCounts, count_boundaries_on_device, counts_of_table
from segablate.metrics.confusion import Confusion


def measure_readings(readings: Sequence[Reading], labels: LabelSet, measures: Measures) -> Iterator[ImageRecord]:
    """Measure what was read of the scores of a batch, image by image; the scores are no longer needed."""
    for reading in readings:
        predicted, sample = reading.predicted, reading.sample
        at_boundaries = _at_boundaries_on_device if tally.on_gpu(predicted) else _at_boundaries_on_host
        boundary, statistics = at_boundaries(reading, len(labels), measures)
        statistics |= {INFINITE: np.array(reading.infinite, np.int64), **reading.statistics()}
        statistics |= {name: np.int64(reading.sums[name]) for name in (NOTHING, DIVIDED) if name in reading.sums}
        if measures.on_host:
            on_host = predicted.cpu().numpy().astype(sample.labels.dtype, copy=False)
            write_predicted(sample, on_host, labels, measures)
            statistics |= further_counts(sample, on_host, labels, measures)
        losses = reading.losses()
        yield record_of(
            sample,
            Confusion.from_dense([reading.sums[CONFUSION]], len(labels)),
            values={name: losses[name] for name in measures.losses},
            boundary=boundary,
            statistics=statistics,
            probed=reading.probed,
        )


def _at_boundaries_on_host(
    reading: Reading, classes: int, measures: Measures
) -> tuple[BoundaryCounts | None, dict[str, Any]]:
    labels = reading.sample.labels
    predicted = reading.predicted.numpy().astype(labels.dtype, copy=False)
    return counts_at_boundaries(labels, predicted, classes, measures)


def _at_boundaries_on_device(
    reading: Reading, classes: int, measures: Measures
) -> tuple[BoundaryCounts | None, dict[str, Any]]:
    """Do as :func:`counts_at_boundaries`; all but a search for large tolerances was counted ahead."""
    tolerances, sums = measures.tolerances, reading.sums
    bands = {boundary_iou.STATISTIC: sums[boundary_iou.STATISTIC]} if measures.boundary_iou else {}
    if not tolerances:
        return None, bands
    if BOUNDARIES in sums:
        return counts_of_table(sums[BOUNDARIES], reading.sample.size, tolerances), bands
    return count_boundaries_on_device(reading.labels, reading.predicted, classes, tolerances), bands
