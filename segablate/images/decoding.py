"""Decode with OpenCV, and refuse what it cannot."""

import numpy as np

from segablate.files import Unreadable
from segablate.images.header import Header
from segablate.images.pillow import opened
from segablate.images.silence import complaints_dropped
from segablate.images.tiff import upright


def decoded(data: np.ndarray, flags: int, header: Header, path: object) -> np.ndarray:
    """Decode an image file (uint8) with flags of ``cv2.imdecode``, as stored.

    Raises Unreadable when that fails, or returns pixels of another size than the header states.
    """
    import cv2

    if header.format == "TIFF" and header.floating and header.bits not in (32, 64):
        raise Unreadable(f"{path}: holds {header.bits}-bit floats, which are not read; save it with 32 bits")
    with complaints_dropped():
        try:
            if header.format == "TIFF" and header.bands in (2, 4) and header.bits == 8 and not header.cmyk:
                pixels = _with_alpha(upright(data))
            else:
                pixels = cv2.imdecode(upright(data) if header.format == "TIFF" else data, flags)
        except (cv2.error, MemoryError, OSError, ValueError):
            pixels = None
        if pixels is None or pixels.shape[:2] != (header.height, header.width):
            raise Unreadable(
                f"{path}: not a readable image: its pixels are damaged; replace it, or pass --on-error skip"
            )
    return pixels


def _with_alpha(data: np.ndarray) -> np.ndarray:
    """Decode a TIFF as blue, green, red and alpha with Pillow: OpenCV multiplies the colours of a TIFF by alpha."""
    with opened(data) as image:
        pixels = np.array(image)
    return pixels[..., [2, 1, 0, 3]] if pixels.shape[-1] == 4 else pixels[..., [0, 0, 0, 1]]
