"""Inspect the label maps of a folder: codes, heaps of values, colours or masks, and what is void."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segablate.datasets.dataset import Item
from segablate.datasets.heaps import Heap, Values, are_near, core_colours, find_heaps, is_lossy
from segablate.datasets.label_sizes import alike
from segablate.errors import DatasetError, counted
from segablate.files import Unreadable, read_bytes
from segablate.images.decoding import decoded
from segablate.images.header import read_header
from segablate.images.label_maps import read_label_file
from segablate.images.tiff import nodata_of
from segablate.labels import IGNORE, WIDE_IGNORE, Encoding, single_channel
from segablate.samples import Remark

MOST_CODES, MOST_COLOURS = 1024, 256
"""More values than this in label maps are no codes, and no colours of classes."""

_ALPHA = "if the labels are in the alpha channel, save that alone as grey PNG (Pillow's Image.getchannel('A'))"

_HIGHEST = (IGNORE, WIDE_IGNORE, (1 << 31) - 1, (1 << 32) - 1)
"""Highest values of integers in label maps, which often stand for void."""

_MOST_STRAY = 0.25
"""Most of the pixels that may have colours of no class."""


@dataclass(frozen=True)
class Inspected:
    """What label maps hold.

    - `codes`: the codes or packed colours of classes, ascending; `heaps`: in their place, heaps of values.
    - `void`: codes without a label; None where all others are.
    - `values`: the number of values in all; `stray`: the share of pixels that are void as their colour is no class.
    - `doubtful`: whether some codes are so near one another that compression with loss may have made or mixed them.
    """

    encoding: Encoding
    codes: tuple[int, ...]
    void: tuple[int, ...] | None
    values: int
    heaps: tuple[Heap, ...] = ()
    stray: float = 0.0
    doubtful: bool = False


def inspect(masks: Sequence[Path]) -> Inspected:
    """Inspect these label maps.

    Raises DatasetError for more than 1 024 codes or 256 colours, for two encodings, and where the labels seem to be in
    the alpha channel, which is not read; Unreadable for what cannot be read.
    """
    transparent: dict[Path, Remark] = {}
    try:
        found = _inspected(masks, transparent)
    except DatasetError as error:
        if transparent:
            error.args = (f"{error}; their transparency varies: {_ALPHA}",)
        raise
    alone = [path for path, remark in transparent.items() if remark & Remark.ONLY_ALPHA]
    if alone and (found.values == 1 or 2 * len(alone) > len(masks)):
        raise DatasetError(
            f"{alone[0]}: has one colour, and only its transparency varies, as in {len(alone)} of "
            f"{counted(len(masks), 'label map')}; {_ALPHA}"
        )
    return found


def _inspected(masks: Sequence[Path], transparent: dict[Path, Remark]) -> Inspected:
    """Inspect label maps; those of which the alpha channel varies are added to `transparent`."""
    values, colours, nodata = Values(), Values(), set[int]()
    grey, lossy = 0, False
    for path in masks:
        file = read_label_file(path)
        raw = file.values.astype(np.uint8) if file.values.dtype == bool else file.values
        plain = single_channel(raw)
        lossy |= is_lossy(path, file.data)
        if file.remarks & (Remark.ONLY_ALPHA | Remark.TRANSPARENT):
            transparent[path] = file.remarks
        if raw.ndim == 3:
            colours.add(raw.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32))
        grey += raw.ndim != 3
        if plain.ndim == 2:
            values.add(plain)
            nodata |= _nodata(path)
        _refuse_many(values if values.total else colours, path)
    if grey == len(masks) or (values.total and not _has_colour(colours)):
        return _codes(values, nodata, lossy, masks[0])
    if grey:
        raise DatasetError(f"{masks[0].parent}: some label maps hold codes, others colours; save all in one encoding")
    found = _colours(colours, masks[0])
    if lossy and are_near(found.codes, colours=True):
        raise DatasetError(
            f"{masks[0].parent}: {counted(found.values, 'colour')} in files compressed with loss, some of them shades "
            f"of one; export the label maps again, as PNG"
        )
    return found


def _has_colour(colours: Values) -> bool:
    """Tell whether a colour is no grey."""
    return any(not code >> 16 == code >> 8 & 255 == code & 255 for code in colours.pixels)


def _refuse_many(values: Values, path: Path) -> None:
    """Raise DatasetError for more values than any label map has, of which more can be stray ones."""
    if len(values.pixels) > 1 << 16:
        raise DatasetError(f"{path}: more than 65 536 values in the label maps up to here; is it a label map?")


def _codes(values: Values, nodata: set[int], lossy: bool, first: Path) -> Inspected:
    codes = tuple(values.codes)
    heaps = find_heaps(values, lossy) if codes[0] >= 0 else ()
    if heaps:
        return Inspected("codes", tuple(heap.peak for heap in heaps), (), len(codes), heaps)
    if len(codes) > MOST_CODES:
        raise DatasetError(
            f"{first.parent}: {len(codes)} values in the label maps, which are neither codes nor heaps around a few of "
            f"them; are these label maps?"
        )
    void = tuple(code for code in codes if code < 0 or code in nodata or _is_highest(code, codes))
    classes = tuple(code for code in codes if code not in void)
    doubtful = lossy and are_near(codes)
    return Inspected("codes", classes or codes, void if classes else (), len(codes), doubtful=doubtful)


def _is_highest(code: int, codes: Sequence[int]) -> bool:
    """Tell whether a code is the highest of its type and stands for void: above several others from about 0 on."""
    others = [other for other in codes if other >= 0 and other not in (code, *_HIGHEST[1:])]
    if code not in _HIGHEST or len(others) < 2:
        return False
    return max(others) < code and max(others) <= 16 + 8 * len(others)


def _colours(colours: Values, first: Path) -> Inspected:
    """Return the colours; where there are stray ones at edges, those that fill regions, and the share of the others."""
    codes = colours.codes
    cores = core_colours(colours)
    strays = set(codes) - set(cores)
    if len(strays) < 3 or len(cores) < 2 or colours.flatness(strays) >= 0.5:
        if len(codes) > MOST_COLOURS:
            raise DatasetError(
                f"{first.parent}: {counted(len(codes), 'colour')} in the label maps; are these label maps?"
            )
        return Inspected("colours", tuple(codes), (), len(codes))
    share = colours.share(strays)
    if share > _MOST_STRAY or len(cores) > MOST_COLOURS:
        raise DatasetError(
            f"{first.parent}: {100 * share:.0f} % of the pixels have one of {counted(len(strays), 'colour')} that fill "
            f"no region; the label maps were compressed or smoothed: export them again, as PNG"
        )
    return Inspected("colours", tuple(cores), None, len(codes), stray=share)


def _nodata(path: Path) -> set[int]:
    """Return the value that a GeoTIFF states for pixels without data; empty for other files."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return set()
    stated = nodata_of(read_bytes(path))
    return set() if stated is None else {stated}


def other_sizes(items: Sequence[Item]) -> list[Item]:
    """Return the items whose label map has other proportions than their image, as their headers state."""
    return [item for item in items if (sizes := _sizes(item)) and not alike(*sizes)]


def _sizes(item: Item) -> tuple[tuple[int, int], tuple[int, int]] | None:
    try:
        headers = [read_header(read_bytes(path), path) for path in (item.image, item.labels)]
    except (Unreadable, OSError):
        return None
    if headers[0].orientation != 1:
        return None
    return (headers[0].height, headers[0].width), (headers[1].height, headers[1].width)


def deep_range(items: Sequence[Item]) -> tuple[int, int] | None:
    """Return the range that images beyond 8 bits need: 0 and the highest value of their number of bits in use."""
    import cv2

    highest = 0
    for item in items[:8]:
        try:
            data = read_bytes(item.image)
            header = read_header(data, item.image)
            if header.bits <= 8 or header.floating or header.signed:
                return None
            pixels = decoded(data, cv2.IMREAD_UNCHANGED, header, item.image)
        except Unreadable:
            return None
        highest = max(highest, int(pixels.max()))
    return (0, (1 << max(highest.bit_length(), 8)) - 1) if highest else None
