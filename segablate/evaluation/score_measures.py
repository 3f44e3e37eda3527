"""Measures of the scores of a network, counted on their device; only counts are copied to the host.

The predicted label map is copied to the host where it is written, or where a measure exists for the host only.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segablate.evaluation.measures import Measures, counts_at_boundaries, further_counts, record_of, write_predicted
from segablate.evaluation.remarks import INFINITE
from segablate.evaluation.results import ImageRecord
from segablate.evaluation.score_reading import CONFUSION, Reading
from segablate.labels import LabelSet
from segablate.metrics import boundary_iou
from segablate.metrics.boundary import BoundaryCounts, count_boundaries_on_device

if TYPE_CHECKING:
    from torch import Tensor


def measure_readings(readings: Sequence[Reading], labels: LabelSet, measures: Measures) -> Iterator[ImageRecord]:
    """Measure what was read of the scores of a batch, image by image; the scores are no longer needed."""
    for reading in readings:
        truth, predicted, sample = reading.labels, reading.predicted, reading.sample
        at_boundaries = _at_boundaries_on_host if truth.device.type == "cpu" else _at_boundaries_on_device
        boundary, statistics = at_boundaries(truth, predicted, len(labels), measures)
        statistics |= {INFINITE: np.array(reading.infinite, np.int64), **reading.statistics()}
        if measures.on_host:
            on_host = predicted.cpu().numpy()
            write_predicted(sample, on_host, labels, measures)
            statistics |= further_counts(sample, on_host, labels, measures)
        yield record_of(
            sample,
            reading.sums[CONFUSION],
            values={name: reading.losses()[name] for name in measures.losses},
            boundary=boundary,
            statistics=statistics,
            probed=reading.probed,
        )


def _at_boundaries_on_host(
    labels: "Tensor", predicted: "Tensor", classes: int, measures: Measures
) -> tuple[BoundaryCounts | None, dict[str, Any]]:
    return counts_at_boundaries(labels.numpy(), predicted.numpy(), classes, measures)


def _at_boundaries_on_device(
    labels: "Tensor", predicted: "Tensor", classes: int, measures: Measures
) -> tuple[BoundaryCounts | None, dict[str, Any]]:
    """Do as :func:`counts_at_boundaries` for tensors on a GPU; only counts are copied to the host."""
    tolerances, band = measures.tolerances, measures.boundary_iou
    boundary = count_boundaries_on_device(labels, predicted, classes, tolerances) if tolerances else None
    bands = boundary_iou.count_boundary_iou_on_device(labels, predicted, classes, band) if band else None
    return boundary, {} if bands is None else {boundary_iou.STATISTIC: bands}
