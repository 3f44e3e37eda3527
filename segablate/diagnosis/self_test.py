"""A self-test of some seconds: counts against plain definitions, every loss, and a sample checkpoint, on a device."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from segablate.diagnosis import Check
from segablate.errors import SegablateError, counted

if TYPE_CHECKING:
    import torch

SAMPLE_MIOU = 0.6446
"""mIoU of sample:ce on the sample data, as in the README."""

_CLASSES, _SIDE = 5, 48


def self_test(device: str) -> list[Check]:
    """Run every test on a device; a test that fails, or raises, is a fault.

    Raises DeviceError for a device that is not available.
    """
    from segablate.runtime import resolve_device

    on = resolve_device(device)
    tests: dict[str, Callable[[], str]] = {
        "confusion counts": _confusion,
        "boundary distances": _boundaries,
        f"losses on {on}": lambda: _losses(on),
        f"sample:ce on {on}": lambda: _sample(device),
    }
    return [_run(name, test) for name, test in tests.items()]


class _Wrong(Exception):
    """A value that differs from what it must be."""


def _run(name: str, test: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", test())
    except Exception as error:  # whatever fails is what the test is for
        reason = str(error) if isinstance(error, _Wrong | SegablateError) else f"{type(error).__name__}: {error}"
        return Check(name, "fault", " ".join(reason.split()))


def _maps() -> tuple[np.ndarray, np.ndarray]:
    """Return labels, some void, and predictions: blocks of random classes."""
    from segablate.labels import IGNORE

    random = np.random.default_rng(1)
    labels, predicted = (
        np.kron(random.integers(0, _CLASSES, (8, 8)), np.ones((_SIDE // 8, _SIDE // 8), np.int64)).astype(np.uint8)
        for _ in range(2)
    )
    labels[random.random(labels.shape) < 0.05] = IGNORE
    return labels, predicted


def _confusion() -> str:
    from segablate.kernels.confusion import count_confusion

    labels, predicted = _maps()
    found = count_confusion(labels, predicted, _CLASSES)
    plain = np.array(
        [[np.sum((labels == a) & (predicted == b)) for b in range(_CLASSES)] for a in range(_CLASSES)], np.int64
    )
    if not np.array_equal(found[:_CLASSES, :_CLASSES], plain):
        raise _Wrong("differ from a plain count; reinstall numpy and segablate")
    return f"{counted(labels.size, 'pixel')} equal a plain count"


def _boundaries() -> str:
    from segablate.kernels.boundary import boundary_distances
    from segablate.kernels.boundary_reference import boundary_distances as plain

    labels, predicted = _maps()
    found, expected = (distances(predicted, labels, _CLASSES, 5) for distances in (boundary_distances, plain))
    if not all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)):
        raise _Wrong("differ from their definition; reinstall opencv-python-headless and segablate")
    return "equal their definition"


def _losses(device: "torch.device") -> str:
    """Compute every loss that needs logits and labels alone, forward and backward, and compare with the CPU."""
    import torch

    from segablate.losses import get_loss
    from segablate.objective.catalogue import own_summaries

    labels = torch.from_numpy(_maps()[0].astype(np.int64))[None]
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, _CLASSES, _SIDE, _SIDE, generator=generator)
    plain = [loss for name in own_summaries() if not (loss := get_loss(name)).inputs - {"roi", "weights"}]
    for loss in plain:
        leaf = logits.to(device, copy=True).requires_grad_()
        value = loss(leaf, labels.to(device))
        value.backward()
        gradient, value = leaf.grad, float(value.detach())
        if gradient is None or not math.isfinite(value) or not bool(torch.isfinite(gradient).all()):
            raise _Wrong(f"{loss.name}: value or gradient is not finite; is this torch build sound?")
        expected = float(loss(logits, labels))
        if abs(value - expected) > 1e-3 * max(1, abs(expected)):
            raise _Wrong(f"{loss.name} is {value:.6g} there, but {expected:.6g} on the CPU")
    return f"{len(plain)} losses, values and gradients"


def _sample(device: str) -> str:
    from segablate.checkpoints import Loading
    from segablate.datasets import open_dataset
    from segablate.evaluation.session import Request, evaluate_checkpoint
    from segablate.metrics.confusion import class_counts, mean_iou

    run = evaluate_checkpoint("sample:ce", open_dataset("sample"), Request("none", ()), Loading(device=device))
    found = float(mean_iou(class_counts(run.confusion).total()))
    if abs(found - SAMPLE_MIOU) > 5e-4:
        raise _Wrong(f"mIoU is {100 * found:.2f} %, but must be {100 * SAMPLE_MIOU:.2f} %")
    return f"mIoU {100 * found:.2f} %, as it must be"
