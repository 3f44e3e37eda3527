"""Label maps and logits of a training loop as the kernels take them: class indices and float32, checked."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from segablate.checkpoints.narrowing import in_float32
from segablate.checkpoints.outputs import two_channels
from segablate.errors import LabelError, counted
from segablate.kernels import tally
from segablate.labels import IGNORE, ignore_index
from segablate.samples import Output, ScoreKind


class CheckedLabels(NamedTuple):
    """Labels as the kernels take them.

    - `maps`: class indices N, H, W with void, uint8 or, of more than 255 classes, int32.
    - `unknown`: per image the pixels whose code is neither a class nor void, (N,).
    """

    maps: Tensor
    unknown: Tensor


def as_tensor(values: Any, what: str) -> Tensor:
    """Return a tensor, detached; arrays and nested lists become tensors on the CPU. Raises TypeError for others."""
    if isinstance(values, Tensor):
        return values.detach()
    try:
        return torch.from_numpy(np.ascontiguousarray(values))
    except TypeError:
        raise TypeError(f"{what} must be a tensor or an array of numbers, not {type(values).__name__}") from None


def batch_of_labels(labels: Tensor) -> Tensor:
    """Return labels N, H, W of maps H, W; N, H, W; or N, 1, H, W. Raises ValueError for others and for fractions."""
    if labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels must be class indices of an integer type, not {_kind(labels)}; call .long()")
    if labels.ndim == 4 and labels.shape[1] == 1:
        labels = labels[:, 0]
    labels = labels[None] if labels.ndim == 2 else labels
    if labels.ndim != 3:
        raise ValueError(f"labels must be H W or N H W, not {_shape(labels)}")
    return labels


def class_indices(labels: Tensor, classes: int, ignore: int | None) -> CheckedLabels:
    """Check labels N, H, W of any integer type; `ignore` is the code of void, None where there is none."""
    if classes <= IGNORE and labels.dtype not in (torch.uint8, torch.bool) and not tally.on_gpu(labels):
        labels = _narrowed(labels)
    inside = (
        labels < classes if labels.dtype == torch.uint8 and classes <= IGNORE else (labels >= 0) & (labels < classes)
    )
    void = torch.zeros_like(inside) if ignore is None else labels == ignore
    return CheckedLabels(_indices(labels, inside & ~void, classes), (~inside & ~void).sum(dim=(1, 2)))


def predicted_indices(predicted: Tensor, classes: int) -> Tensor:
    """Return predicted classes N, H, W of the type of labels, void for what is outside the label set."""
    return _indices(predicted, (predicted >= 0) & (predicted < classes), classes)


def scores_output(logits: Tensor, kind: ScoreKind) -> Output:
    """Return scores N, K, H, W float32, one channel as two classes, as the output of a network."""
    scores = in_float32(logits)
    one = scores.shape[1] == 1
    scores, kind = two_channels(scores, kind)
    return Output(kind, scores, one_channel=one and kind != "probabilities")


def check_sizes(predicted: Tensor, labels: Tensor) -> None:
    """Raise ValueError where predictions N, (K,) H, W and labels N, H, W differ in images or size."""
    if predicted.shape[0] == labels.shape[0] and predicted.shape[-2:] == labels.shape[-2:]:
        return
    raise ValueError(
        f"predictions are {_shape(predicted)} but labels are {_shape(labels)}; resize the logits to the labels first, "
        "as with torch.nn.functional.interpolate"
    )


def check_known(unknown: int, what: str, classes: int, ignore: int | None) -> None:
    """Raise LabelError where pixels have a code that is neither a class nor void."""
    if unknown:
        void = "no code is void" if ignore is None else f"void is {ignore}"
        raise LabelError(
            f"{what}: {counted(unknown, 'pixel')} with a code outside 0..{classes - 1} ({void}); map them to a class "
            "or to void, or pass ignore_index="
        )


def check_devices(predicted: Tensor, labels: Tensor) -> None:
    """Raise ValueError where the two are on different devices."""
    if predicted.device != labels.device:
        raise ValueError(
            f"predictions are on {predicted.device} but labels on {labels.device}; move the labels there, as with "
            ".to(logits.device, non_blocking=True)"
        )


def _narrowed(labels: Tensor) -> Tensor:
    """Return labels on the CPU as uint8 where all codes fit, which makes every further pass several times faster."""
    if not labels.numel():
        return labels.to(torch.uint8)
    low, high = torch.aminmax(labels)
    return labels.to(torch.uint8) if low >= 0 and high <= 255 else labels


def _indices(codes: Tensor, valid: Tensor, classes: int) -> Tensor:
    kind = torch.uint8 if classes <= IGNORE else torch.int32
    void = torch.full((), ignore_index(classes), dtype=kind, device=codes.device)
    return torch.where(valid, codes.to(kind), void).contiguous()


def _shape(tensor: Tensor) -> str:
    return " ".join(map(str, tensor.shape))


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
