"""Reading of the scores of a network: once, from the top, a few rows at a time, on their device.

A few rows fit the processor's cache, and are copied to planes whatever the layout of the scores. Argmax, calibration,
the ranking of two classes and the losses that are means over pixels take place on them. What needs the whole map,
other losses and further measurements, gets it afterwards. When an image has been read its scores can go. On a GPU all
that can be counted there is counted before the host reads any of it, in one copy for the batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import starmap
from typing import TYPE_CHECKING, Any

import numpy as np

from segablate.errors import CheckpointError
from segablate.evaluation.alignment import Alignment
from segablate.evaluation.loss_values import (
    loss_inputs,
    loss_values,
    map_loss_values,
    pixel_loss_sums,
    pixel_loss_values,
)
from segablate.evaluation.measures import Measures
from segablate.evaluation.remarks import DIVIDED, NOTHING
from segablate.evaluation.scores import (
    above_threshold,
    class_logits,
    class_probabilities,
    highest_scores,
    row_blocks,
    score_bands,
    whole_scores,
    without_infinities,
)
from segablate.kernels import tally
from segablate.kernels.confusion import count_confusion_of_batch
from segablate.labels import ignore_index, index_type
from segablate.metrics import boundary_iou
from segablate.metrics.bands import STATISTIC as BANDS
from segablate.metrics.bands import band_map, band_maps_on_device, distance_sums, nested_bands
from segablate.metrics.boundary import boundary_tables
from segablate.metrics.calibration import CROSS_ENTROPY, RELIABILITY, calibration_statistics, calibration_sums
from segablate.metrics.roc import STATISTIC as RANKING
from segablate.metrics.roc import count_scores
from segablate.metrics.stated_probabilities import Stated
from segablate.runtime import labels_to_device, to_device, to_host
from segablate.samples import Batch, LossInputs, Output, Sample

if TYPE_CHECKING:
    from torch import Tensor

CONFUSION, BOUNDARIES, BROKEN = "confusion", "boundaries", "broken"


@dataclass(frozen=True)
class Asked:
    """What is read from scores: the measures, and how outputs become logits of the classes.

    `calibrate`: the sums of calibration, :func:`segablate.metrics.calibration.calibration_sums` or a part of them.
    """

    measures: Measures
    output: Output
    alignment: Alignment
    calibrate: "Callable[..., dict[str, Tensor]]" = calibration_sums

    @property
    def whole(self) -> bool:
        """Whether a measure needs the scores of all rows at once."""
        return bool(self.measures.map_losses or self.measures.probe)

    @property
    def stated(self) -> bool:
        """Whether the scores are probabilities, which calibration takes as they are."""
        return self.output.kind == "probabilities"

    @property
    def reads_logits(self) -> bool:
        """Whether a measure needs logits of the classes, and not the scores as they are."""
        measures, classes = self.measures, self.alignment.classes
        others = bool(measures.losses or measures.probe or classes == 2 or self.output.threshold is not None)
        return others or (measures.calibration and not self.stated)

    @property
    def one_channel(self) -> bool:
        """Whether the logits are two classes made of one channel; else both outputs are joined in one class."""
        return self.output.one_channel and self.alignment.classes == 2

    def logits(self, scores: "Tensor") -> "Tensor":
        """Return the logits, classes first, of scores K, h, W."""
        return class_logits(scores[None], self.output.kind, self.alignment)[0]

    def probabilities(self, stated: Stated) -> "Tensor":
        """Return the probabilities for calibration, classes first, in place of those stated for K, h, W."""
        return class_probabilities(stated.shares()[None], self.alignment)[0]


@dataclass
class Reading:
    """What is read of the scores of one image.

    - `labels`, `bands`: H, W on the device of the scores; the bands where they are needed.
    - `predicted`: H, W there, of the type of the labels, void for outputs without a class.
    - `sums`: counts and sums over rows, by name; `infinite`: the number of pixels that had an infinite score.
    - `probed`: measured on the whole map, as in :class:`segablate.evaluation.results.ImageRecord`.
    """

    sample: Sample
    labels: "Tensor"
    bands: "Tensor | None"
    predicted: "Tensor"
    sums: "dict[str, Any]" = field(default_factory=dict)
    infinite: int = 0
    probed: Mapping[str, np.ndarray] = field(default_factory=dict)

    def add(self, top: int, scores: "Tensor", asked: Asked) -> None:
        """Read the scores K, h, W of rows from `top` on."""
        for rows, block in row_blocks(scores):
            place = slice(top + rows.start, top + rows.stop)
            maps = (self.labels[place], self.bands[place] if self.bands is not None else None)
            self.predicted[place], sums = _read(block, maps, asked)
            for name, value in sums.items():
                self.sums[name] = self.sums[name] + value if name in self.sums else value

    def losses(self) -> dict[str, float]:
        """Return the values of all losses; the sums are on the host."""
        return {**pixel_loss_values(self.sums), **map_loss_values(self.sums)}

    def statistics(self) -> dict[str, np.ndarray]:
        """Return the statistics of the sums, which are on the host."""
        return statistics_of(self.sums)


def statistics_of(sums: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the statistics of an image, as an evaluation keeps them, from its sums on the host."""
    found: dict[str, np.ndarray] = {}
    if RELIABILITY in sums:
        found |= calibration_statistics(sums)
        found[BANDS] = found[RELIABILITY][..., :2].sum(axis=1).astype(np.int64)
    if BANDS in sums:
        found[BANDS] = sums[BANDS]
    if RANKING in sums:
        found[RANKING] = sums[RANKING].astype(np.int32)
    return found


