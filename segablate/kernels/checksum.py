"""Checksums of label maps on their device, so that runs of a training loop can be paired by what they were scored on.

Eight pixels are one integer of 64 bits; each is multiplied by an odd number that depends on its place, and the products
are added, all modulo 2^64: the order of the additions, and with it the device, does not matter.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_STEP, _FIRST, _SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15
"""The constants of SplitMix64 (Steele et al., Fast Splittable Pseudorandom Number Generators, OOPSLA 2014)."""

_HALF = 1 << 32


def checksums(maps: "Tensor") -> "Tensor":
    """Return the checksum of each map, N, H, W uint8, as its upper and lower 32 bits: (N, 2) int64 on the device."""
    import torch
    from torch.nn.functional import pad

    height, width = maps.shape[1:]
    flat = maps.reshape(len(maps), -1)  # N HW
    words = pad(flat, (0, -flat.shape[1] % 8)).contiguous().view(torch.int64)  # N W
    place = torch.arange(1, words.shape[1] + 1, device=maps.device)  # W
    sums = (words * (_mixed(place * _STEP) | 1)).sum(dim=1)  # N
    mixed = _mixed(sums + (height * _STEP + width) % 2**62)
    return torch.stack([(mixed >> 32) & (_HALF - 1), mixed & (_HALF - 1)], dim=1)


def as_text(halves: Sequence[int]) -> str:
    """Return a checksum as 16 hexadecimal digits."""
    upper, lower = halves
    return f"{upper * _HALF + lower:016x}"


def _mixed(values: "Tensor") -> "Tensor":
    """Return int64 whose bits all depend on all bits of the values; shifts keep the sign, on every device."""
    values = (values ^ (values >> 30)) * _FIRST
    values = (values ^ (values >> 27)) * _SECOND
    return values ^ (values >> 31)
