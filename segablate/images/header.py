"""Read what an image file states about its pixels, before any are decoded."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from segablate.errors import SegablateError, at
from segablate.files import Unreadable
from segablate.images import png, tiff
from segablate.images.jpeg import read_frame
from segablate.images.pillow import opened
from segablate.limits import check_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES = {"1": (1, 1), "L": (1, 8), "P": (1, 8), "RGB": (3, 8), "RGBA": (4, 8)}
"""Bands and bits of the pixels that Pillow decodes, by its name for them."""


@dataclass(frozen=True)
class Header:
    """Properties of the pixels in a file.

    - `format`: PNG, JPEG, TIFF, BMP, GIF, WEBP or PNM.
    - `bands`: channels as stored, one for palette indices; `bits`: of a channel; `floating`, `signed`: whether they
      are floats or signed integers.
    - `frames`: pages of a TIFF (without previews and masks), frames of an animation.
    - `orientation`: the EXIF orientation, 1..8; 1 is upright.
    - `indexed`: whether pixels are indices of a palette; `palette`: N, 3 uint8 RGB, where it is read with the header.
    - `alpha`: whether transparency is stored, in a channel or for colours; `cmyk`: whether the bands are inks.
    """

    format: str
    width: int
    height: int
    bands: int = 3
    bits: int = 8
    floating: bool = False
    signed: bool = False
    frames: int = 1
    orientation: int = 1
    indexed: bool = False
    palette: np.ndarray | None = None
    alpha: bool = False
    cmyk: bool = False


def read_header(data: np.ndarray, path: object) -> Header:
    """Read the header of an image file (uint8); `path` is for messages.

    Raises Unreadable for a file that is empty, cut off, damaged or of another format, and TooLarge for pixels beyond
    the limit.
    """
    if not len(data):
        raise Unreadable(f"{path}: the file is empty; replace it, or pass --on-error skip")
    start = data[:16].tobytes()
    read = next((read for recognised, read in _READERS if recognised(start)), None)
    if read is None:
        raise Unreadable(
            f"{path}: not a readable image; expected PNG, JPEG, TIFF, BMP, GIF, WebP or PNM; replace it, or pass "
            f"--on-error skip"
        )
    try:
        header = read(data, path)
    except SegablateError:
        raise
    except Exception as error:  # decoders raise anything on damaged headers
        raise Unreadable(f"{path}: not a readable image ({line(error)}); replace it") from None
    with at(str(path)):
        itemsize = -(-header.bits // 8)
        check_pixels(header.height, header.width, max(header.bands, 1), itemsize)
    return header


def line(error: Exception) -> str:
    """Return the message of a library's error in one line of at most 100 characters."""
    return " ".join(str(error).split())[:100] or type(error).__name__


def _png(data: np.ndarray, path: object) -> Header:
    found = png.read_chunks(data, path)
    return Header(
        "PNG",
        found.width,
        found.height,
        found.channels,
        found.bits,
        frames=found.frames,
        orientation=found.orientation,
        indexed=found.colour == png.PALETTE,
        palette=found.palette,
        alpha=found.transparency or found.channels in (2, 4),
    )


def _jpeg(data: np.ndarray, path: object) -> Header:
    if b"\xff\xd9" not in data[-1024:].tobytes():
        raise Unreadable(f"{path}: the JPEG ends before its end marker; replace it, or pass --on-error skip")
    frame = read_frame(data)
    return Header(
        "JPEG",
        frame.width,
        frame.height,
        frame.components,
        frame.bits,
        orientation=frame.orientation,
        cmyk=frame.components == 4,
    )


def _pillow(data: np.ndarray, path: object) -> Header:
    """Read the header of a BMP, GIF or WebP."""
    with opened(data) as image:
        bands, bits = _MODES[image.mode]
        return Header(
            str(image.format),
            *image.size,
            bands,
            bits,
            frames=getattr(image, "n_frames", 1),
            orientation=_oriented(image),
            indexed=image.mode == "P",
            alpha=image.mode == "RGBA" or "transparency" in image.info,
        )


def _oriented(image: "Image") -> int:
    """Return the orientation that EXIF states, or else XMP."""
    if image.info.get("exif"):
        return tiff.orientation_of(image.info["exif"])
    xmp = image.info.get("xmp", b"")
    return tiff.orientation_in_xmp(xmp) if isinstance(xmp, bytes) else 1


def _tiff(data: np.ndarray, path: object) -> Header:
    pages = tiff.pages(data)
    if not pages:
        raise ValueError("no page")
    page = pages[0]
    tiff.check_strips(page, data)
    bands = tiff.stated(page, data, tiff.BANDS, 1)
    photometric, kind = tiff.stated(page, data, tiff.PHOTOMETRIC), tiff.stated(page, data, tiff.SAMPLE_FORMAT, 1)
    return Header(
        "TIFF",
        tiff.stated(page, data, tiff.WIDTH),
        tiff.stated(page, data, tiff.HEIGHT),
        bands,
        tiff.stated(page, data, tiff.BITS, 1),
        kind == tiff.FLOAT,
        kind == tiff.SIGNED,
        len(pages),
        tiff.stated(page, data, tiff.ORIENTATION, 1),
        photometric == tiff.INDICES,
        alpha=bands in (2, 4) and tiff.stated(page, data, tiff.EXTRA) in tiff.ALPHAS,
        cmyk=photometric == tiff.INKS,
    )


def _pnm(data: np.ndarray, path: object) -> Header:
    """Read the header of a PBM, PGM or PPM: kind, width, height and, but for PBM, the highest value."""
    words = re.sub(rb"#[^\n]*", b"", data[:4096].tobytes()).split(maxsplit=4)
    highest = 1 if words[0] in (b"P1", b"P4") else int(words[3])
    bits = 16 if highest > 255 else 8
    return Header("PNM", int(words[1]), int(words[2]), 3 if words[0] in (b"P3", b"P6") else 1, bits)


Read = Callable[[np.ndarray, object], Header]

_READERS: tuple[tuple[Callable[[bytes], bool], Read], ...] = (
    (lambda start: start.startswith(png.SIGNATURE[:4]), _png),
    (lambda start: start.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda start: start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
    (lambda start: start.startswith((b"BM", b"GIF8")), _pillow),
    (lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP", _pillow),
    (lambda start: start[:1] == b"P" and start[1:2] in b"123456" and start[2:3].isspace(), _pnm),
)
