"""Tell label maps with soft or compressed edges from those of codes, by the values at edges and elsewhere.

Codes fill regions: most of their pixels are in a block of 2 x 2 equal ones. Values that interpolation or JPEG adds are
between or beside the codes, and rarely fill a block.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from segablate.images.lossy import lossy_format
from segablate.kernels.histogram import count_bytes

LOSSY_SUFFIXES = (".jpg", ".jpeg")
"""Suffixes of formats that change values when they compress."""

NEAR = 24
"""Values or colours less than this apart may be one, in a file that was compressed with loss."""

_FLAT = 0.5
"""Share of the pixels of a value that are in blocks, if it is a code."""

_LARGE = 0.002
"""Least share of all pixels that a heap has in blocks."""

_MOST_HEAPS = 8
_STRAY_VALUES = 3
"""Least number of values beside the codes, but for those right below the brighter of two."""

_BESIDE = 16


def count_codes(codes: np.ndarray) -> dict[int, int]:
    """Return the number of times each value occurs in an array of integers."""
    if codes.dtype == np.uint8:
        pixels = count_bytes(codes)
        values = np.flatnonzero(pixels)
        return dict(zip(values.tolist(), pixels[values].tolist(), strict=True))
    values, pixels = np.unique(codes, return_counts=True)
    return dict(zip(values.tolist(), pixels.tolist(), strict=True))


@dataclass
class Values:
    """The values in label maps: pixels of each, and those of them in blocks of 2 x 2 equal pixels."""

    pixels: dict[int, int] = field(default_factory=dict)
    flat: dict[int, int] = field(default_factory=dict)

    def add(self, values: np.ndarray) -> None:
        """Count the values of one label map, H, W integers."""
        for counts, part in ((self.pixels, values), (self.flat, in_blocks(values))):
            for value, count in count_codes(part).items():
                counts[value] = counts.get(value, 0) + count

    @property
    def codes(self) -> list[int]:
        """Return the values, ascending."""
        return sorted(self.pixels)

    @property
    def total(self) -> int:
        """Return the number of pixels."""
        return sum(self.pixels.values())

    def flatness(self, values: Iterable[int]) -> float:
        """Return the share of the pixels of these values that are in blocks."""
        values = list(values)
        return sum(self.flat.get(value, 0) for value in values) / max(sum(self.pixels[value] for value in values), 1)

    def share(self, values: Iterable[int]) -> float:
        """Return the share of all pixels that these values have."""
        return sum(self.pixels[value] for value in values) / max(self.total, 1)


@dataclass(frozen=True)
class Heap:
    """Values from `low` to `high` that stand for one code, of which `peak` is the commonest."""

    low: int
    high: int
    peak: int


def find_heaps(values: Values, lossy: bool = False) -> tuple[Heap, ...]:
    """Return the heaps of values, ascending, of label maps with soft or compressed edges; none of those of codes.

    `lossy`: whether the files are compressed with loss, so that plain regions may vary too.
    """
    codes = values.codes
    if len(codes) < 3:
        return ()
    gap = max(NEAR, (codes[-1] - codes[0]) // 12)
    cores = [code for code in codes if _is_core(values, code)]
    peaks: list[int] = []
    for code in sorted(cores, key=lambda code: -values.flat[code]):
        if all(abs(code - peak) >= gap for peak in peaks):
            peaks.append(code)
    if not 2 <= len(peaks) <= _MOST_HEAPS:
        return ()
    strays = [code for code in codes if code not in peaks]
    beside_white = len(peaks) == 2 and all(max(peaks) - _BESIDE <= code for code in strays)
    if not lossy and (values.flatness(strays) >= _FLAT or not (len(strays) >= _STRAY_VALUES or beside_white)):
        return ()
    return _around(sorted(peaks), codes)


def _is_core(values: Values, code: int) -> bool:
    flat = values.flat.get(code, 0)
    return flat >= _FLAT * values.pixels[code] and flat >= _LARGE * values.total


def _around(peaks: list[int], codes: list[int]) -> tuple[Heap, ...]:
    """Return the heaps of peaks, divided half-way."""
    limits = [(below + above + 1) // 2 for below, above in pairwise(peaks)]
    heaps = []
    for place, peak in enumerate(peaks):
        low, high = limits[place - 1] if place else codes[0], limits[place] if place < len(limits) else codes[-1] + 1
        inside = [code for code in codes if low <= code < high]
        heaps.append(Heap(inside[0], inside[-1], peak))
    return tuple(heaps)


def core_colours(values: Values) -> list[int]:
    """Return the colours (packed) that fill regions, ascending; those of no block are stray values at edges."""
    return sorted(code for code in values.codes if _is_core(values, code))


def threshold_of(heaps: tuple[Heap, ...]) -> list[int]:
    """Return the first value of each heap but the lowest: half-way between the peaks."""
    return [(below.peak + above.peak + 1) // 2 for below, above in pairwise(heaps)]


def is_lossy(path: Path, data: bytes) -> bool:
    """Tell whether a file, of which these are the bytes, was compressed with loss: JPEG, or WebP of that kind."""
    return bool(lossy_format(np.frombuffer(data, np.uint8))) or path.suffix.lower() in LOSSY_SUFFIXES


def are_near(values: Sequence[int], *, colours: bool = False) -> bool:
    """Tell whether two of these values, or packed colours in every channel, are less than :data:`NEAR` apart."""
    channels = np.array(
        [(each >> 16, each >> 8 & 255, each & 255) if colours else (each,) for each in values], np.int64
    )
    apart = np.abs(channels[:, None] - channels[None]).max(axis=-1)
    return bool((apart < NEAR).sum() > len(values))


def in_blocks(values: np.ndarray) -> np.ndarray:
    """Return the values, H, W, of pixels that are in a block of 2 x 2 equal ones, in a row."""
    return values[_in_blocks(values)]


def _in_blocks(values: np.ndarray) -> np.ndarray:
    """Return where a pixel is in a block of 2 x 2 equal ones, H, W bool."""
    found = np.zeros(values.shape, bool)
    corner = values[:-1, :-1]
    equal = (corner == values[1:, :-1]) & (corner == values[:-1, 1:]) & (corner == values[1:, 1:])  # H-1 W-1
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            found[rows, columns] |= equal
    return found
