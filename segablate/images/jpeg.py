"""Read the header of a JPEG: its markers up to the pixels.

ITU-T T.81, annex B; EXIF 2.32 for the application segment.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from segablate.images.tiff import orientation_in_xmp, orientation_of

_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length
_FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
_SCAN, _APP1 = 0xDA, 0xE1
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"


@dataclass(frozen=True)
class Frame:
    """Size, bits of a component, number of components and EXIF orientation of a JPEG."""

    width: int
    height: int
    bits: int
    components: int
    orientation: int


def read_frame(data: np.ndarray) -> Frame:
    """Read the header of a JPEG (uint8). Raises ValueError where it has no frame."""
    exif, xmp = b"", b""
    for marker, content in _segments(data.data):
        if marker == _APP1 and not exif and content[: len(_EXIF)] == _EXIF:
            exif = bytes(content)
        elif marker == _APP1 and content[: len(_XMP)] == _XMP:
            xmp = bytes(content)
        elif marker in _FRAMES and len(content) >= 6:
            height, width = (int.from_bytes(content[place : place + 2], "big") for place in (1, 3))
            if not height or not width:
                break
            orientation = orientation_of(exif) if exif else orientation_in_xmp(xmp)
            return Frame(width, height, content[0], content[5], orientation)
    raise ValueError("it has no frame")


def _segments(view: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield marker and content of each segment up to the first scan."""
    place = 2
    while place + 4 <= len(view) and view[place] == 0xFF:
        marker = view[place + 1]
        if marker == 0xFF or marker in _ALONE:  # padding, or a marker alone
            place += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(view[place + 2 : place + 4], "big")
        if marker == _SCAN or length < 2:
            return
        yield marker, view[place + 4 : place + 2 + length]
        place += 2 + length
