"""The channels that a network takes: RGB, BGR, grey, or bands of the image by number, as in ``4,3,2``.

Bands are numbered from 1 as stored: red, green, blue, then a fourth, such as alpha or near infrared.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segablate.errors import CheckpointError
from segablate.files import shortened

if TYPE_CHECKING:
    from torch import Tensor

MOST_BANDS = 4
"""Bands of an image that are read."""

GREY = (19595.0, 38470.0, 7471.0)
"""Shares of red, green and blue in grey, of 65536: those of ITU-R BT.601, 0.299, 0.587 and 0.114, as in Pillow."""

_COLOURS = {"rgb": (1, 2, 3), "bgr": (3, 2, 1)}


def parse_channels(value: Any) -> str:
    """Return channels as "rgb", "bgr", "grey" or "4,3,2", or raise CheckpointError for anything else."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = "".join(text.lower().split())
    if text in (*_COLOURS, "grey", "gray"):
        return text.replace("gray", "grey")
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,3}(,\d{1,3}){0,63}", text):
        raise CheckpointError(
            f"channels is {shortened(repr(value))}, but must be rgb, bgr, grey, or bands by number, as in 4,3,2"
        )
    numbers = tuple(map(int, text.split(",")))
    if not 1 <= min(numbers) <= max(numbers) <= MOST_BANDS:
        wrong = next(number for number in numbers if not 1 <= number <= MOST_BANDS)
        raise CheckpointError(
            f"channels names band {wrong}, but bands are 1 to {MOST_BANDS}: red, green, blue, and alpha or near "
            f"infrared; more are not read from image files"
        )
    return next((name for name, bands in _COLOURS.items() if bands == numbers), ",".join(map(str, numbers)))


def bands_of(channels: str) -> tuple[int, ...]:
    """Return the bands of an image that are needed, in the order of the channels; those of colours for grey."""
    return _COLOURS.get(channels) or _COLOURS["rgb"] if channels in (*_COLOURS, "grey") else _numbers(channels)


def count_channels(channels: str) -> int:
    """Return the number of channels of the network's input."""
    return 1 if channels == "grey" else len(bands_of(channels))


def take(pixels: "Tensor", channels: str) -> "Tensor":
    """Return the channels, N C H W float, of the bands of images, N B H W float in 0..255; grey as Pillow's mode L."""
    if channels == "grey":
        red, green, blue = (pixels[:, band : band + 1] * share for band, share in enumerate(GREY))  # N 1 H W
        return (red + green + blue + 32768).div(65536).floor()  # exact: the sum is below 2**24
    if channels in _COLOURS:
        pixels = pixels[:, :3]
        return pixels.flip(1) if channels == "bgr" else pixels
    return pixels[:, [number - 1 for number in _numbers(channels)]]


def constants_for(channels: str, colours: Sequence[float]) -> tuple[float, ...] | None:
    """Return constants for these channels from those of red, green and blue; None where they have none.

    Grey has their mean; three bands, one of which is no colour, have them in order, as networks take them over.
    """
    if channels == "grey":
        return (sum(colours) / len(colours),)
    bands = bands_of(channels)
    if max(bands) <= len(colours):
        return tuple(colours[band - 1] for band in bands)
    return tuple(colours) if len(bands) == len(colours) else None


def channels_for(count: int) -> str:
    """Return the channels to state for a network with this many, as on the command line; empty where none exist."""
    if count > MOST_BANDS:
        return ""
    return {1: "grey", 3: "rgb"}.get(count, ",".join(map(str, range(1, count + 1))))


def _numbers(channels: str) -> tuple[int, ...]:
    return tuple(map(int, channels.split(",")))
