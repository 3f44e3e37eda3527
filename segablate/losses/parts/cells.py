"""Maps pooled to cells, and square windows of cells as points; each with its adjoint, for the backward pass.

Maps are N H W, cells N h w, points N d n: d = side² coordinates of n windows, row by row.
"""

from collections.abc import Iterable, Iterator

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
    return _summed(padded.movedim(1, 0), stride).movedim(0, 1)


def _summed(maps: Tensor, stride: int) -> Tensor:
    """Sum every ``stride`` entries of the first axis; the last may be in no sum."""
    end = len(maps) // stride * stride
    total = maps[0:end:stride] + maps[1:end:stride]
    for row in range(2, stride):
        total += maps[row:end:stride]
    return total


def _stretched(strips: Tensor, stride: int, height: int) -> Tensor:
    """Return the adjoint of the sums over strips: N h W -> N H W; the last rows may be in no strip."""
    rows = strips.repeat_interleave(stride, 1)[:, stride // 2 :][:, :height]  # N H W
    return F.pad(rows, (0, 0, 0, height - rows.shape[1]))


def cell_counts(sizes: Iterable[int], stride: int) -> list[int]:
    """Return the numbers of cells along axes of these sizes in pixels."""
    return [(size + (0 if stride == 1 else stride // 2 * 2)) // stride for size in sizes]


def cell_strips(height: int, stride: int, rows: int) -> Iterator[tuple[slice, slice, tuple[int, int]]]:
    """Divide the cells of maps of this height into strips of at most so many pixel rows.

    Yields the rows of cells, the rows of pixels they are pooled from, and the rows of padding above and below.
    """
    frame = 0 if stride == 1 else stride // 2
    (count,), step = cell_counts((height,), stride), max(rows // stride, 1)
    for first in range(0, count, step):
        last = min(first + step, count)
        top, bottom = first * stride - frame, last * stride - frame
        pixels = slice(max(top, 0), min(bottom, height))
        yield slice(first, last), pixels, (pixels.start - top, bottom - pixels.stop)


def pooled_strip(maps: Tensor, padding: tuple[int, int], stride: int, pool: str, dtype: torch.dtype) -> Tensor:
    """Pool the pixels of a strip, R W, to its cells, r w; see :func:`pooled`."""
    if stride == 1:
        return maps.to(dtype)
    if pool == "max":
        sides = (stride // 2, stride // 2, *padding)
        return F.max_pool2d(F.pad(maps.to(dtype), sides, value=-torch.inf).unsqueeze(0), stride).squeeze(0)
    maps = F.pad(maps, (0, 0, *padding)) if any(padding) else maps
    return _strips(_summed(maps, stride).to(dtype).mT.unsqueeze(0), stride)[0].mT / stride**2


def stretched_strip(cells: Tensor, padding: tuple[int, int], stride: int, width: int) -> Tensor:
    """Return the gradient at the pixels of a strip, R W, from that at their averages in cells, r w."""
    if stride == 1:
        return cells
    columns = _stretched((cells / stride**2).mT.unsqueeze(0), stride, width)[0].mT  # r W
    rows = columns.repeat_interleave(stride, 0)
    return rows[padding[0] : len(rows) - padding[1]]


def unpooled_strip(gradient: Tensor, maps: Tensor, padding: tuple[int, int], stride: int) -> Tensor:
    """Return the gradient at the pixels of a strip, R W, from that at their maxima in cells, r w."""
    with torch.enable_grad():
        leaf = maps.detach().requires_grad_()
        return torch.autograd.grad(pooled_strip(leaf, padding, stride, "max", leaf.dtype), leaf, gradient)[0]


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
