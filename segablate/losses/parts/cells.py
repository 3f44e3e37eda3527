"""Maps pooled to cells, and the square windows of cells as points; each with its adjoint, which carries gradients back.

Maps are N H W, cells N h w, points N d n: d = side² coordinates of n windows, row by row.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def pooled(maps: Tensor, stride: int, pool: str, dtype: torch.dtype) -> Tensor:
    """Cells of stride×stride pixels, N h w; the frame is padded by stride//2 (zeros that count, or for max nothing).

    The maps may be of a small integer type, which is quick to sum.
    """
    if stride == 1:
        return maps.to(dtype)
    if pool == "max":
        return F.max_pool2d(maps.to(dtype).unsqueeze(1), stride, stride, stride // 2).squeeze(1)
    rows = _strips(maps, stride).to(dtype)
    return _strips(rows.mT, stride).mT / stride**2


def _strips(maps: Tensor, stride: int) -> Tensor:
    """Sums over strips of so many rows, N h W: twice as fast as pooling both ways at once."""
    padded = F.pad(maps, (0, 0, stride // 2, stride // 2))
    end = padded.shape[1] // stride * stride
    total = padded[:, 0:end:stride] + padded[:, 1:end:stride]
    for row in range(2, stride):
        total += padded[:, row:end:stride]
    return total


def unpooled(gradient: Tensor, maps: Tensor, stride: int, pool: str) -> Tensor:
    """The gradient at the maps, N H W, from the gradient at their cells."""
    if stride == 1:
        return gradient
    if pool == "max":
        with torch.enable_grad():
            leaf = maps.detach().requires_grad_()
            return torch.autograd.grad(pooled(leaf, stride, pool, leaf.dtype), leaf, gradient)[0]
    height, width = maps.shape[1:]
    rows = _stretched((gradient / stride**2).mT, stride, width).mT
    return _stretched(rows, stride, height)


def _stretched(strips: Tensor, stride: int, height: int) -> Tensor:
    """The adjoint of the sums over strips: N h W -> N H W; the last rows may lie in no strip."""
    rows = strips.repeat_interleave(stride, 1)[:, stride // 2 :][:, :height]
    return F.pad(rows, (0, 0, 0, height - rows.shape[1]))


def window_count(height: int, width: int, side: int) -> int:
    """How many windows of side×side cells there are."""
    return max(height - side + 1, 0) * max(width - side + 1, 0)


def windows(cells: Tensor, side: int) -> Tensor:
    """Every window as a point, seen without copying: N side side rows columns."""
    return cells.unfold(1, side, 1).unfold(2, side, 1).permute(0, 3, 4, 1, 2)


def unwindowed(gradient: Tensor, cells: tuple[int, int], side: int) -> Tensor:
    """The gradient at the cells (height and width), N h w, from the gradient at their points, N d n."""
    height, width = cells
    rows, columns = height - side + 1, width - side + 1
    total = gradient.new_zeros(len(gradient), height, width)
    for index, part in enumerate(gradient.unbind(1)):
        down, right = divmod(index, side)
        total[:, down : down + rows, right : right + columns] += part.view(-1, rows, columns)
    return total


def kept_windows(void: Tensor, side: int, stride: int) -> Tensor:
    """Windows that touch no cell with a void pixel, N n bool; the padding of the frame is not void."""
    cells = pooled(void, stride, "max", torch.float32)
    touched = F.max_pool2d(cells.unsqueeze(1), side, 1).flatten(1)
    return touched == 0
