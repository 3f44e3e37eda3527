"""Confusion counts of label maps: a plain reference, fast forms on the host, and one on the device.

The fast form for maps of bytes is OpenCV's histogram of two maps, which reads the bytes as they are. It works pixel by
pixel, and a pixel waits for the one before where both raise the same count; so eight neighbours that are equal in both
maps, as most are away from boundaries, are counted as one. Its result is float32, in which counts are exact below 2^24;
larger maps are counted in parts and summed as integers. Maps of more than 255 classes are counted by one integer code a
pixel of label and prediction.
"""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from segablate.kernels import tally
from segablate.kernels.histogram import EXACT
from segablate.kernels.maps import Map
from segablate.labels import IGNORE, ignore_index, index_type

if TYPE_CHECKING:
    from torch import Tensor

_WORD = 8
"""Neighbours in a row that are compared as one, the bytes of a uint64."""

_EACH_BYTE = np.uint64(0x0101010101010101)


def count_confusion_plainly(labels: Map, predicted: Map, classes: int) -> NDArray[np.int64]:
    """Count pixel by pixel, as :func:`count_confusion`: the definition."""
    table = np.zeros((classes + 1, classes + 1), np.int64)
    for label, prediction in zip(labels.reshape(-1).tolist(), predicted.reshape(-1).tolist(), strict=True):
        if label < classes or label == ignore_index(classes):
            table[min(label, classes), min(prediction, classes)] += 1
    return table


def count_confusion(labels: Map, predicted: Map, classes: int, part: int = EXACT) -> NDArray[np.int64]:
    """Count pixels by label and prediction, (C+1, C+1) int64; row C is void, column C is outside the label set.

    ``labels`` and ``predicted`` are arrays of one shape, of :func:`segablate.labels.index_type`; labels are 0..C-1 or
    void, and predictions that are not in 0..C-1 are outside. ``part`` pixels are counted at once.
    """
    labels, predicted = (np.ascontiguousarray(values).reshape(-1) for values in (labels, predicted))
    if ignore_index(classes) != IGNORE:
        return _by_pairs(labels, predicted, classes)
    table = np.zeros((256, 256), np.int64)
    for start in range(0, labels.size, part):
        table += _by_words(labels[start : start + part], predicted[start : start + part])
    rows = np.vstack([table[:classes], table[IGNORE]])
    return np.hstack([rows[:, :classes], rows[:, classes:].sum(axis=1, keepdims=True)])


def _by_pairs(labels: Map, predicted: Map, classes: int) -> NDArray[np.int64]:
    """Count flat maps by codes that join label and prediction, void and all that is outside as ``classes``."""
    side = classes + 1
    codes = np.minimum(labels, classes) * np.int32(side)  # up to 2^24 of 5 000 classes
    codes += np.minimum(predicted, classes)
    return np.bincount(codes, minlength=side * side).reshape(side, side)


def _by_words(labels: Map, predicted: Map) -> NDArray[np.int64]:
    """Count pixels by label and prediction of flat maps, (256, 256). A word of equal bytes counts by its first byte."""
    end = labels.size - labels.size % _WORD
    words = [values[:end].view(np.uint64) for values in (labels, predicted)]
    first = [values.astype(np.uint8) for values in words]
    mixed = np.flatnonzero((words[0] != first[0] * _EACH_BYTE) | (words[1] != first[1] * _EACH_BYTE))
    uniform = _histogram(*first) - _histogram(*(values[mixed] for values in first))
    one_by_one = _histogram(*(values[mixed].view(np.uint8) for values in words))
    return _WORD * uniform + one_by_one + _histogram(labels[end:], predicted[end:])


def _histogram(labels: Map, predicted: Map) -> NDArray[np.int64]:
    if not labels.size:
        return np.zeros((256, 256), np.int64)
    counts = cv2.calcHist([labels, predicted], [0, 1], None, [256, 256], [0, 256, 0, 256])
    return counts.astype(np.int64)


def count_confusion_of_batch(labels: "Tensor", predicted: "Tensor", classes: int) -> "Tensor":
    """Count N, H, W label maps on their device, (N, C+1, C+1) int64; as :func:`count_confusion`.

    On a GPU all images are counted at once, by one integer code a pixel of image, label and prediction.
    """
    import torch

    if not tally.on_gpu(labels):
        maps = (values.numpy().astype(index_type(classes), copy=False) for values in (labels, predicted))
        tables = [count_confusion(one, other, classes) for one, other in zip(*maps, strict=True)]
        return torch.from_numpy(np.stack(tables))
    return _by_codes(labels, predicted, classes)


def _by_codes(labels: "Tensor", predicted: "Tensor", classes: int) -> "Tensor":
    import torch

    images, side = len(labels), classes + 1
    kind = torch.int32 if images * side * side < 1 << 31 else torch.int64
    codes = torch.arange(images, dtype=kind, device=labels.device).view(-1, 1, 1) * side  # N 1 1
    codes = (codes + labels.clamp(max=classes)).mul_(side).add_(predicted.clamp(max=classes))  # N H W
    return tally.count(codes, images * side * side).view(images, side, side)
