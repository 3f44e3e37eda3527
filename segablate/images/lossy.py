"""Tell by its content whether an image file was compressed with loss, which changes class values."""

from pathlib import Path

import numpy as np

from segablate.files import Unreadable
from segablate.images import tiff

_STATING = (".jpg", ".jpeg", ".webp")
"""Suffixes of formats that may compress with loss."""

_CHUNKS = 16
"""Chunks of a WebP file that are looked at; the format has at most three before the image: header, profile, alpha."""

_COMPRESSION, _JPEG = 259, (6, 7)  # of TIFF: the tag, and both ways to hold a JPEG


def lossy_format(data: np.ndarray) -> str:
    """Return the format of a file (uint8) that was compressed with loss, such as "JPEG"; else nothing."""
    start = data[:16].tobytes()
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "lossy WebP" if b"VP8 " in _chunks(data) else ""
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "JPEG in a TIFF" if _compression(data) in _JPEG else ""
    return ""


def _chunks(data: np.ndarray) -> list[bytes]:
    """Return the kinds of the chunks of a WebP file up to the image; of a file that has none, the first few."""
    kinds, place = [], 12
    while place + 8 <= len(data) and len(kinds) < _CHUNKS and not {b"VP8 ", b"VP8L"}.intersection(kinds):
        head = data[place : place + 8].tobytes()
        kinds.append(head[:4])
        size = int.from_bytes(head[4:], "little")
        place += 8 + size + size % 2
    return kinds


def _compression(data: np.ndarray) -> int:
    """Return the compression of the first page of a TIFF; 1, none, where it cannot be read: reading it will fail."""
    try:
        return tiff.stated(tiff.pages(data)[0], data, _COMPRESSION, 1)
    except (ValueError, IndexError):
        return 1


def states_loss(path: Path) -> bool:
    """Return whether the name of a file says that it may be compressed with loss."""
    return path.suffix.lower() in _STATING


def check_lossless(data: np.ndarray, where: object) -> None:
    """Raise Unreadable for a label map with loss, where nothing says so beforehand; `where` is for the message."""
    if what := lossy_format(data):
        raise Unreadable(
            f"{where}: holds {what}, which changes values when it compresses; save the label map from its source again "
            f"as PNG"
        )
