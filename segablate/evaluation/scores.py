"""Scores of a network as measures read them: rows in planes, classes, logits."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from segablate.errors import CheckpointError, counted
from segablate.evaluation.alignment import Alignment
from segablate.kernels import tally
from segablate.labels import IGNORE, look_up
from segablate.runtime import labels_to_device
from segablate.samples import Output

if TYPE_CHECKING:
    from torch import Tensor

LARGE = 1e4
"""The least that infinite scores are measured as, positive or negative."""

_CELLS = 1 << 20
"""Scores in a block of rows on the CPU: 4 MB, which fit the cache and which the allocator reuses."""

_ROWS_OF_MANY = 16
"""Rows of a block of more than 255 outputs at least, as every class costs a few operations a block."""


def score_bands(output: Output) -> "Iterator[Tensor]":
    """Yield the scores N, K, h, W of an output, consecutive bands of rows, each valid until the next is asked for."""
    if output.bands is not None:
        yield from output.bands.each()
    elif output.scores is not None:
        yield output.scores


def whole_scores(output: Output) -> "Tensor":
    """Return the scores N, K, H, W of an output; bands of rows are joined."""
    import torch

    if output.scores is not None:
        return output.scores
    return torch.cat([band.clone() for band in score_bands(output)], dim=2)


def row_blocks(scores: "Tensor") -> "Iterator[tuple[slice, Tensor]]":
    """Yield rows of the scores K, H, W of an image, plane after plane in memory; on a GPU all rows at once."""
    outputs, height, width = scores.shape
    least = 1 if outputs <= IGNORE else _ROWS_OF_MANY
    rows = height if tally.on_gpu(scores) else max(least, _CELLS // (outputs * width))
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height)), in_planes(scores[:, top : top + rows])


def in_planes(scores: "Tensor") -> "Tensor":
    """Return the scores K, h, W plane after plane in memory.

    A network that was given channels-last images returns the scores of a pixel side by side, which OpenCV transposes
    several times faster than torch.
    """
    import torch

    pixels = scores.permute(1, 2, 0)
    if tally.on_gpu(scores) or scores.dtype != torch.float32 or scores.is_contiguous() or not pixels.is_contiguous():
        return scores.contiguous()
    return torch.from_numpy(cv2.transpose(pixels.numpy().reshape(-1, len(scores)))).view(scores.shape)


def without_infinities(scores: "Tensor") -> "tuple[Tensor, list[int]]":
    """Return scores (N, K, H, W) without infinite ones, and the number of pixels that had one in each image.

    Losses and calibration would be undefined, or infinite over the whole set. In their place is twice the largest
    finite score of the image, and at least :data:`LARGE`, at which a softmax is exactly that of infinite ones.
    """

    if bool(scores.sum(dtype=scores.dtype).isfinite()):  # one pass; all others are rare
        return scores, [0] * len(scores)
    pixels = infinite_pixels(scores).tolist()
    return (made_finite(scores) if any(pixels) else scores), pixels


def infinite_pixels(scores: "Tensor") -> "Tensor":
    """Return the number of pixels with an infinite score of each image, (N,), on the device of N, K, H, W."""
    return scores.isinf().any(dim=1).sum(dim=(1, 2))


def made_finite(scores: "Tensor") -> "Tensor":
    """Return scores N, K, H, W with the large finite values of :func:`without_infinities`; reads nothing of a GPU."""
    import torch

    finite = scores.where(scores.isfinite(), 0).abs().amax(dim=(1, 2, 3), keepdim=True)
    large = (2 * finite).clamp(LARGE, torch.finfo(scores.dtype).max)
    return scores.where(scores.isfinite() | scores.isnan(), scores.sign() * large)


def highest_scores(scores: "Tensor", alignment: Alignment) -> "tuple[Tensor, Tensor]":
    """Return the classes of the highest of the scores (N, K, H, W), and these scores, (N, H, W) each.

    Of equal scores the first counts. Classes are of the type of :func:`segablate.runtime.labels_to_device`, void for
    outputs without a class; a score is NaN where any of the K is.
    """
    on_gpu = tally.on_gpu(scores)
    highest, output = scores.max(dim=1) if on_gpu else _highest_of_planes(scores)
    if alignment.plain:
        return output.byte() if alignment.table.itemsize == 1 else output.int(), highest
    if on_gpu:
        return labels_to_device(alignment.table, scores.device)[output], highest
    return labels_to_device(look_up(alignment.table, output.numpy()), scores.device), highest


def above_threshold(logits: "Tensor", threshold: float, classes: int) -> "Tensor":
    """Return where the second of two classes is more probable than a threshold, h, W uint8, of logits K, h, W.

    The probability is σ of the second logit less the first: the softmax of both, and of one channel its sigmoid. At 0.5
    that is the higher logit. Raises CheckpointError for more classes, or outputs without a class.
    """
    if classes != 2 or len(logits) != 2:
        beside = "" if classes != 2 else f", {len(logits) - 2} of them without a class"
        raise CheckpointError(
            f"threshold is {threshold:g}, but the network has {counted(len(logits), 'output')}{beside}; leave it out: "
            f"it is for two classes, or one channel"
        )
    return (logits[1] - logits[0] > math.log(threshold / (1 - threshold))).byte()


def _highest_of_planes(scores: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return the highest scores and their outputs, N, H, W, uint8 or int16.

    Plane by plane, which on the CPU is many times faster than a reduction over a dimension that is not last.
    """
    import torch

    if scores.dtype == torch.bfloat16:  # which numpy lacks; float32 holds the same values in the same order
        highest, output = _highest_of_planes(scores.float())
        return highest.bfloat16(), output
    planes = scores.numpy().swapaxes(0, 1)  # K N H W; numpy compares several times faster than torch
    kind = np.uint8 if len(planes) <= 256 else np.int16
    highest = planes[0].copy()
    output = np.zeros(highest.shape, kind)
    higher = np.empty(highest.shape, kind)
    for index, plane in enumerate(planes[1:], start=1):
        np.greater(plane, highest, out=higher, casting="unsafe")
        np.maximum(output, np.multiply(higher, kind(index), out=higher), out=output)  # outputs ascend
        np.maximum(highest, plane, out=highest)
    return torch.from_numpy(highest), torch.from_numpy(output)


