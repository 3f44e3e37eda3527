"""Dilation by disks of a few pixels radius, on 64 pixels at a time.

Rows are packed into bits of 64-bit words. A disk is a stack of horizontal runs, so its dilation is the marked rows,
widened step by step, shifted up and down and joined: about 12 passes for each pixel of radius, over an eighth of a byte
a pixel, instead of a distance transform. On a GPU the same runs are joined in maps of a byte a pixel.
"""

from collections.abc import Sequence
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

_WORD = 64

Mask = NDArray[np.bool_]
_Packed = NDArray[np.uint64]


def within(marked: Mask, radii: Sequence[int]) -> list[Mask]:
    """Return, for each radius in pixels, the pixels with a marked one within that Euclidean distance; (H, W) each."""
    widened = [_packed(marked)]
    for _ in range(max(radii)):
        widened.append(_wider(widened[-1]))
    return [_unpacked(_dilated(widened, radius), marked.shape[1]) for radius in radii]


def _dilated(widened: Sequence[_Packed], radius: int) -> _Packed:
    """Join the runs of a disk; `widened[k]` are the marked pixels and k to their left and right."""
    dilated = widened[radius].copy()  # H words
    height = len(dilated)
    for dy in range(1, min(radius, height - 1) + 1):
        run = widened[isqrt(radius**2 - dy**2)]
        dilated[dy:] |= run[:-dy]
        dilated[:-dy] |= run[dy:]
    return dilated


def _wider(packed: _Packed) -> _Packed:
    """Widen every run of set bits by a pixel at either end; the lowest bit of a word is its leftmost pixel."""
    one, carry = np.uint64(1), np.uint64(_WORD - 1)
    right, left = packed << one, packed >> one
    right[:, 1:] |= packed[:, :-1] >> carry
    left[:, :-1] |= packed[:, 1:] << carry
    right |= left
    right |= packed
    return right


def _packed(mask: Mask) -> _Packed:
    """Pack (H, W) into (H, words); the last word is padded with 0."""
    height, width = mask.shape
    rows = np.zeros((height, -(-width // _WORD) * _WORD // 8), np.uint8)
    rows[:, : -(-width // 8)] = np.packbits(mask, axis=1, bitorder="little")
    return rows.view("<u8")


def _unpacked(packed: _Packed, width: int) -> Mask:
    return np.unpackbits(packed.view(np.uint8), axis=1, count=width, bitorder="little").view(np.bool_)


def within_on_device(marked: "Tensor", radii: Sequence[int]) -> "list[Tensor]":
    """Return what :func:`within` does for a batch of masks on a device, (N, H, W) bool each."""
    widened = [marked]
    for _ in range(max(radii)):
        run = widened[-1].clone()  # N H W
        run[..., 1:] |= widened[-1][..., :-1]
        run[..., :-1] |= widened[-1][..., 1:]
        widened.append(run)
    return [_joined_runs(widened, radius) for radius in radii]


def _joined_runs(widened: "Sequence[Tensor]", radius: int) -> "Tensor":
    """Join the runs of a disk, as :func:`_dilated`."""
    dilated = widened[radius].clone()  # N H W
    for dy in range(1, min(radius, dilated.shape[1] - 1) + 1):
        run = widened[isqrt(radius**2 - dy**2)]
        dilated[:, dy:] |= run[:, :-dy]
        dilated[:, :-dy] |= run[:, dy:]
    return dilated