def read_scores(batch: Batch, output: Output, alignment: Alignment, measures: Measures) -> list[Reading]:
    """Read the scores for a batch, all sums in one copy from a GPU. CheckpointError where scores are NaN.

    That a score is infinite is rare, and noticed when an image has been read: it is then read again.
    """
    asked = Asked(measures, output, alignment)
    if asked.whole and output.bands is not None:
        asked = replace(asked, output=replace(output, scores=whole_scores(output), bands=None))
    readings = read_rows(batch.samples, labels_to_device(batch.labels, output.device), asked)
    for place, sums in enumerate(to_host([reading.sums for reading in readings])):
        readings[place].sums = sums
        if sums.pop(BROKEN):
            readings[place] = _read_again(readings[place].sample, place, asked)
        elif asked.whole:
            _read_map(readings[place], place, asked)
    return readings


def read_rows(samples: Sequence[Sample], labels: "Tensor", asked: Asked) -> list[Reading]:
    """Read all rows of a batch, and count what its predicted maps are compared with; sums stay on the device.

    `labels`: those of the samples, N, H, W on the device of the scores; the samples are not read.
    """
    predicted = labels.new_empty(labels.shape)  # N H W
    readings = list(starmap(Reading, zip(samples, labels, _bands(labels, asked), predicted, strict=True)))
    top = 0
    for band in score_bands(asked.output):
        for reading, scores in zip(readings, band, strict=True):
            reading.add(top, scores, asked)
        top += band.shape[2]
    tables = count_confusion_of_batch(labels, predicted, asked.alignment.classes)
    for reading, table in zip(readings, tables, strict=True):
        reading.sums[CONFUSION] = table
    if tally.on_gpu(labels):
        _count_ahead(readings, labels, predicted, asked)
    return readings


def _bands(labels: "Tensor", asked: Asked) -> "Sequence[Tensor | None]":
    """Return the bands of each image, H, W on the device, where a measure needs them."""
    if not (asked.measures.tolerances or asked.measures.calibration):
        return [None] * len(labels)
    if tally.on_gpu(labels):
        return band_maps_on_device(labels).unbind()
    kind = index_type(asked.alignment.classes)
    return [to_device(band_map(nested_bands(each.numpy().astype(kind, copy=False))), labels.device) for each in labels]


def _count_ahead(readings: Sequence[Reading], labels: "Tensor", predicted: "Tensor", asked: Asked) -> None:
    """Count on a GPU what on the CPU is measured later, so that the host gets everything in one copy.

    Losses are computed before it is known whether scores are finite: others are 0, and the image will be read again.
    """
    measures, classes = asked.measures, asked.alignment.classes
    tolerances, width = measures.tolerances, measures.boundary_iou
    tables = boundary_tables(labels, predicted, classes, tolerances) if tolerances else None
    for place, reading in enumerate(readings):
        if tables is not None:
            reading.sums[BOUNDARIES] = tables[place]
        if width:
            counts = boundary_iou.boundary_iou_counts(reading.labels, reading.predicted, classes, width)
            reading.sums[boundary_iou.STATISTIC] = counts
        if measures.map_losses:
            finite = _image_scores(asked.output, place).nan_to_num(0, 0, 0)
            reading.sums |= loss_values(_inputs(reading, finite, place, asked), measures)


