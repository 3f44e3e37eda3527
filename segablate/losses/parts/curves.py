"""Monotone curves from [0, 1] to [0, 1], piecewise quadratic Bézier: Auto Seg-Loss's substitute for logical operations.

A curve of m pieces has the control points (0, 0), P_1, ..., P_{2m-1}, (1, 1); piece k goes from point 2k to 2k+2 with
2k+1 in the middle. It is written as the coordinates of the free points, x1, y1, x2, y2, ...: 2(2m - 1) numbers.

On the piece (x0, y0), (x1, y1), (x2, y2), with u = (x - x0)/(x2 - x0) and a = (x1 - x0)/(x2 - x0)::

    t = u / (a + √(a² + (1 - 2a) u)),    h = y0 + 2 (y1 - y0) t + (y0 - 2 y1 + y2) t²

The other root, (a - √...)/(2a - 1), which the authors compute, has a pole at a = ½ and loses digits near it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.errors import KnobError

CURVES = {"miou": 2, "fwiou": 2, "biou": 2, "bf1": 4, "macc": 1, "gacc": 1}
"""Number of curves of each metric: for AND, then for OR; two of each for the soft edges of bf1."""

STEEPEST = 1e-6
"""Smallest distance of a from 0 and 1, where the slope would be infinite."""


@dataclass(frozen=True)
class Piece:
    """One quadratic piece by its coefficients, from ``begin`` to ``end``: h = start + linear t + quadratic t²."""

    begin: float
    end: float
    middle: float
    start: float
    linear: float
    quadratic: float


@dataclass(frozen=True)
class Curve:
    """A curve: maps probabilities of any shape to values of that shape; differentiable, the slope in closed form."""

    pieces: tuple[Piece, ...]

    def __call__(self, x: Tensor) -> Tensor:
        return _Value.apply(x, self)  # type: ignore[return-value]

    def value_and_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return h and dh/dx, of the shape of x; a joint belongs to the piece on its left."""
        first, *rest = self.pieces
        value, slope = _on_piece(first, x)
        for piece in rest:
            right = x > piece.begin
            later = _on_piece(piece, x)
            value, slope = torch.where(right, later[0], value), torch.where(right, later[1], slope)
        return value, slope


def read_curves(theta: Sequence[float], count: int) -> tuple[Curve, ...]:
    """Read ``count`` curves, each of the same number of pieces, from the coordinates of their free points in order.

    The coordinates of a single curve are used for all of them; 1, 2 and 4 curves never have the same length. Raises
    :class:`KnobError` where the numbers make neither one nor ``count`` curves, or a curve is not monotone.
    """
    if len(theta) % 4 == 2:
        return (_read_curve(theta),) * count
    each, left = divmod(len(theta), count)
    if left or each % 4 != 2:
        several = f", and {count} curves have {count * 2}, {count * 6}, {count * 10}, ..." if count > 1 else ""
        raise KnobError(
            f"theta has {len(theta)} numbers, but one curve has 2, 6, 10, ...{several}; give x and y of each free point"
        )
    return tuple(_read_curve(theta[start : start + each]) for start in range(0, len(theta), each))


def _read_curve(coordinates: Sequence[float]) -> Curve:
    x, y = (0.0, *coordinates[::2], 1.0), (0.0, *coordinates[1::2], 1.0)
    for name, values in (("x", x), ("y", y)):
        for before, after in pairwise(values):
            if after < before:
                raise KnobError(
                    f"theta goes from {name} = {before:g} to {after:g}, but curves must be monotone; "
                    f"give each point a {name} of at least that of the point before it"
                )
    pieces = (_piece(x[k : k + 3], y[k : k + 3]) for k in range(0, len(x) - 2, 2))
    return Curve(tuple(piece for piece in pieces if piece.end > piece.begin))


def _piece(x: Sequence[float], y: Sequence[float]) -> Piece:
    width = x[2] - x[0]
    middle = (x[1] - x[0]) / width if width else 0.5
    return Piece(x[0], x[2], min(max(middle, STEEPEST), 1 - STEEPEST), y[0], 2 * (y[1] - y[0]), y[0] - 2 * y[1] + y[2])


def _on_piece(piece: Piece, x: Tensor) -> tuple[Tensor, Tensor]:
    width, a = piece.end - piece.begin, piece.middle
    u = ((x - piece.begin) / width).clamp(0, 1)  # clamped: values on other pieces are not used
    root = (a**2 * (1 - u) + (1 - a) ** 2 * u).sqrt()  # a² + (1 - 2a) u, in which nothing cancels
    t = u / (a + root)
    value = piece.start + t * (piece.linear + piece.quadratic * t)
    # dt/du = 1 / (2 root)
    return value, (piece.linear / 2 + piece.quadratic * t) / (root * width)


class _Value(torch.autograd.Function):
    """(x, curve) -> h(x); keeps only the slopes for the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, curve: Curve) -> Tensor:
        value, slope = torch.empty_like(x), torch.empty_like(x)
        # one image, or one class, at a time, as there are many intermediate tensors
        for part, its_value, its_slope in zip(x, value, slope, strict=True):
            v, s = curve.value_and_slope(part)
            its_value.copy_(v)
            its_slope.copy_(s)
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (slope,) = ctx.saved_tensors
        return upstream[0] * slope, None
