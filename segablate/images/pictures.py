"""Decode images to H, W, 3 uint8 RGB; what they do not fit in is refused, or scaled as stated."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from segablate.errors import counted
from segablate.files import Unreadable, read_bytes
from segablate.images.decoding import decoded
from segablate.images.header import Header, read_header
from segablate.samples import Remark

Orientation = Literal["apply", "ignore"]
LabelSize = Literal["label", "image", "refuse"]


@dataclass(frozen=True)
class Reading:
    """How images and label maps are read where their files leave a choice; None: decided for each file.

    - `exif`: whether an EXIF orientation is applied. By default it is if the label map fits the turned image.
    - `image_range`: the values of images beyond 8 bits that become 0 and 255. By default such images are refused.
    - `bands`: of images to read: 3, or 4 where the network takes alpha or near infrared too.
    - `label_size`: whose size counts where image and label map differ. By default that of the label map, if both have
      the same proportions.
    - `palettes`: what those of label maps must agree with: other files, also the class colours, or nothing.
    """

    exif: Orientation | None = None
    image_range: tuple[float, float] | None = None
    palettes: Literal["files", "classes", "ignore"] = "files"
    label_size: LabelSize | None = None
    bands: int = 3

    @property
    def notes(self) -> tuple[str, ...]:
        """Return a note on images that are scaled."""
        if self.image_range is None:
            return ()
        black, white = self.image_range
        return (f"images beyond 8 bits are scaled: {black:g} to 0, {white:g} to 255",)


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    - `pixels`: H, W, 3 uint8 RGB, as stored; H, W, 4 with a fourth band that was asked for.
    - `orientation`: EXIF orientation, 1..8; 1 is upright.
    - `remarks`: what was left out.
    """

    pixels: np.ndarray
    orientation: int = 1
    remarks: Remark = Remark.NONE

    def turned(self) -> np.ndarray:
        """Return the pixels upright, as the orientation states."""
        pixels = self.pixels
        if self.orientation in (5, 6, 7, 8):
            pixels = pixels.swapaxes(0, 1)
        if self.orientation in (2, 3, 6, 7):
            pixels = pixels[:, ::-1]
        if self.orientation in (3, 4, 7, 8):
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


def read_picture(path: Path, reading: Reading = Reading()) -> Picture:
    """Decode an image file.

    Raises Unreadable for a missing or damaged file, and for one that does not fit 8 bits of red, green and blue.
    """
    return decode_picture(read_bytes(path), path, reading)


def decode_picture(data: np.ndarray, path: object, reading: Reading = Reading()) -> Picture:
    """Decode an image as :func:`read_picture`, from its bytes (uint8); `path` is for messages."""
    import cv2

    header = read_header(data, path)
    _check(header, path, reading)
    deep = header.bits > 8 or header.floating
    if not (deep or header.alpha or (header.bands == 4 and not header.cmyk)):
        pixels = decoded(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION, header, path)
        return Picture(pixels, header.orientation, Remark.INKS if header.cmyk else Remark.NONE)
    pixels, remarks = _coloured(decoded(data, cv2.IMREAD_UNCHANGED, header, path), reading.bands)
    if deep:
        assert reading.image_range is not None
        remarks |= Remark.NOT_A_NUMBER if pixels.dtype.kind == "f" and np.isnan(pixels).any() else Remark.NONE
        pixels = scaled(pixels, *reading.image_range)
    return Picture(pixels, header.orientation, remarks)


def _check(header: Header, path: object, reading: Reading) -> None:
    """Raise Unreadable for an image that eight bits of red, green and blue cannot hold."""
    if header.frames > 1:
        raise Unreadable(f"{path}: holds {header.frames} pages or frames; save the one to be evaluated alone")
    fourth = reading.bands == 4 and header.bands == 4 and not header.cmyk
    if header.bands not in (1, 3) and not (fourth or header.alpha) and not (header.cmyk and header.format == "JPEG"):
        raise Unreadable(
            f"{path}: holds {counted(header.bands, 'band')}, but a network takes red, green and blue; save those "
            f"three, or state up to four by number, as in --channels 4,3,2"
        )
    if (header.bits > 8 or header.floating) and reading.image_range is None:
        kind = f"{header.bits}-bit floats" if header.floating else f"{counted(header.bits, 'bit')} per channel"
        example = "[0, 1]" if header.floating else f"[0, {(1 << header.bits) - 1}]"
        raise Unreadable(
            f"{path}: holds {kind}, but 8 bits are read; state the values of black and white in dataset.yaml, e.g. "
            f"image_range: {example}, or save it with 8 bits"
        )


def _coloured(pixels: np.ndarray, bands: int) -> tuple[np.ndarray, Remark]:
    """Return decoded pixels as H, W, 3 RGB without their fourth band, and whether that held anything.

    With four `bands` as H, W, 4 where there is a fourth.
    """
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=-1), Remark.NONE
    remarks = Remark.NONE
    if pixels.shape[-1] == 4:
        if bands == 4:
            return np.ascontiguousarray(pixels[..., [2, 1, 0, 3]]), remarks
        opaque = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
        remarks = Remark.TRANSPARENT if (pixels[..., 3] != opaque).any() else Remark.NONE
    return np.ascontiguousarray(pixels[..., 2::-1]), remarks


def scaled(pixels: np.ndarray, black: float, white: float) -> np.ndarray:
    """Map values linearly so that `black` becomes 0 and `white` 255, as uint8; nan becomes 0."""

    def mapped(values: np.ndarray) -> np.ndarray:
        values = np.nan_to_num((values.astype(np.float64) - black) * (255 / (white - black)), nan=0.0)
        return np.rint(values.clip(0, 255)).astype(np.uint8)

    if pixels.dtype == np.uint16:
        return mapped(np.arange(1 << 16)).take(pixels)
    return mapped(pixels)
