"""Calibration: does confidence match accuracy? Counts per image in constant memory, and scores of these counts.

count (:func:`count_calibration`, on the device of the scores) -> add over images -> score. Probabilities are the
softmax of the logits over all outputs, also those outside the label set. Those of a network trained with sigmoids are
each output's own sigmoid, not normalised, as in its training; those that a checkpoint states are used as they are, of
sums other than 1 as :mod:`segablate.metrics.stated_probabilities` divides them. Void is left out.

- Bins: 15 of equal width; bin m holds (m - 1) / 15 < p <= m / 15, and the first also 0 (Guo et al., On Calibration of
  Modern Neural Networks, ICML 2017).
- ECE, by band of distance from the label boundary (:mod:`segablate.metrics.bands`): the probability of the predicted
  class against how often it is right, over all pixels.
- Class-wise ECE (Kull et al., Beyond temperature scaling, NeurIPS 2019): for each class, its probability on every pixel
  against how often the label is that class, whatever the prediction.
- Brier score (Brier, Monthly Weather Review 78, 1950): sum over outputs of the squared distance from 0 or 1; 0 to 2 for
  probabilities that add up to 1.
- NLL: -log of the label's probability, which is taken to be at least 1e-35; for sigmoids the likelihood is that of all
  outputs, so that NLL is the sum of their binary cross entropies.

All sums are of integers, in units of 2^-24, so that neither threads nor devices change a sum by their order.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segablate.kernels import tally
from segablate.labels import ignore_index
from segablate.metrics.calibration_on_device import RowsOnDevice
from segablate.metrics.calibration_on_host import RowsOnHost
from segablate.metrics.probability_bins import UNIT, in_units

if TYPE_CHECKING:
    from torch import Tensor

RELIABILITY, CLASS_GAPS, PROPER = "reliability", "class_gaps", "proper"
"""Names of the statistics that :func:`count_calibration` returns."""

_LEAST = 1e-35
"""Lower limit of a label's probability in NLL."""

_NEAR_LEAST = 69.0
"""NLL from which a probability, below 1e-30, may be rounded to 0 or raised to its limit."""

CROSS_ENTROPY = "cross entropy"
"""Name of the sum of ``ce`` in :func:`calibration_sums`; no statistic."""

Floats = NDArray[np.float64]


def count_calibration(
    scores: "Tensor", kind: str, maps: "tuple[Tensor, Tensor, Tensor]", classes: int
) -> dict[str, np.ndarray]:
    """Count the statistics of one image.

    `scores`: K, H, W float32, the `classes` first: logits, or probabilities as they are used, which are overwritten.
    `maps`: labels and predictions, class index or void, and the band of each pixel
    (:func:`segablate.metrics.bands.band_map`), each H, W. Returns:

    - "reliability": (bands, bins, 3) float64: pixels, those predicted right, and the sum of their confidence.
    - "class_gaps": (C, bins) float32: sum of the class's probability - pixels of the class, by its probability.
    - "proper": (bands, 2) float64: sums of Brier score and NLL.
    """
    sums = calibration_sums(scores, kind, maps, classes)
    return calibration_statistics({name: each.cpu().numpy() for name, each in sums.items()})


