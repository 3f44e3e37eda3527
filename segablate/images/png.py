"""Check the chunks of a PNG, read its header, and turn a palette PNG into a grey one of the same values.

PNG, W3C Recommendation, third edition, with the chunks of animated PNG.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from segablate.files import Unreadable
from segablate.images.tiff import orientation_in_xmp, orientation_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE = 0, 3
_CHANNELS = {GREY: 1, 2: 3, PALETTE: 1, 4: 2, 6: 4}


@dataclass(frozen=True)
class Chunks:
    """What the chunks of a PNG state, but for the pixels.

    - `colour`: colour type; `bits`: of a channel or index.
    - `palette`: N, 3 uint8 RGB, where there is one.
    - `transparency`: whether a chunk makes colours or indices transparent.
    """

    width: int
    height: int
    bits: int
    colour: int
    palette: np.ndarray | None = None
    transparency: bool = False
    frames: int = 1
    orientation: int = 1

    @property
    def channels(self) -> int:
        """Return the channels of the pixels, one for indices."""
        return _CHANNELS[self.colour]


def read_chunks(data: np.ndarray, path: object) -> Chunks:
    """Read a PNG (uint8) up to IEND. Raises Unreadable for a damaged chunk, a malformed header or a cut file."""
    found = {kind: content for kind, content, _ in _chunks(data, path) if kind != b"IDAT"}
    first = found.get(b"IHDR", b"")
    width, height = int.from_bytes(first[:4], "big"), int.from_bytes(first[4:8], "big")
    if len(first) != 13 or not width or not height or first[9] not in _CHANNELS or first[8] not in (1, 2, 4, 8, 16):
        raise Unreadable(f"{path}: the header of the PNG is malformed; replace the file")
    entries = bytes(found.get(b"PLTE", b""))
    return Chunks(
        width,
        height,
        first[8],
        first[9],
        np.frombuffer(entries[: len(entries) // 3 * 3], np.uint8).reshape(-1, 3) if first[9] == PALETTE else None,
        b"tRNS" in found,
        int.from_bytes(found.get(b"acTL", b"\0\0\0\1")[:4], "big"),
        _orientation(found),
    )


def as_grey(data: np.ndarray) -> np.ndarray:
    """Return a checked palette PNG as a grey one without other chunks: decoders then keep its indices."""
    parts: list[bytes | memoryview] = [SIGNATURE]
    for kind, content, whole in _chunks(data, ""):
        if kind == b"IHDR":
            header = kind + bytes(content[:9]) + bytes([GREY]) + bytes(content[10:])
            parts += [len(content).to_bytes(4, "big"), header, zlib.crc32(header).to_bytes(4, "big")]
        elif kind in (b"IDAT", b"IEND"):
            parts.append(whole)
    return np.frombuffer(b"".join(parts), np.uint8)


def _chunks(data: np.ndarray, path: object) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Yield kind, content and all bytes of each chunk up to IEND; each must be complete and match its checksum."""
    view, place = data.data, len(SIGNATURE)
    while place + 12 <= len(view):
        length = int.from_bytes(view[place : place + 4], "big")
        end = place + 12 + length
        if end > len(view):
            break
        kind = bytes(view[place + 4 : place + 8])
        if zlib.crc32(view[place + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise Unreadable(f"{path}: PNG chunk {kind!r} at byte {place} is damaged; replace the file")
        yield kind, view[place + 8 : end - 4], view[place:end]
        if kind == b"IEND":
            return
        place = end
    raise Unreadable(f"{path}: the PNG is cut off at byte {len(view)}; replace it, or pass --on-error skip")


def _orientation(found: "dict[bytes, memoryview]") -> int:
    """Return the orientation in the EXIF chunk, or else in XMP."""
    if b"eXIf" in found:
        return orientation_of(bytes(found[b"eXIf"]))
    return orientation_in_xmp(bytes(found.get(b"iTXt", b"")))
