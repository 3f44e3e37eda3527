"""Read the directories of TIFF files, which EXIF data has too.

TIFF 6.0, Adobe 1992; BigTIFF as libtiff writes it; EXIF 2.32, CIPA DC-008.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

_TYPES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 11: "f4", 12: "f8", 13: "u4"}
_BIG_TYPES = {16: "u8", 17: "i8", 18: "u8"}
_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")
_MOST_ENTRIES = 4096  # of one directory; real ones have some dozens

SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, BANDS = 254, 256, 257, 258, 262, 274, 277
EXTRA, SAMPLE_FORMAT = 338, 339
NODATA = 42113  # of GDAL: a number as text
STRIPS = ((273, 279), (324, 325))
"""Tags of the places and sizes of strips, and of tiles."""

PREVIEW_OR_MASK = 1 | 4  # of SUBFILE
INDICES, INKS = 3, 5  # of PHOTOMETRIC
SIGNED, FLOAT = 2, 3  # of SAMPLE_FORMAT
ALPHAS = (1, 2)  # of EXTRA


@dataclass(frozen=True)
class Entry:
    """The values of a tag: `count` numbers of a numpy type, from a place in the file on."""

    dtype: np.dtype
    count: int
    place: int

    def values(self, data: np.ndarray) -> np.ndarray:
        """Return the numbers. Raises ValueError where they are beyond the end of the file."""
        return np.frombuffer(data, self.dtype, self.count, self.place)

    def first(self, data: np.ndarray) -> int:
        """Return the first number as an integer; 0 where there is none."""
        return int(self.values(data)[0]) if self.count else 0


Directory = Mapping[int, Entry]


def directories(data: np.ndarray) -> Iterator[Directory]:
    """Yield the directories of a TIFF file (uint8), each once, by tag.

    Raises ValueError for bytes that are no TIFF, and for a directory beyond the end.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2].tobytes())
    version = _number(data, f"{order}u2", 2) if order else 0
    if version not in (42, 43):
        raise ValueError("not a TIFF")
    big = version == 43
    place, seen = _number(data, f"{order}u{8 if big else 4}", 8 if big else 4), set()
    while place and place not in seen:
        seen.add(place)
        directory, place = _directory(data, place, str(order), big)
        yield directory


def _directory(data: np.ndarray, place: int, order: str, big: bool) -> tuple[Directory, int]:
    """Return the directory at a place, and the place of the next one (0: none)."""
    width, head, step = (8, 8, 20) if big else (4, 2, 12)
    count = _number(data, f"{order}u{head}", place)
    if count > _MOST_ENTRIES:
        raise ValueError(f"a directory of {count} tags")
    found = {}
    for start in range(place + head, place + head + count * step, step):
        tag, kind = (_number(data, f"{order}u2", start + shift) for shift in (0, 2))
        known = _TYPES.get(kind) or (_BIG_TYPES.get(kind) if big else None)
        if known:
            dtype, length = np.dtype(order + known), _number(data, f"{order}u{width}", start + 4)
            value = start + 4 + width
            inside = length * dtype.itemsize <= width
            found[tag] = Entry(dtype, length, value if inside else _number(data, f"{order}u{width}", value))
    after = place + head + count * step
    following = _number(data, f"{order}u{width}", after) if after + width <= len(data) else 0
    return found, following


def _number(data: np.ndarray, dtype: str, place: int) -> int:
    return int(np.frombuffer(data, dtype, 1, place)[0])


def stated(directory: Directory, data: np.ndarray, tag: int, default: int = 0) -> int:
    """Return the first number of a tag, or the default."""
    entry = directory.get(tag)
    return entry.first(data) if entry else default


def pages(data: np.ndarray) -> list[Directory]:
    """Return the directories of a TIFF file that are pages: not previews of them, nor masks."""
    return [page for page in directories(data) if not stated(page, data, SUBFILE) & PREVIEW_OR_MASK]


def check_strips(directory: Directory, data: np.ndarray) -> None:
    """Raise ValueError for a strip or tile that is empty, or ends beyond the file: decoders may fill it with zeros."""
    for places, sizes in STRIPS:
        if places in directory and sizes in directory:
            start, size = (directory[tag].values(data).astype(np.int64) for tag in (places, sizes))
            if (size <= 0).any() or (start + size > len(data)).any():
                raise ValueError("pixels are missing")


def nodata_of(data: np.ndarray) -> int | None:
    """Return the integer that a GeoTIFF states for pixels without data; None where it states none, or is no TIFF."""
    try:
        entry = next(directories(data)).get(NODATA)
        stated = float(entry.values(data).tobytes().rstrip(b"\0 ")) if entry else float("nan")
    except (ValueError, StopIteration):
        return None
    return int(stated) if stated.is_integer() else None


def orientation_of(exif: bytes) -> int:
    """Return the orientation (1..8) that EXIF data states; 1 where it states none, or is damaged."""
    data = np.frombuffer(exif.removeprefix(b"Exif\0\0"), np.uint8)
    try:
        entry = next(directories(data)).get(ORIENTATION)
        stated = entry.first(data) if entry else 1
    except (ValueError, StopIteration):
        return 1
    return stated if 1 <= stated <= 8 else 1


def orientation_in_xmp(xmp: bytes) -> int:
    """Return the orientation (1..8) that an XMP packet states; 1 where it states none."""
    stated = _XMP.search(xmp)
    return int(stated[1]) if stated else 1


def upright(data: np.ndarray) -> np.ndarray:
    """Return a TIFF file as if its orientation were 1: decoders apply the tag, also when told not to."""
    entry = next(directories(data)).get(ORIENTATION)
    if entry is None or entry.first(data) == 1:
        return data
    changed = data.copy()
    changed[entry.place : entry.place + entry.dtype.itemsize] = np.ones(1, entry.dtype).view(np.uint8)
    return changed
