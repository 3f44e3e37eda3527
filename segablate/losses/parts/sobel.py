"""Sobel-like derivatives of any odd size, by shifted sums: fast without a convolution, and exact on integers.

K_x[dy, dx] = dx / (dx² + dy²) for |dx|, |dy| ≤ r = ksize // 2, and 0 at the centre; K_y is its transpose. Row and
column parts separate for each distance j = |dx|, so that a derivative is Σ_j of a difference at distance j, smoothed
across with the weights j / (j² + dy²).
"""

import math
from functools import cache

import torch
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
    r, (images, height, width) = len(weights), along_x.shape
    total = along_x.new_zeros(images, height + 2 * r, width + 2 * r)
    for gradient, axis in ((along_x, 2), (along_y, 1)):
        for j, row in enumerate(weights, 1):
            smooth = _smoothed(gradient, row, 3 - axis)
            total.narrow(axis, r + j, gradient.shape[axis]).add_(smooth)
            total.narrow(axis, r - j, gradient.shape[axis]).sub_(smooth)
    return _unpad(_unpad(total, r, 1), r, 2)


def _smoothed(gradient: Tensor, row: tuple[float, ...], axis: int) -> Tensor:
    """Return the sums over an axis with the weights of |dy|, longer by r on both sides."""
    r, size = len(row) - 1, gradient.shape[axis]
    shape = list(gradient.shape)
    shape[axis] += 2 * r
    smooth = gradient.new_zeros(shape)
    torch.mul(gradient, row[0], out=smooth.narrow(axis, r, size))
    for dy in range(1, r + 1):
        smooth.narrow(axis, r - dy, size).add_(gradient, alpha=row[dy])
        smooth.narrow(axis, r + dy, size).add_(gradient, alpha=row[dy])
    return smooth


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
        above, centre = step[:, r - 1 : r - 1 + height], step[:, r : r + height]  # N H W
        if total is None:
            total = torch.add(centre if row[0] == 1 else centre * row[0], above, alpha=row[1])
        else:
            total.add_(centre, alpha=row[0]).add_(above, alpha=row[1])
        total.add_(step[:, r + 1 : r + 1 + height], alpha=row[1])
        for dy in range(2, r + 1):
            total.add_(step[:, r - dy : r - dy + height], alpha=row[dy])
            total.add_(step[:, r + dy : r + dy + height], alpha=row[dy])
    assert total is not None
    return total


def _unpad(padded: Tensor, r: int, axis: int) -> Tensor:
    """Return the adjoint of repeating the first and last entries r times: the copies are added to them, in place."""
    size = padded.shape[axis] - 2 * r
    inner = padded.narrow(axis, r, size)
    inner.narrow(axis, 0, 1).add_(padded.narrow(axis, 0, r).sum(axis, keepdim=True))
    inner.narrow(axis, size - 1, 1).add_(padded.narrow(axis, r + size, r).sum(axis, keepdim=True))
    return inner


def _distances(r: int) -> list[int]:
    return [j for j in range(1, r + 1) for _ in range(r + 1)]
