"""Sobel-like derivatives of any odd size, by shifted sums: fast without a convolution, and exact on integers.

K_x[dy, dx] = dx / (dx² + dy²) for |dx|, |dy| ≤ r = ksize // 2, and 0 at the centre; K_y is its transpose. Row and
column parts separate for each distance j = |dx|, so that a derivative is Σ_j of a difference at distance j, smoothed
across with the weights j / (j² + dy²).
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)


@cache
def kernel(ksize: int) -> tuple[tuple[float, ...], ...]:
    """Return j / (j² + dy²) for j = 1..r and dy = 0..r."""
    r = ksize // 2
    return tuple(tuple(j / (j * j + dy * dy) for dy in range(r + 1)) for j in range(1, r + 1))


@cache
def integer_kernel(ksize: int) -> tuple[tuple[tuple[int, ...], ...], torch.dtype]:
    """Return the kernel times the least number that makes it whole, and the smallest type that holds any sum of it."""
    r = ksize // 2
    squares = [j * j + dy * dy for j in range(1, r + 1) for dy in range(r + 1)]
    scale = math.lcm(*(n // math.gcd(n, j) for n, j in zip(squares, _distances(r), strict=True)))
    whole = tuple(tuple(scale * j // (j * j + dy * dy) for dy in range(r + 1)) for j in range(1, r + 1))
    largest = sum(row[0] + 2 * sum(row[1:]) for row in whole)
    return whole, next(dtype for dtype in INTEGERS if torch.iinfo(dtype).max >= largest)


def step_gain(ksize: int) -> float:
    """Return the derivative at a step of height 1: the sum of the positive entries of the kernel."""
    return sum(row[0] + 2 * sum(row[1:]) for row in kernel(ksize))


def derivatives(padded: Tensor, weights: tuple[tuple[float, ...], ...]) -> tuple[Tensor, Tensor]:
    """Differentiate along x and along y, N H W each, maps padded by r on every side, N H+2r W+2r."""
    return _along_x(padded, weights), _along_x(padded.mT, weights).mT


def pulled_back(along_x: Tensor, along_y: Tensor, weights: tuple[tuple[float, ...], ...]) -> Tensor:
    """Return the gradient at maps N H W, which were padded by repeating their frame, from that at their derivatives."""
    r = len(weights)
    # the kernels are odd, so that their adjoint is their negative on maps surrounded by zeros
    x, y = (F.pad(gradient, (2 * r,) * 4) for gradient in (along_x, along_y))
    padded = _along_x(x, weights) + _along_x(y.mT, weights).mT  # N H+2r W+2r
    return -_unpad(_unpad(padded, r).mT, r).mT


def pad(maps: Tensor, r: int) -> Tensor:
    """Repeat the frame r times, N H W -> N H+2r W+2r; any type."""
    for dim in (1, 2):
        first, last = maps.narrow(dim, 0, 1), maps.narrow(dim, maps.shape[dim] - 1, 1)
        maps = torch.cat([first] * r + [maps] + [last] * r, dim)
    return maps


def _along_x(padded: Tensor, weights: tuple[tuple[float, ...], ...]) -> Tensor:
    r = len(weights)
    height, width = padded.shape[1] - 2 * r, padded.shape[2] - 2 * r
    total = None
    for j, row in enumerate(weights, 1):
        step = padded[:, :, r + j : r + j + width] - padded[:, :, r - j : r - j + width]  # N H+2r W
        centre = step[:, r : r + height] * row[0]  # N H W
        total = centre if total is None else total.add_(centre)
        for dy in range(1, r + 1):
            total.add_(step[:, r - dy : r - dy + height], alpha=row[dy])
            total.add_(step[:, r + dy : r + dy + height], alpha=row[dy])
    assert total is not None
    return total


def _unpad(padded: Tensor, r: int) -> Tensor:
    """Return the adjoint of repeating the first and last row r times: the copies are added to the row."""
    inner = padded[:, r:-r].clone()
    inner[:, 0] += padded[:, :r].sum(1)
    inner[:, -1] += padded[:, -r:].sum(1)
    return inner


def _distances(r: int) -> list[int]:
    return [j for j in range(1, r + 1) for _ in range(r + 1)]
