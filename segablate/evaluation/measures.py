"""Measures of one image: confusion counts, boundary distances, calibration, losses and what else is asked for.

The output of a network is counted on its device; only counts are copied to the host, and the label map where a measure
needs it there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segablate.errors import CheckpointError
from segablate.evaluation.alignment import Alignment
from segablate.evaluation.error_maps import write_errors
from segablate.evaluation.remarks import remarks_of
from segablate.evaluation.results import ImageRecord
from segablate.images.label_maps import write_label_map
from segablate.kernels.boundary import boundary_map
from segablate.labels import LabelSet, ignored_in
from segablate.metrics import boundary_iou, error_kinds
from segablate.metrics.bands import STATISTIC as BANDS
from segablate.metrics.bands import count_by_distance, nested_bands
from segablate.metrics.boundary import BoundaryCounts, count_boundaries
from segablate.metrics.confusion import Confusion, count_confusion
from segablate.metrics.tolerance import Tolerance
from segablate.samples import Batch, LossInputs, Output, Sample

if TYPE_CHECKING:
    from segablate.losses import Loss

Probe = Callable[[LossInputs], Mapping[str, np.ndarray]]
"""A further measurement on the output for one image: arrays by name, of the same shapes for every image."""

LabelCount = Callable[[np.ndarray, np.ndarray, int], Mapping[str, np.ndarray]]
"""(labels H, W, predictions H, W, number of classes) -> statistics that the run keeps; can be pickled."""


@dataclass(frozen=True)
class Measures:
    """The measures of an evaluation beside confusion counts.

    - `losses`: losses by the name under which their values are kept.
    - `tolerances`: boundary distances are counted up to the largest of these, and pixels by their distance from the
      label boundary; may be empty.
    - `calibration`: counted where there are scores, see :func:`segablate.metrics.calibration.count_calibration`.
    - `counts`: further counts of label maps, see :data:`LabelCount`.
    - `boundary_iou`: width of the band; `error_kinds`: width of the boundary; None: not counted.
    - `predictions`: a folder for the predicted label maps, as PNG of the dataset's codes.
    - `errors`: a folder for error maps and overlays, see :mod:`segablate.evaluation.error_maps`.
    - `reads`: the activation, softmax or sigmoid, through which each loss reads the logits; `notes`: on the inputs.
    - `probe`: see :data:`Probe`; `inputs`: inputs of losses that are the same for all images, such as `edge_net`.
    """

    losses: "dict[str, Loss]" = field(default_factory=dict)
    tolerances: tuple[Tolerance, ...] = ()
    calibration: bool = False
    counts: tuple[LabelCount, ...] = ()
    boundary_iou: Tolerance | None = None
    error_kinds: Tolerance | None = None
    predictions: Path | None = None
    errors: Path | None = None
    probe: Probe | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def on_host(self) -> bool:
        """Whether a measure needs the predicted label map on the host."""
        return bool(self.counts or self.error_kinds or self.writes)

    @property
    def writes(self) -> bool:
        """Whether something is written for every image."""
        return self.predictions is not None or self.errors is not None

    @cached_property
    def pixel_losses(self) -> "dict[str, Loss]":
        """Return the losses that are means over labelled pixels."""
        return {name: loss for name, loss in self.losses.items() if loss.pixelwise}

    @cached_property
    def map_losses(self) -> "dict[str, Loss]":
        """Return the losses that need the scores of the whole map."""
        return {name: loss for name, loss in self.losses.items() if not loss.pixelwise}

    def activation_notes(self, kind: str, one_channel: bool = False) -> list[str]:
        """Return a note on losses that use another activation than the one the checkpoint was trained with.

        A checkpoint of one channel was trained with a sigmoid, and suits losses of both activations.
        """
        if one_channel:
            names = ", ".join(loss for loss, activation in self.reads.items() if activation == "sigmoid")
            note = f"the checkpoint has one channel z, trained for sigmoid; losses by sigmoid ({names}) see (−z, z)"
            return [note] if names else []
        other = [loss for loss, activation in self.reads.items() if activation != kind and kind != "probabilities"]
        if not other:
            return []
        activation = "sigmoid" if kind == "softmax" else "softmax"
        reads = "reads" if len(other) == 1 else "read"
        return [f"{', '.join(other)} {reads} the logits by {activation}, but the checkpoint was trained for {kind}"]


def measure_labels(
    sample: Sample, predicted: np.ndarray, alternative: np.ndarray | None, labels: LabelSet, measures: Measures
) -> ImageRecord:
    """Measure a predicted label map, (H, W), on the host; `alternative`: see :attr:`Output.alternative`."""
    edges = boundary_map(sample.labels, sample.labels) if measures.tolerances else None
    boundary, statistics = counts_at_boundaries(sample.labels, predicted, len(labels), measures, edges)
    statistics |= further_counts(sample, predicted, labels, measures)
    if measures.tolerances:
        statistics |= {BANDS: count_by_distance(nested_bands(sample.labels, edges), sample.labels, predicted)}
    return record_of(
        sample,
        _confusion(sample.labels, predicted, len(labels)),
        boundary=boundary,
        statistics=statistics,
        alternative=None if alternative is None else _confusion(sample.labels, alternative, len(labels)),
    )


def _confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> Confusion:
    return Confusion.from_dense([count_confusion(labels, predicted, classes)], classes)


def measure_maps(
    batch: Batch, output: Output, alignment: Alignment, labels: LabelSet, measures: Measures
) -> Iterator[ImageRecord]:
    """Measure the label maps of a network with a built-in argmax. CheckpointError where a measure needs scores."""
    if measures.losses or measures.probe:
        raise CheckpointError(
            "the network returns label maps, but losses need scores; pass --output labels to leave out losses, or "
            "export it without its argmax"
        )
    assert output.predicted is not None
    maps = classes_of_outputs(output.predicted, alignment, labels)
    for sample, predicted in zip(batch.samples, maps, strict=True):
        write_predicted(sample, predicted, labels, measures)
        yield measure_labels(sample, predicted, None, labels, measures)


def classes_of_outputs(predicted: np.ndarray, alignment: Alignment, labels: LabelSet) -> np.ndarray:
    """Return the classes of output indices, N, H, W as they are; void for outputs without a class."""
    table = np.full(ignored_in(predicted) + 1, labels.ignore, alignment.table.dtype)
    known = alignment.table[: len(table)]
    table[: len(known)] = known
    return table[predicted]


def counts_at_boundaries(
    labels: np.ndarray, predicted: np.ndarray, classes: int, measures: Measures, edges: np.ndarray | None = None
) -> tuple[BoundaryCounts | None, dict[str, np.ndarray]]:
    """Count boundary distances and the bands of boundary IoU, where asked for, on label maps, (H, W).

    `edges`: the :func:`segablate.kernels.boundary.boundary_map` of the labels, where it is known.
    """
    tolerances, band = measures.tolerances, measures.boundary_iou
    boundary = count_boundaries(labels, predicted, classes, tolerances, edges) if tolerances else None
    bands = boundary_iou.count_boundary_iou(labels, predicted, classes, band) if band else None
    return boundary, {} if bands is None else {boundary_iou.STATISTIC: bands}


def further_counts(
    sample: Sample, predicted: np.ndarray, labels: LabelSet, measures: Measures
) -> dict[str, np.ndarray]:
    """Count what exists for the host only on a predicted label map, (H, W)."""
    statistics: dict[str, np.ndarray] = {}
    if measures.error_kinds:
        errors = error_kinds.count_errors(sample.labels, predicted, len(labels), measures.error_kinds)
        statistics[error_kinds.STATISTIC] = errors
    for count in measures.counts:
        statistics |= count(sample.labels, predicted, len(labels))
    return statistics


def write_predicted(sample: Sample, predicted: np.ndarray, labels: LabelSet, measures: Measures) -> None:
    """Write a predicted label map, (H, W), and where it is wrong, where these are asked for."""
    if measures.predictions:
        write_label_map(measures.predictions / f"{sample.name}.png", labels.encode(predicted))
    if measures.errors:
        write_errors(measures.errors, sample, predicted, len(labels))


def record_of(sample: Sample, confusion: Confusion, **measured: Any) -> ImageRecord:
    """Return the record of an image; `measured` are the fields beside its confusion counts."""
    statistics = {**measured.pop("statistics", {}), **remarks_of(sample)}
    return ImageRecord(
        sample.index, sample.name, sample.size, sample.label_hash, confusion, statistics=statistics, **measured
    )