def calibration_statistics(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the statistics of :func:`count_calibration` from :func:`calibration_sums`, added over an image's rows.

    Of :func:`reliability_sums` it is "reliability" alone.
    """
    found = {RELIABILITY: sums[RELIABILITY] / (1, 1, UNIT)}
    if CLASS_GAPS in sums:
        found |= {CLASS_GAPS: (sums[CLASS_GAPS] / UNIT).astype(np.float32), PROPER: sums[PROPER] / UNIT}
    return found


def calibration_sums(
    scores: "Tensor", kind: str, maps: "tuple[Tensor, Tensor, Tensor]", classes: int, highest: bool = False
) -> "dict[str, Tensor]":
    """Sum what :func:`count_calibration` returns over some rows of an image, on the device of the scores.

    Float64 by name; all but counts of pixels are integers in units of 2^-24, so that sums of rows add without rounding.
    `highest`: whether every prediction is that of the highest score, so that its probability need not be looked up.
    One more K, H, W array is allocated. On the CPU, for a softmax, :data:`CROSS_ENTROPY` is among them: the sum of the
    loss ``ce`` over labelled pixels, which costs nothing here.
    """
    labels, predicted, _ = maps
    probabilities = _probabilities(scores, kind)  # K H W
    labelled = labels != ignore_index(classes)
    known = labels.clamp(max=classes - 1).long()  # a class everywhere
    at_label = _at(probabilities, known)  # H W
    brier, nll = _brier(probabilities, at_label), _nll(at_label, scores, kind, known)  # H W each
    entropy = _cross_entropy(nll, scores, known, labelled) if kind == "softmax" and not tally.on_gpu(labels) else {}
    scaled = _scaled(probabilities, kind, labelled)
    rows = _rows(maps, _confidence(scaled, predicted, classes, highest))
    gaps = rows.class_gaps(scaled[:classes], exclusive=kind == "softmax")
    proper = rows.proper([score.mul_(UNIT).round_() for score in (brier, nll)])
    return {RELIABILITY: rows.reliability(), CLASS_GAPS: gaps, PROPER: proper, **entropy}


def reliability_sums(
    scores: "Tensor", kind: str, maps: "tuple[Tensor, Tensor, Tensor]", classes: int, highest: bool = False
) -> "dict[str, Tensor]":
    """Sum "reliability" alone, from which the ECE follows, as :func:`calibration_sums` does, in half of its time."""
    labels, predicted, _ = maps
    scaled = _scaled(_probabilities(scores, kind), kind, labels != ignore_index(classes))
    return {RELIABILITY: _rows(maps, _confidence(scaled, predicted, classes, highest)).reliability()}


def _rows(maps: "tuple[Tensor, Tensor, Tensor]", confidence: "Tensor") -> RowsOnHost | RowsOnDevice:
    return RowsOnDevice(*maps, confidence) if tally.on_gpu(confidence) else RowsOnHost.of(maps, confidence)


def _probabilities(scores: "Tensor", kind: str) -> "Tensor":
    if kind == "probabilities":
        return scores
    return scores.sigmoid() if kind == "sigmoid" else scores.softmax(0)


def _scaled(probabilities: "Tensor", kind: str, labelled: "Tensor") -> "Tensor":
    """Return probabilities K, H, W in units of 2^-24, 0 where there is no label; in place."""
    if kind == "probabilities":
        return in_units(probabilities.mul_(labelled))
    return probabilities.mul_(UNIT * labelled).round_()  # up to 2^24 every integer is a float32


def _nll(at_label: "Tensor", scores: "Tensor", kind: str, labels: "Tensor") -> "Tensor":
    """Return minus the logarithm of the likelihood of each pixel's label, H, W.

    `at_label`: the probability of the label, or of any class where there is none; `labels` are classes everywhere.
    """
    from torch.nn.functional import softplus

    if kind != "sigmoid":
        return at_label.clamp_min(_LEAST).log_().neg_()
    nll = -_at(scores, labels)
    for plane in scores:
        nll += softplus(plane)
    return nll


def _cross_entropy(nll: "Tensor", logits: "Tensor", labels: "Tensor", labelled: "Tensor") -> "dict[str, Tensor]":
    """Sum the cross entropy over labelled pixels: the NLL, but where a probability is near its lower limit."""
    import torch
    from torch.nn.functional import cross_entropy

    known = nll * labelled  # H W
    total = known.sum(dtype=torch.float64)
    if known.max() > _NEAR_LEAST:
        least = torch.nonzero(known > _NEAR_LEAST, as_tuple=True)
        exact = cross_entropy(logits[:, *least].T, labels[least], reduction="none")
        total += (exact.double() - nll[least]).sum()
    return {CROSS_ENTROPY: total}


def _brier(probabilities: "Tensor", at_label: "Tensor") -> "Tensor":
    """Return the Brier score of each pixel, H, W; see :func:`_nll` for `at_label`."""
    brier = 1 - 2 * at_label
    for plane in probabilities:
        brier.addcmul_(plane, plane)
    return brier


def _confidence(scaled: "Tensor", predicted: "Tensor", classes: int, highest: bool) -> "Tensor":
    """Return the probability of the prediction, H, W; outside the label set that of the most probable output there."""
    if highest:
        return scaled.amax(dim=0)
    inside = _at(scaled, predicted.clamp(max=classes - 1).long())
    if len(scaled) == classes:
        return inside
    return inside.where(predicted != ignore_index(classes), scaled[classes:].amax(dim=0))


def _at(planes: "Tensor", index: "Tensor") -> "Tensor":
    """Return each pixel's value at its index: K, H, W and H, W int64 to H, W."""
    return planes.gather(0, index[None])[0]


def confidence_gaps(reliability: NDArray) -> Floats:
    """Return confidence minus accuracy as sums over pixels, (..., bins, 3) to (..., bins)."""
    return np.asarray(reliability[..., 2] - reliability[..., 1], np.float64)


def expected_error(gaps: NDArray, pixels: NDArray) -> Floats:
    """Return the expected calibration error: sum over bins of |gap|, over pixels; (..., bins) to (...), else nan.

    It is the ECE of :func:`confidence_gaps`, and the class-wise ECE of the statistic "class_gaps".
    """
    return _ratio(np.abs(gaps).sum(axis=-1), pixels)


def accuracy_and_confidence(reliability: NDArray) -> tuple[Floats, Floats]:
    """Return the means over pixels, (..., 3) sums to (...) each; nan without pixels."""
    pixels, right, confidence = np.moveaxis(np.asarray(reliability, np.float64), -1, 0)
    return _ratio(right, pixels), _ratio(confidence, pixels)


def with_whole(statistic: NDArray) -> Floats:
    """Prepend the whole image to its bands: per-image sums (N, bands, ...) to (N, 1 + bands, ...)."""
    statistic = np.asarray(statistic, np.float64)
    return np.concatenate([statistic.sum(axis=1, keepdims=True), statistic], axis=1)


def _ratio(above: NDArray, below: NDArray) -> Floats:
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