def class_logits(scores: "Tensor", kind: str, alignment: Alignment) -> "Tensor":
    """Return logits (N, K', H, W) whose first C channels are the classes; outputs without a class follow.

    Probabilities become their logarithm. Outputs of one class are merged by log-sum-exp, which is exact for a softmax.
    """
    import torch

    logits = scores.clamp_min(torch.finfo(scores.dtype).tiny).log() if kind == "probabilities" else scores
    return _classes_first(logits, alignment, lambda planes: planes.logsumexp(dim=1, keepdim=True))


def class_probabilities(probabilities: "Tensor", alignment: Alignment) -> "Tensor":
    """Return probabilities (N, K', H, W) whose first C channels are the classes, as :func:`class_logits` does.

    Outputs of one class are added.
    """
    return _classes_first(probabilities, alignment, lambda planes: planes.sum(dim=1, keepdim=True))


def _classes_first(scores: "Tensor", alignment: Alignment, merged: "Callable[[Tensor], Tensor]") -> "Tensor":
    """Return scores N, K, H, W with the classes first; `merged` joins the outputs of one class."""
    import torch

    if alignment.leading:
        return scores
    outside = [output for output, index in enumerate(alignment.outputs) if index is None]
    classes = []
    for wanted in range(alignment.classes):
        outputs = [output for output, index in enumerate(alignment.outputs) if index == wanted]
        planes = _planes(scores, outputs)
        classes.append(merged(planes) if len(outputs) > 1 else planes)
    return torch.cat([*classes, _planes(scores, outside)], dim=1)


def _planes(scores: "Tensor", outputs: list[int]) -> "Tensor":
    """Return these outputs of scores N, K, H, W, without a list of places that a GPU would have to be sent."""
    import torch

    return torch.cat([scores[:, :0], *(scores[:, output : output + 1] for output in outputs)], dim=1)
