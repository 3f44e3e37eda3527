"""Calibration: does confidence match accuracy? Counts per image in constant memory, and scores of these counts.

count (:func:`count_calibration`, on the device of the scores) -> add over images -> score. Probabilities are the
softmax of the logits over all outputs, also those outside the label set. Those of a network trained with sigmoids are
each output's own sigmoid, not normalised, as in its training; probabilities are divided by their sum, which for
scores of mask queries is below 1. Void is left out.

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
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segablate.kernels import tally
from segablate.labels import ignore_index
from segablate.metrics.bands import BANDS
from segablate.runtime import to_device

if TYPE_CHECKING:
    from torch import Tensor

BINS = 15

RELIABILITY, CLASS_GAPS, PROPER = "reliability", "class_gaps", "proper"
"""Names of the statistics that :func:`count_calibration` returns."""

_UNIT = 2.0**24

_AT_ONCE = 1 << 23
"""Probabilities that are added to a table at once on a GPU, with 21 bytes each beside them."""

_LEAST = 1e-35
"""Lower limit of a label's probability in NLL."""

_NEAR_LEAST = 69.0
"""NLL from which a probability, below 1e-30, may be rounded to 0 or raised to its limit."""

CROSS_ENTROPY = "cross entropy"
"""Name of the sum of ``ce`` in :func:`calibration_sums`; no statistic."""

Floats = NDArray[np.float64]


def count_calibration(
    logits: "Tensor", kind: str, maps: "tuple[Tensor, Tensor, Tensor]", classes: int
) -> dict[str, np.ndarray]:
    """Count the statistics of one image.

    `logits`: K, H, W float32, the `classes` first; of probabilities their logarithm. `maps`: labels and predictions,
    class index or void, and the band of each pixel (:func:`segablate.metrics.bands.band_map`), each H, W. Returns:

    - "reliability": (bands, bins, 3) float64: pixels, those predicted right, and the sum of their confidence.
    - "class_gaps": (C, bins) float32: sum of the class's probability - pixels of the class, by its probability.
    - "proper": (bands, 2) float64: sums of Brier score and NLL.
    """
    sums = calibration_sums(logits, kind, maps, classes)
    return calibration_statistics({name: each.cpu().numpy() for name, each in sums.items()})


