"""Maps pooled to cells, and square windows of cells as points; each with its adjoint, for the backward pass.

Maps are N H W, cells N h w, points N d n: d = side² coordinates of n windows, row by row.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def pooled(maps: Tensor, stride: int, pool: str, dtype: torch.dtype) -> Tensor:
    """Pool maps to cells of stride×stride pixels, N h w; the frame is padded by stride//2, with zeros that count.

    With pool=max the padding does not count. The maps may be of a small integer type, which is faster to sum.
    """
    if stride == 1:
        return maps.to(dtype)
    if pool == "max":
        return F.max_pool2d(maps.to(dtype).unsqueeze(1), stride, stride, stride // 2).squeeze(1)
    rows = _strips(maps, stride).to(dtype)  # N h W
    return _strips(rows.mT, stride).mT / stride**2


def _strips(maps: Tensor, stride: int) -> Tensor:
    """Sum over strips of ``stride`` rows, N h W: twice as fast as pooling in both directions at once."""
    padded = F.pad(maps, (0, 0, stride // 2, stride // 2))  # N H+2p W
    end = padded.shape[1] // stride * stride
    total = padded[:, 0:end:stride] + padded[:, 1:end:stride]  # N h W
    for row in range(2, stride):
        total += padded[:, row:end:stride]
    return total


def unpooled(gradient: Tensor, maps: Tensor, stride: int, pool: str) -> Tensor:
    """Return the gradient at the maps, N H W, from the gradient at their cells."""
    if stride == 1:
        return gradient
    if pool == "max":
        with torch.enable_grad():
            leaf = maps.detach().requires_grad_()
            return torch.autograd.grad(pooled(leaf, stride, pool, leaf.dtype), leaf, gradient)[0]
    height, width = maps.shape[1:]
    rows = _stretched((gradient / stride**2).mT, stride, width).mT  # N h W
    return _stretched(rows, stride, height)


def _stretched(strips: Tensor, stride: int, height: int) -> Tensor:
    """Return the adjoint of the sums over strips: N h W -> N H W; the last rows may be in no strip."""
    rows = strips.repeat_interleave(stride, 1)[:, stride // 2 :][:, :height]  # N H W
    return F.pad(rows, (0, 0, 0, height - rows.shape[1]))


def window_count(height: int, width: int, side: int) -> int:
    """Count the windows of side×side cells."""
    return max(height - side + 1, 0) * max(width - side + 1, 0)


def windows(cells: Tensor, side: int) -> Tensor:
    """Return every window as a point, a view without copying: N side side rows columns."""
    return cells.unfold(1, side, 1).unfold(2, side, 1).permute(0, 3, 4, 1, 2)


def unwindowed(gradient: Tensor, cells: tuple[int, int], side: int) -> Tensor:
    """Return the gradient at the cells (height and width), N h w, from the gradient at their points, N d n."""
    height, width = cells
    rows, columns = height - side + 1, width - side + 1
    total = gradient.new_zeros(len(gradient), height, width)
    for index, part in enumerate(gradient.unbind(1)):
        down, right = divmod(index, side)
        total[:, down : down + rows, right : right + columns] += part.view(-1, rows, columns)
    return total


def kept_windows(void: Tensor, side: int, stride: int) -> Tensor:
    """Return the windows without a void pixel in a cell, N n bool; the padding of the frame is not void."""
    cells = pooled(void, stride, "max", torch.float32)  # N h w
    touched = F.max_pool2d(cells.unsqueeze(1), side, 1).flatten(1)  # N n
    return touched == 0
