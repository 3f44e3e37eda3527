"""Inputs of losses that compare pixels with one another: positions, regions, and maps on another grid."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.losses.parts.shapes import Logits, Region


def region_of(logits: Logits, roi: Region | None) -> Region:
    """Return the weight of each pixel, N H W like the logits, 0..1: all ones where no region is given.

    Raises ValueError for a region of another shape.
    """
    if roi is None:
        return torch.ones_like(logits[:, 0], requires_grad=False)
    check_shape("roi", roi, logits[:, 0].shape)
    return roi.detach().to(logits.dtype)


def check_shape(name: str, given: Tensor, shape: Sequence[int]) -> None:
    """Raise ValueError unless the tensor's shape begins with ``shape``."""
    if given.shape[: len(shape)] != tuple(shape):
        raise ValueError(f"{name} is {tuple(given.shape)}, but these logits need {tuple(shape)}")


def positions(maps: Tensor) -> Tensor:
    """Return column and row of every pixel of maps N . H W, as maps N 2 H W."""
    images, _, height, width = maps.shape
    row, column = (torch.arange(size, dtype=maps.dtype, device=maps.device) for size in (height, width))
    return torch.stack(torch.meshgrid(column, row, indexing="xy")).expand(images, -1, -1, -1)


def resampled(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resample maps N D h w to another grid: averaged over area along sides that shrink, else bilinear."""
    shrunk = [min(side, goal) for side, goal in zip(maps.shape[2:], size, strict=True)]
    if shrunk != list(maps.shape[2:]):
        maps = F.adaptive_avg_pool2d(maps, (shrunk[0], shrunk[1]))
    return maps if shrunk == list(size) else F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)
