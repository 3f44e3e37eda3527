"""Which pixels lie within a few pixels of a marked one: dilation by disks, on 64 pixels at a time.

Rows are packed into bits of 64-bit words. A disk is a stack of horizontal runs, so its dilation is the marked rows,
widened step by step, shifted up and down and joined: some 12 passes for each pixel of radius, over an eighth of a byte
a pixel, instead of a distance transform.
"""

from collections.abc import Sequence
from math import isqrt

import numpy as np
from numpy.typing import NDArray

_WORD = 64

Mask = NDArray[np.bool_]
_Packed = NDArray[np.uint64]


def within(marked: Mask, radii: Sequence[int]) -> list[Mask]:
    """For each radius, in pixels: which pixels have a marked one within that Euclidean distance; all (H, W)."""
    widened = [_packed(marked)]
    for _ in range(max(radii)):
        widened.append(_wider(widened[-1]))
    return [_unpacked(_dilated(widened, radius), marked.shape[1]) for radius in radii]


def _dilated(widened: Sequence[_Packed], radius: int) -> _Packed:
    """The union of the runs of a disk; `widened[k]` are the marked pixels and k to their left and right."""
    found = widened[radius].copy()
    height = len(found)
    for dy in range(1, min(radius, height - 1) + 1):
        run = widened[isqrt(radius**2 - dy**2)]
        found[dy:] |= run[:-dy]
        found[:-dy] |= run[dy:]
    return found


def _wider(packed: _Packed) -> _Packed:
    """Every run of set bits a pixel longer at either end; the lowest bit of a word is its leftmost pixel."""
    one, carry = np.uint64(1), np.uint64(_WORD - 1)
    right, left = packed << one, packed >> one
    right[:, 1:] |= packed[:, :-1] >> carry
    left[:, :-1] |= packed[:, 1:] << carry
    right |= left
    right |= packed
    return right


def _packed(mask: Mask) -> _Packed:
    """(H, W) to (H, words); what fills up the last word is 0."""
    height, width = mask.shape
    rows = np.zeros((height, -(-width // _WORD) * _WORD // 8), np.uint8)
    rows[:, : -(-width // 8)] = np.packbits(mask, axis=1, bitorder="little")
    return rows.view("<u8")


def _unpacked(packed: _Packed, width: int) -> Mask:
    return np.unpackbits(packed.view(np.uint8), axis=1, count=width, bitorder="little").view(np.bool_)
