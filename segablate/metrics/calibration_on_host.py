"""Sums of calibration over some rows of an image on the CPU, as :mod:`segablate.metrics.calibration` defines them.

A softmax is sure of its prediction in most pixels: its probability is then in the last bin, and those of all other
classes are in the first. These pixels are added by band and by class; only the others are looked at bin by bin. The
first bin of a class is its total less its other bins. All sums are of whole numbers, exact in any order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from segablate.kernels import tally
from segablate.labels import ignore_index
from segablate.metrics.bands import BANDS
from segablate.metrics.probability_bins import BINS, UNIT, ends_of_bins

if TYPE_CHECKING:
    from torch import Tensor

_SURE = np.float32(UNIT * ((BINS - 1) / BINS + 1e-3))
"""Probability above which all others are in the first bin, whatever a softmax and its rounding add to their sum."""

_VOID = len(BANDS)
"""The band of void."""

_quietly = np.errstate(invalid="ignore")
"""For infinite scores, whose image is read again without them."""

Map = NDArray[np.integer]
Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]


@dataclass(frozen=True)
class RowsOnHost:
    """The labels, predictions and bands of some rows, each H, W, and the `confidence` of the predictions.

    - `labels`, `predicted`: class index or void; `confidence`: in units of 2^-24, 0 where there is no label.
    """

    labels: Map
    predicted: Map
    bands: Map
    confidence: Floats32

    @classmethod
    def of(cls, maps: "tuple[Tensor, Tensor, Tensor]", confidence: "Tensor") -> "RowsOnHost":
        """Return the rows of tensors on the CPU."""
        labels, predicted, bands = (each.numpy() for each in maps)
        return cls(labels, predicted, bands, confidence.numpy())

    @_quietly
    def proper(self, scores: "Sequence[Tensor]") -> "Tensor":
        """Sum each of the scores by band, (bands, scores): H, W float32 in units of 2^-24."""
        return _tensor(np.stack([self._by_band(score.numpy()) for score in scores], axis=1))

    @_quietly
    def reliability(self) -> "Tensor":
        """Sum pixels, right ones and their confidence by band and bin, (bands, bins, 3)."""
        maps = (self.labels, self.predicted, self.bands)
        labels, predicted, bands = (each.reshape(-1)[self._unsure] for each in maps)
        numbers = self.confidence.reshape(-1)[self._unsure]
        cells = bands.astype(np.intp) * BINS + _bins(numbers)
        pixels = np.bincount(2 * cells + (labels == predicted), minlength=2 * _VOID * BINS).reshape(-1, 2)
        columns = pixels.sum(axis=1), pixels[:, 1], np.bincount(cells, numbers, _VOID * BINS)
        sums = np.stack(columns, axis=1, dtype=np.float64).reshape(_VOID, BINS, 3)
        sums[:, -1] += self._of_sure()
        return _tensor(sums)

    @_quietly
    def class_gaps(self, scaled: "Tensor", exclusive: bool) -> "Tensor":
        """Sum probability less pixels by class and bin of the class's probability, (C, bins).

        `scaled`: C, H, W float32 in units of 2^-24, 0 where there is no label; `exclusive`: whether the probabilities
        of a pixel add up to at most 1.
        """
        flat, labels = scaled.reshape(len(scaled), -1).numpy(), self.labels.reshape(-1)
        if exclusive and 2 * self._unsure.size < labels.size:
            gaps = _of_pixels(flat.take(self._unsure, axis=1), labels[self._unsure])
            gaps[:, -1] += self._last_of_sure(len(flat))
        else:
            gaps = _of_pixels(flat, labels)
        for index, plane in enumerate(flat):
            total = cv2.sumElems(plane)[0] - UNIT * np.count_nonzero(labels == index)
            gaps[index, 0] = total - gaps[index, 1:].sum()
        return _tensor(gaps)

    @cached_property
    def _masks(self) -> list[Floats32]:
        """Return 1 in each band, H, W, else 0."""
        return [(self.bands == band).astype(np.float32) for band in range(_VOID)]

    def _by_band(self, numbers: Floats32) -> Floats64:
        """Sum whole numbers, H, W, by band; OpenCV adds up in float64, several times faster than a table."""
        return np.array([cv2.sumElems(numbers * mask)[0] for mask in self._masks])

    @cached_property
    def _sure(self) -> NDArray[np.bool_]:
        return self.confidence > _SURE

    @cached_property
    def _unsure(self) -> NDArray[np.intp]:
        """Return the labelled pixels whose prediction is not sure, flat places, ascending."""
        return np.flatnonzero((self.confidence <= _SURE) & (self.bands != _VOID))

    def _of_sure(self) -> Floats64:
        """Sum sure pixels, right ones and their confidence by band, (bands, 3)."""
        right = self._sure & (self.labels == self.predicted)
        inside = (self.bands == band for band in range(_VOID))
        counts = [[np.count_nonzero(mask & each) for each in (self._sure, right)] for mask in inside]
        return np.column_stack([np.array(counts, np.float64), self._by_band(self.confidence * self._sure)])

    def _last_of_sure(self, classes: int) -> Floats64:
        """Sum the gaps of sure predictions by class, (C,)."""
        gaps = (self.confidence - np.float32(UNIT) * (self.labels == self.predicted)) * self._sure
        size = ignore_index(classes) + 1
        return tally.total_on_host(self.predicted.reshape(-1), size, gaps.reshape(-1))[:classes]


def _tensor(sums: Floats64) -> "Tensor":
    import torch

    return torch.from_numpy(sums)


def _of_pixels(scaled: Floats32, labels: Map) -> Floats64:
    """Sum the gaps of the probabilities C, n that are not in the first bin, (C, bins)."""
    classes, pixels = scaled.shape
    high = np.flatnonzero(scaled > ends_of_bins()[0])
    ends = np.searchsorted(high, pixels * np.arange(classes + 1))
    index = np.repeat(np.arange(classes), np.diff(ends))
    numbers = scaled.reshape(-1)[high]
    last = numbers - np.float32(UNIT) * (labels[high - pixels * index] == index)
    return tally.total_on_host(index * BINS + _bins(numbers), classes * BINS, last).reshape(classes, BINS)


def _bins(numbers: Floats32) -> NDArray[np.intp]:
    """Do as :func:`segablate.metrics.probability_bins.bins_of`."""
    return (np.ceil(numbers * np.float32(BINS / UNIT)).astype(np.intp) - 1).clip(0, BINS - 1)
