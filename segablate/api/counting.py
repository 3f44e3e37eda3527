"""Counts of a batch on its device, and their way to the host, which a GPU is never waited for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from segablate.api.maps import check_known, predicted_indices, scores_output
from segablate.errors import CheckpointError, counted
from segablate.evaluation.alignment import Alignment
from segablate.evaluation.copying import Copy
from segablate.evaluation.measures import Measures
from segablate.evaluation.results import ImageRecord
from segablate.evaluation.score_reading import BOUNDARIES, BROKEN, CONFUSION, Asked, Reading, read_rows, statistics_of
from segablate.evaluation.scores import made_finite
from segablate.kernels import checksum, tally
from segablate.kernels.confusion import count_confusion_of_batch
from segablate.labels import index_type
from segablate.metrics.bands import STATISTIC as BANDS
from segablate.metrics.bands import (
    band_maps_on_device,
    count_by_distance,
    distance_sums,
    nested_bands,
)
from segablate.metrics.boundary import (
    BoundaryCounts,
    boundary_tables,
    count_boundaries,
    count_boundaries_on_device,
    counts_of_table,
)
from segablate.metrics.calibration import calibration_sums, reliability_sums
from segablate.metrics.confusion import Confusion
from segablate.metrics.tolerance import Tolerance
from segablate.samples import Sample, ScoreKind

_UNKNOWN, _NAN, _CHECKSUM = "unknown", "nan", "checksum"


@dataclass(frozen=True)
class Counting:
    """What is counted of each image, as :class:`segablate.Scores` was asked for it."""

    classes: int
    ignore: int | None
    tolerances: tuple[Tolerance, ...]
    calibration: str
    output: ScoreKind
    checksums: bool

    @property
    def measures(self) -> Measures:
        """Return the measures of an evaluation that counts the same."""
        return Measures(tolerances=self.tolerances, calibration=bool(self.calibration))


@dataclass(frozen=True)
class Counted:
    """The counts of a batch on their way to the host; `boundaries` where they are there already."""

    counting: Counting
    names: Sequence[str]
    size: tuple[int, int]
    copy: Copy
    boundaries: Sequence[BoundaryCounts | None]

    def records(self, first: int) -> list[ImageRecord]:
        """Return the record of each image, numbered from `first`; waits for the copy.

        Raises LabelError for labels outside the label set, CheckpointError for logits that are NaN.
        """
        arrays = self.copy.arrays()
        for place, sums in enumerate(arrays):
            what = self.names[place] or f"image {first + place}"
            check_known(int(sums.pop(_UNKNOWN)), what, self.counting.classes, self.counting.ignore)
            if sums.pop(_NAN, 0):
                raise CheckpointError(f"{what}: the logits are NaN; check the weights and the input of the network")
        return [self._record(place, first + place, sums) for place, sums in enumerate(arrays)]

    def _record(self, place: int, index: int, sums: dict[str, np.ndarray]) -> ImageRecord:
        boundary = self.boundaries[place]
        if BOUNDARIES in sums:
            boundary = counts_of_table(sums[BOUNDARIES], self.size, self.counting.tolerances)
        digest = checksum.as_text(sums.pop(_CHECKSUM).tolist()) if self.counting.checksums else ""
        confusion, statistics = Confusion.from_dense([sums[CONFUSION]], self.counting.classes), statistics_of(sums)
        return ImageRecord(
            index, self.names[place], self.size, digest, confusion, boundary=boundary, statistics=statistics
        )


def count_logits(logits: Tensor, labels: Tensor, unknown: Tensor, names: Sequence[str], how: Counting) -> Counted:
    """Count scores N, K, H, W against class indices N, H, W; `unknown`: pixels of other codes, (N,).

    Raises ValueError for fewer channels than classes.
    """
    output = scores_output(logits, how.output)
    assert output.scores is not None
    outside = output.scores.shape[1] - how.classes
    if outside < 0:
        raise ValueError(
            f"logits have {counted(output.scores.shape[1], 'channel')}, too few for "
            f"{counted(how.classes, 'class', 'classes')}"
        )
    alignment = Alignment((*range(how.classes), *[None] * outside), how.classes)
    asked = Asked(how.measures, output, alignment, reliability_sums if how.calibration == "ece" else calibration_sums)
    nothing = np.zeros((0, 0), np.uint8)  # the samples are not read
    samples = [Sample(place, name, None, nothing, "") for place, name in enumerate(names)]
    readings, nan = _read(samples, labels, asked)
    sums = [{**reading.sums, _NAN: pixels} for reading, pixels in zip(readings, nan, strict=True)]
    return _counted(sums, labels, [reading.predicted for reading in readings], unknown, names, how)


def _read(samples: Sequence[Sample], labels: Tensor, asked: Asked) -> tuple[list[Reading], Tensor]:
    """Read scores, infinite ones as large finite ones; return the readings, and how many are NaN in each image, (N,).

    On the CPU that a score is not finite is noticed when it has been read; a GPU would have to be waited for.
    """
    scores = asked.output.scores
    assert scores is not None
    finite = replace(asked, output=replace(asked.output, scores=made_finite(scores))) if tally.on_gpu(scores) else asked
    readings = read_rows(samples, labels, finite)
    if finite is not asked:
        return readings, scores.isnan().sum(dim=(1, 2, 3))
    if not any(bool(reading.sums[BROKEN]) for reading in readings):
        return readings, torch.zeros(len(scores))
    finite = replace(asked, output=replace(asked.output, scores=made_finite(scores)))
    return read_rows(samples, labels, finite), scores.isnan().sum(dim=(1, 2, 3))


def count_maps(predicted: Tensor, labels: Tensor, unknown: Tensor, names: Sequence[str], how: Counting) -> Counted:
    """Count predicted classes N, H, W of any integer type against class indices N, H, W."""
    predicted = predicted_indices(predicted, how.classes)
    tables = count_confusion_of_batch(labels, predicted, how.classes)
    sums = [{CONFUSION: table} for table in tables]
    if how.tolerances:
        bands = _bands_on_device if tally.on_gpu(labels) else _bands_on_host
        for each, counts in zip(sums, bands(labels, predicted, how.classes), strict=True):
            each[BANDS] = counts
        tables = boundary_tables(labels, predicted, how.classes, how.tolerances) if tally.on_gpu(labels) else None
        for each, table in zip(sums, () if tables is None else tables, strict=tables is not None):
            each[BOUNDARIES] = table
    return _counted(sums, labels, list(predicted), unknown, names, how)


def _counted(
    sums: list[dict[str, Tensor]],
    labels: Tensor,
    predicted: Sequence[Tensor],
    unknown: Tensor,
    names: Sequence[str],
    how: Counting,
) -> Counted:
    """Add what is counted of all predictions alike, and start the copy to the host."""
    boundaries: list[BoundaryCounts | None] = [None] * len(labels)
    if how.tolerances and not all(BOUNDARIES in each for each in sums):
        count = count_boundaries_on_device if tally.on_gpu(labels) else _count_boundaries
        count = partial(count, classes=how.classes, tolerances=how.tolerances)
        boundaries = [count(*maps) for maps in zip(labels, predicted, strict=True)]
    found = checksum.checksums(labels) if how.checksums else None
    for place, each in enumerate(sums):
        each[_UNKNOWN] = unknown[place]
        if found is not None:
            each[_CHECKSUM] = found[place]
    height, width = labels.shape[1:]
    return Counted(how, names, (height, width), Copy(sums), boundaries)


def _count_boundaries(
    labels: Tensor, predicted: Tensor, classes: int, tolerances: Sequence[Tolerance]
) -> BoundaryCounts:
    return count_boundaries(*_on_host(labels, predicted, classes), classes, tolerances)


def _bands_on_host(labels: Tensor, predicted: Tensor, classes: int) -> list[Tensor]:
    pairs = [_on_host(*maps, classes) for maps in zip(labels, predicted, strict=True)]
    return [torch.from_numpy(count_by_distance(nested_bands(label), label, guess)) for label, guess in pairs]


def _on_host(labels: Tensor, predicted: Tensor, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two maps as arrays of the type that the kernels of the host take."""
    kind = index_type(classes)
    return labels.numpy().astype(kind, copy=False), predicted.numpy().astype(kind, copy=False)


def _bands_on_device(labels: Tensor, predicted: Tensor, _: int) -> list[Tensor]:
    return [distance_sums(*maps) for maps in zip(labels, predicted, band_maps_on_device(labels), strict=True)]