def calibration_statistics(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the statistics of :func:`count_calibration` from :func:`calibration_sums`, added over an image's rows.

    Of :func:`reliability_sums` it is "reliability" alone.
    """
    found = {RELIABILITY: sums[RELIABILITY] / (1, 1, _UNIT)}
    if CLASS_GAPS in sums:
        found |= {CLASS_GAPS: (sums[CLASS_GAPS] / _UNIT).astype(np.float32), PROPER: sums[PROPER] / _UNIT}
    return found


def calibration_sums(
    logits: "Tensor", kind: str, maps: "tuple[Tensor, Tensor, Tensor]", classes: int
) -> "dict[str, Tensor]":
    """Sum what :func:`count_calibration` returns over some rows of an image, on the device of the logits.

    Float64 by name; all but counts of pixels are integers in units of 2^-24, so that sums of rows add without rounding.
    One more K, H, W array is allocated. On the CPU, for a softmax, :data:`CROSS_ENTROPY` is among them: the sum of the
    loss ``ce`` over labelled pixels, which costs nothing here.
    """
    labels, predicted, bands = maps
    probabilities = _probabilities(logits, kind)  # K H W
    labelled = labels != ignore_index(classes)
    known = labels.clamp(max=classes - 1)  # a class everywhere
    nll = _nll(probabilities, logits, kind, known)  # H W
    proper = _proper(probabilities, nll, known, bands)
    entropy = _cross_entropy(nll, logits, known, labelled) if kind != "sigmoid" and not tally.on_gpu(labels) else {}
    scaled = probabilities.mul_(_UNIT * labelled).round_()  # up to 2^24 every integer is a float32
    reliability = _reliability(_confidence(scaled, predicted, classes), labels == predicted, bands)
    gaps = _class_gaps(scaled[:classes], labels)
    return {RELIABILITY: reliability, CLASS_GAPS: gaps, PROPER: proper, **entropy}


def reliability_sums(
    logits: "Tensor", kind: str, maps: "tuple[Tensor, Tensor, Tensor]", classes: int
) -> "dict[str, Tensor]":
    """Sum "reliability" alone, from which the ECE follows, as :func:`calibration_sums` does; a third of its time."""
    labels, predicted, bands = maps
    scaled = _probabilities(logits, kind).mul_(_UNIT * (labels != ignore_index(classes))).round_()
    return {RELIABILITY: _reliability(_confidence(scaled, predicted, classes), labels == predicted, bands)}


def _probabilities(logits: "Tensor", kind: str) -> "Tensor":
    return logits.sigmoid() if kind == "sigmoid" else logits.softmax(0)


def _nll(probabilities: "Tensor", logits: "Tensor", kind: str, labels: "Tensor") -> "Tensor":
    """Return minus the logarithm of the likelihood of each pixel's label, H, W; `labels` are classes everywhere."""
    from torch.nn.functional import softplus

    if kind != "sigmoid":
        return _at(probabilities, labels).clamp_min_(_LEAST).log_().neg_()
    nll = -_at(logits, labels)
    for plane in logits:
        nll += softplus(plane)
    return nll


def _cross_entropy(nll: "Tensor", logits: "Tensor", labels: "Tensor", labelled: "Tensor") -> "dict[str, Tensor]":
    """Sum the cross entropy over labelled pixels: the NLL, but where a probability is near its lower limit."""
    import torch
    from torch.nn.functional import cross_entropy

    total = (nll * labelled).sum(dtype=torch.float64)
    least = torch.nonzero((nll > _NEAR_LEAST) & labelled, as_tuple=True)
    if len(least[0]):
        exact = cross_entropy(logits[:, *least].T, labels[least].long(), reduction="none")
        total += (exact.double() - nll[least]).sum()
    return {CROSS_ENTROPY: total}


def _proper(probabilities: "Tensor", nll: "Tensor", labels: "Tensor", bands: "Tensor") -> "Tensor":
    """Sum Brier score and NLL by band, (bands, 2); `labels` are classes everywhere."""
    import torch

    brier = 1 - 2 * _at(probabilities, labels)  # H W
    for plane in probabilities:  # plane by plane, many times faster than a reduction over the first dimension
        brier.addcmul_(plane, plane)
    groups = len(BANDS) + 1  # void has a band of its own, the last
    sums = [tally.total(bands, groups, (score.double() * _UNIT).round_()) for score in (brier, nll)]
    return torch.stack(sums, dim=1)[: len(BANDS)]


def _confidence(scaled: "Tensor", predicted: "Tensor", classes: int) -> "Tensor":
    """Return the probability of the prediction, H, W; outside the label set that of the most probable output there."""
    inside = _at(scaled, predicted.clamp(max=classes - 1))
    if len(scaled) == classes:
        return inside
    return inside.where(predicted != ignore_index(classes), scaled[classes:].amax(dim=0))


def _reliability(confidence: "Tensor", right: "Tensor", bands: "Tensor") -> "Tensor":
    import torch

    places = bands.long() * BINS + _bin(confidence)
    size = (len(BANDS) + 1) * BINS  # void has a band of its own, the last
    counts = tally.count(2 * places + right, 2 * size).view(size, 2)
    columns = (counts.sum(dim=1).double(), counts[:, 1].double(), tally.total(places, size, confidence))
    return torch.stack(columns, dim=1).view(-1, BINS, 3)[: len(BANDS)]


def _class_gaps(scaled: "Tensor", labels: "Tensor") -> "Tensor":
    """Sum by class and bin, (C, bins). Most probabilities are in the first bin, which is the total less the others."""
    import torch

    classes = len(scaled)
    if tally.on_gpu(scaled):
        ends = to_device(_ends_of_bins(), scaled.device)
        planes = max(1, _AT_ONCE // scaled[0].numel())
        return torch.cat([_gaps_of_planes(scaled, labels, first, planes, ends) for first in range(0, classes, planes)])
    of_pixels = labels.numpy().reshape(-1)
    gaps = np.zeros((classes, BINS))
    for index, plane in enumerate(scaled.reshape(classes, -1).numpy()):
        high = np.flatnonzero(plane > np.float32(_UNIT / BINS))
        probability = plane[high]
        bins = np.ceil(probability * np.float32(BINS / _UNIT)).astype(np.intp) - 1
        gap = probability - np.float32(_UNIT) * (of_pixels[high] == index)
        gaps[index] = np.bincount(bins, gap, BINS)
        total = plane.sum(dtype=np.float64) - _UNIT * np.count_nonzero(of_pixels == index)
        gaps[index, 0] = total - gaps[index, 1:].sum()
    return torch.from_numpy(gaps)


def _gaps_of_planes(scaled: "Tensor", labels: "Tensor", first: int, planes: int, ends: "Tensor") -> "Tensor":
    """Sum the gaps of some classes by bin, (k, bins), on a GPU, where all pixels are added to a table."""
    import torch

    chosen = scaled[first : first + planes]  # k H W
    index = torch.arange(len(chosen), device=scaled.device).view(-1, 1, 1)  # k 1 1
    gaps = torch.add(chosen, labels == index + first, alpha=-_UNIT)  # k H W
    places = torch.bucketize(chosen, ends).add_(index * BINS)  # k H W
    return tally.total(places, len(chosen) * BINS, gaps).view(-1, BINS)


@cache
def _ends_of_bins() -> NDArray[np.float32]:
    """Return the largest number of each bin but the last, (bins - 1,), as :func:`_bin` rounds."""
    bins = np.arange(1, BINS, dtype=np.float32)[:, None]
    near = np.rint(bins * _UNIT / BINS) + np.arange(-8, 9)  # bins - 1, 17
    within = np.ceil(near.astype(np.float32) * np.float32(BINS / _UNIT)) <= bins
    return np.where(within, near, 0).max(axis=1).astype(np.float32)


def _bin(scaled: "Tensor") -> "Tensor":
    """Return the bin of probabilities in units of 2^-24."""
    return (scaled * (BINS / _UNIT)).ceil_().long().sub_(1).clamp_(0, BINS - 1)


def _at(planes: "Tensor", index: "Tensor") -> "Tensor":
    """Return each pixel's value at its index: K, H, W and H, W to H, W."""
    return planes.gather(0, index.long()[None])[0]


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