def _read(block: "Tensor", maps: "tuple[Tensor, Tensor | None]", asked: Asked) -> "tuple[Tensor, dict[str, Tensor]]":
    """Return the classes of the highest scores, h W, of K h W, and the sums over these rows."""
    labels, bands = maps
    measures, classes = asked.measures, asked.alignment.classes
    sums = {BROKEN: (~block.sum().isfinite()).double()}
    known: dict[str, Tensor] = {}
    threshold = asked.output.threshold
    logits = asked.logits(block) if asked.reads_logits else block
    if threshold is None:
        predicted = highest_scores(block[None], asked.alignment)[0][0]
    else:
        predicted = above_threshold(logits, threshold, classes)
    stated = Stated.of(block) if asked.stated else None
    if stated:
        sums |= _sums_of(stated, labels != ignore_index(classes))
    if bands is not None and measures.calibration:
        highest = threshold is None and asked.alignment.one_each
        scores = asked.probabilities(stated) if stated else logits
        sums |= asked.calibrate(scores, asked.output.kind, (labels, predicted, bands), classes, highest)
        known = {"ce": sums.pop(CROSS_ENTROPY)} if CROSS_ENTROPY in sums else {}
    elif bands is not None:
        sums[BANDS] = distance_sums(labels, predicted, bands)
    if classes == 2:
        sums[RANKING] = count_scores(logits, labels)
    return predicted, {**sums, **pixel_loss_sums(logits, labels, classes, asked.one_channel, measures, known)}


def _sums_of(stated: Stated, labelled: "Tensor") -> "dict[str, Tensor]":
    """Count the labelled pixels whose probabilities are all 0, and those whose sum is not 1, float64."""
    found = {NOTHING: stated.nothing, DIVIDED: stated.divided}
    return {name: (where & labelled).sum().double() for name, where in found.items()}


def _read_map(reading: Reading, place: int, asked: Asked) -> None:
    """Evaluate on the scores of an image what needs all of them, unless it was counted ahead."""
    measures, ahead = asked.measures, tally.on_gpu(reading.labels)
    if ahead and not measures.probe:
        return
    inputs = _inputs(reading, _image_scores(asked.output, place), place, asked)
    if not ahead:
        (values,) = to_host([loss_values(inputs, measures)])
        reading.sums |= values
    if measures.probe:
        reading.probed = measures.probe(inputs)


def _inputs(reading: Reading, scores: "Tensor", place: int, asked: Asked) -> LossInputs:
    """Return the inputs of losses for the scores K, H, W of an image."""
    logits = asked.logits(scores.contiguous())[None]
    if logits.data_ptr() == scores.data_ptr() and asked.measures.probe:
        logits = logits.clone()  # a measurement may ask for gradients at its own
    return loss_inputs(reading.sample, asked.output, logits, place, asked.alignment.classes, asked.measures)


def _image_scores(output: Output, place: int) -> "Tensor":
    return whole_scores(output)[place]


def _read_again(sample: Sample, place: int, asked: Asked) -> Reading:
    """Read an image with an infinite score. CheckpointError where one is NaN."""
    scores, infinite = without_infinities(_image_scores(asked.output, place)[None])
    if bool(scores.isnan().any()):
        raise CheckpointError(
            f"the output of the network is NaN for {sample.name}; check its weights and preprocessing"
        )
    features = asked.output.features
    features = None if features is None else features[place : place + 1]
    again = replace(asked, output=replace(asked.output, scores=scores, features=features, bands=None))
    (reading,) = read_rows((sample,), labels_to_device(sample.labels, scores.device)[None], again)
    (reading.sums,) = to_host([reading.sums])
    reading.infinite = infinite[0]
    if asked.whole:
        _read_map(reading, 0, again)
    return reading
