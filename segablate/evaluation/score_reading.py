"""Reading of the scores of a network: once, from the top, a few rows at a time, on their device.

A few rows fit the processor's cache, and are copied to planes whatever the layout of the scores. Argmax, calibration,
the ranking of two classes and the losses that are means over pixels take place on them. What needs the whole map,
other losses and further measurements, gets it afterwards. When an image has been read its scores can go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from segablate.errors import CheckpointError
from segablate.evaluation.alignment import Alignment
from segablate.evaluation.loss_values import loss_inputs, loss_values, pixel_loss_sums, pixel_loss_values
from segablate.evaluation.measures import Measures
from segablate.evaluation.scores import (
    class_logits,
    highest_scores,
    row_blocks,
    score_bands,
    whole_scores,
    without_infinities,
)
from segablate.kernels.confusion import count_confusion_of_batch
from segablate.metrics.bands import STATISTIC as BANDS
from segablate.metrics.bands import band_map, distance_sums, nested_bands
from segablate.metrics.calibration import RELIABILITY, calibration_statistics, calibration_sums
from segablate.metrics.roc import STATISTIC as RANKING
from segablate.metrics.roc import count_scores
from segablate.runtime import to_host
from segablate.samples import Batch, Output, Sample

if TYPE_CHECKING:
    from torch import Tensor

CONFUSION, _BROKEN = "confusion", "broken"


@dataclass(frozen=True)
class Asked:
    """What is read from scores: the measures, and how outputs become logits of the classes."""

    measures: Measures
    output: Output
    alignment: Alignment

    @property
    def whole(self) -> bool:
        """Whether a measure needs the scores of all rows at once."""
        return bool(self.measures.map_losses or self.measures.probe)

    @property
    def one_channel(self) -> bool:
        """Whether the logits are two classes made of one channel; else both outputs are joined in one class."""
        return self.output.one_channel and self.alignment.classes == 2

    def logits(self, scores: "Tensor") -> "Tensor":
        """Return the logits, classes first, of scores K, h, W."""
        return class_logits(scores[None], self.output.kind, self.alignment)[0]


@dataclass
class Reading:
    """What is read of the scores of one image.

    - `labels`, `bands`: H, W uint8 on the device of the scores; the bands where they are needed.
    - `predicted`: H, W uint8 there, 255 for outputs without a class.
    - `sums`: counts and sums over rows, by name; `infinite`: the number of pixels that had an infinite score.
    - `values`, `probed`: of what needs the whole map, as in :class:`segablate.evaluation.results.ImageRecord`.
    """

    sample: Sample
    labels: "Tensor"
    bands: "Tensor | None"
    predicted: "Tensor"
    sums: "dict[str, Any]" = field(default_factory=dict)
    infinite: int = 0
    values: dict[str, float] = field(default_factory=dict)
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
        return {**pixel_loss_values(self.sums), **self.values}

    def statistics(self) -> dict[str, np.ndarray]:
        """Return the statistics of the sums, which are on the host."""
        sums, found = self.sums, {}
        if RELIABILITY in sums:
            found = calibration_statistics(sums)
            found[BANDS] = found[RELIABILITY][..., :2].sum(axis=1).astype(np.int64)
        if BANDS in sums:
            found[BANDS] = sums[BANDS]
        if RANKING in sums:
            found[RANKING] = sums[RANKING].astype(np.int32)
        return found


def read_scores(batch: Batch, output: Output, alignment: Alignment, measures: Measures) -> list[Reading]:
    """Read the scores for a batch. CheckpointError where they are NaN.

    That a score is infinite is rare, and noticed when an image has been read: it is then read again.
    """
    asked = Asked(measures, output, alignment)
    if asked.whole and output.bands is not None:
        asked = replace(asked, output=replace(output, scores=whole_scores(output), bands=None))
    readings = [_begun(sample, asked) for sample in batch.samples]
    _read_rows(readings, asked)
    for place, sums in enumerate(to_host([reading.sums for reading in readings])):
        readings[place].sums = sums
        if sums.pop(_BROKEN):
            readings[place] = _read_again(readings[place].sample, place, asked)
        elif asked.whole:
            _read_map(readings[place], _image_scores(asked.output, place), place, asked)
    return readings


def _begun(sample: Sample, asked: Asked) -> Reading:
    import torch

    device, measures = asked.output.device, asked.measures
    wanted = measures.tolerances or measures.calibration
    bands = band_map(nested_bands(sample.labels)) if wanted else None
    labels, bands = (None if each is None else torch.from_numpy(each).to(device) for each in (sample.labels, bands))
    assert labels is not None
    return Reading(sample, labels, bands, torch.empty_like(labels))


def _read_rows(readings: Sequence[Reading], asked: Asked) -> None:
    """Read all rows of a batch, and count what its predicted maps are compared with."""
    top = 0
    for band in score_bands(asked.output):
        for reading, scores in zip(readings, band, strict=True):
            reading.add(top, scores, asked)
        top += band.shape[2]
    for reading in readings:
        maps = reading.labels[None], reading.predicted[None]
        reading.sums[CONFUSION] = count_confusion_of_batch(*maps, asked.alignment.classes)[0]


def _read(block: "Tensor", maps: "tuple[Tensor, Tensor | None]", asked: Asked) -> "tuple[Tensor, dict[str, Tensor]]":
    """Return the classes of the highest scores, h W uint8, of K h W, and the sums over these rows."""
    labels, bands = maps
    measures, classes = asked.measures, asked.alignment.classes
    predicted = highest_scores(block[None], asked.alignment)[0][0]
    sums = {_BROKEN: (~block.sum().isfinite()).double()}
    logits = asked.logits(block) if measures.of_scores or classes == 2 else block
    if bands is not None and measures.calibration:
        sums |= calibration_sums(logits, asked.output.kind, (labels, predicted, bands), classes)
    elif bands is not None:
        sums[BANDS] = distance_sums(labels, predicted, bands)
    if classes == 2:
        sums[RANKING] = count_scores(logits, labels)
    return predicted, {**sums, **pixel_loss_sums(logits, labels, asked.one_channel, measures)}


def _read_map(reading: Reading, scores: "Tensor", place: int, asked: Asked) -> None:
    """Evaluate on the scores K, H, W of an image what needs all of them."""
    logits = asked.logits(scores.contiguous())[None]
    if logits.data_ptr() == scores.data_ptr() and asked.measures.probe:
        logits = logits.clone()  # a measurement may ask for gradients at its own
    inputs = loss_inputs(reading.sample, asked.output, logits, place, asked.alignment.classes, asked.measures)
    reading.values |= loss_values(inputs, asked.measures)
    if asked.measures.probe:
        reading.probed = asked.measures.probe(inputs)


def _image_scores(output: Output, place: int) -> "Tensor":
    return whole_scores(output)[place]


def _read_again(sample: Sample, place: int, asked: Asked) -> Reading:
    """Read an image with an infinite score. CheckpointError where one is NaN."""
    scores, infinite = without_infinities(_image_scores(asked.output, place)[None])
    if bool(scores.isnan().any()):
        raise CheckpointError(
            f"the output of the network is NaN for {sample.name}; check its weights and preprocessing"
        )
    again = replace(asked, output=replace(asked.output, scores=scores, bands=None))
    reading = _begun(sample, again)
    _read_rows([reading], again)
    (reading.sums,) = to_host([reading.sums])
    reading.infinite = infinite[0]
    if asked.whole:
        _read_map(reading, scores[0], place, asked)
    return reading
