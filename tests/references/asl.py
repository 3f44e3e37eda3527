"""Auto Seg-Loss as written: one-hot operands that are zero at void, every curve on all probabilities."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from references import IGNORE, one_hot

EPSILON = 1e-8
THETAS = {
    "miou": "5.69728440e-04 6.43720450e-01 3.38589169e-01 7.05543360e-01 6.25281252e-01 7.79551927e-01 "
    "6.90375570e-01 1.30628900e-02 8.34170515e-01 9.62431815e-01 9.42998269e-01 9.80038125e-01",
    "fwiou": "0.11907931 0.669945 0.19315827 0.71179134 0.46337387 0.79494196 "
    "0.5266451 0.29869753 0.706645 0.4485701 0.86858255 0.7261703",
    "biou": "3.65390355e-04 9.84171689e-01 9.69491959e-01 9.92340326e-01 9.88328516e-01 9.95552719e-01 "
    "3.54609758e-01 2.67221928e-01 5.60551465e-01 4.35290039e-01 5.65432191e-01 6.01448298e-01",
    "macc": "2.1453928e-02 7.3905742e-01 4.1163361e-01 7.9865617e-01 9.1986191e-01 9.5041156e-01",
    "gacc": "0.221453928 0.73905742 0.41163361 0.79865617 0.91986191 0.95041156",
    "bf1": "0.8113003373146057 0.8526162505149841 0.17164576053619385 0.03164796531200409 "
    "0.20997394621372223 0.44903290271759033 0.07847517728805542 0.8753038048744202",
}
"""The parameters of the authors' training logs."""

CURVES = {"miou": 2, "fwiou": 2, "biou": 2, "macc": 1, "gacc": 1, "bf1": 4}
SETTINGS = (
    *({"metric": metric} for metric in ("fwiou", "biou", "macc", "gacc", "bf1")),
    {"metric": "biou", "drop_background": False},
    {"metric": "bf1", "drop_background": True},
    *({"metric": metric, "tolerance": reach} for metric in ("biou", "bf1") for reach in (0, 1, 2, 40)),
    {"theta": (0.5, 0.5)},
    {"theta": (0.3, 0.6)},
    {"theta": (0.1, 0.4, 0.6, 0.7, 0.75, 0.9), "metric": "bf1", "tolerance": 2},
    {"theta": (0.2, 0.7, 0.6, 0.1), "metric": "fwiou"},
    {"theta": (0.2, 0.7), "metric": "macc"},
)


class Fraction(NamedTuple):
    """What is averaged, by class: above and below the line, and whether the class is measured; C each."""

    above: Tensor
    below: Tensor
    measured: Tensor


def asl(
    logits: Tensor,
    labels: Tensor,
    *,
    metric: str = "miou",
    theta: Sequence[float] | None = None,
    tolerance: int = 5,
    drop_background: bool | None = None,
) -> Tensor:
    above, below, measured = fractions(logits, labels, metric, theta, tolerance, drop_background)
    each = above / (below + EPSILON)
    pixels = one_hot(logits, labels).sum((0, 2, 3))
    if metric == "gacc":
        return 1 - above.sum() / (below.sum() + EPSILON)
    if metric == "fwiou":
        return 1 - (pixels * each).sum() / pixels.sum()
    return 1 - (each[measured].mean() if metric == "bf1" else each.mean())


def by_class(logits: Tensor, labels: Tensor, **settings) -> Tensor:
    """One minus the fraction of each class that is measured."""
    above, below, measured = fractions(logits, labels, **settings)
    return (1 - above / (below + EPSILON)).where(measured, torch.nan)


def fractions(
    logits: Tensor,
    labels: Tensor,
    metric: str,
    theta: Sequence[float] | None,
    tolerance: int,
    drop_background: bool | None,
) -> Fraction:
    p, y = logits.softmax(1), one_hot(logits, labels)
    curves = read_curves(theta, metric)
    drop = metric == "biou" if drop_background is None else drop_background
    if metric == "bf1":
        return soft_edges(p, y, curves, tolerance, drop)
    valid = (labels != IGNORE).unsqueeze(1)
    if metric == "biou":
        edge = y * (F.avg_pool2d(y, 3, 1, 1, count_include_pad=False) != y)
        valid = valid & (dilated(edge[:, drop:], tolerance).amax(1, keepdim=True) > 0.5)
    hits, pixels = (valid * y * bezier(p, curves[0])).sum((0, 2, 3)), (valid * y).sum((0, 2, 3))
    if len(curves) == 1:
        return Fraction(hits, pixels, pixels > 0)
    either = bezier(p, curves[1])
    return Fraction(hits, (valid * (y + either - y * either)).sum((0, 2, 3)), pixels > 0)


def soft_edges(p: Tensor, y: Tensor, curves: Sequence[Sequence[float]], tolerance: int, drop: bool) -> Fraction:
    """2 P R over P + R of the exclusive or of maps and their erosions."""
    label_edge, q = y * (eroded(y) != y), eroded(p)
    a1, a2, o1, o2 = (bezier(x, curve) for x, curve in zip((p, q, p, q), curves, strict=True))
    edge = o1 + o2 - o1 * o2 - a1 * a2
    precision = (edge * dilated(label_edge, tolerance)).sum((0, 2, 3)) / (edge.sum((0, 2, 3)) + EPSILON)
    recall = (dilated(edge, tolerance) * label_edge).sum((0, 2, 3)) / (label_edge.sum((0, 2, 3)) + EPSILON)
    measured = label_edge.sum((0, 2, 3)) > 0
    measured[0] &= not drop
    return Fraction(2 * precision * recall, precision + recall, measured)


def eroded(maps: Tensor) -> Tensor:
    """The least value of 3×3 pixels; 1 beyond the frame."""
    return -F.max_pool2d(-F.pad(maps, (1, 1, 1, 1), value=1), 3, 1)


def dilated(maps: Tensor, reach: int) -> Tensor:
    return F.max_pool2d(maps, 2 * reach + 1, 1, reach)


def read_curves(theta: Sequence[float] | None, metric: str) -> list[Sequence[float]]:
    """The numbers of every curve of the metric; those of one curve stand for all."""
    numbers = [float(number) for number in THETAS[metric].split()] if theta is None else list(theta)
    if len(numbers) in (2, 6, 10):
        return [numbers] * CURVES[metric]
    size = len(numbers) // CURVES[metric]
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def bezier(x: Tensor, numbers: Sequence[float]) -> Tensor:
    """The authors' root, piece by piece, chosen by masks."""
    xs, ys = (0.0, *numbers[::2], 1.0), (0.0, *numbers[1::2], 1.0)
    value = torch.zeros_like(x)
    for k in range(0, len(xs) - 2, 2):
        inside = (x <= xs[k + 2]) & ((x > xs[k]) | (k == 0))
        u = (x - xs[k]) / (xs[k + 2] - xs[k])
        m = (xs[k + 1] - xs[k]) / (xs[k + 2] - xs[k])
        t = u if m == 0.5 else (m - (m**2 + (1 - 2 * m) * torch.where(inside, u, 0)).sqrt()) / (2 * m - 1)
        y = ys[k] + 2 * (ys[k + 1] - ys[k]) * t + (ys[k] - 2 * ys[k + 1] + ys[k + 2]) * t**2
        value = value + y * inside
    return value
