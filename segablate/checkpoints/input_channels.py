"""How many channels a network takes, and which it gets where nobody states them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from segablate.checkpoints.channels import MOST_BANDS, channels_for, count_channels, parse_channels
from segablate.checkpoints.preprocessing import Preprocessing

GREY_NOTE = (
    "the network has one input channel and got grey, 0.299 R + 0.587 G + 0.114 B; for one band of the image instead, "
    "state it, as in --channels 1"
)

_OF_TORCH = re.compile(r"to have (\d+) channels, but got \d+ channels instead")


class Fitted(NamedTuple):
    """Steps with as many constants as channels.

    `dropped`: whether constants of three colours were left out, as the channels are others; `note`: which channels
    the network got.
    """

    start: Preprocessing
    dropped: bool = False
    note: str = ""


def fit_channels(module: Any, given: Mapping[str, Any], start: Preprocessing) -> Fitted:
    """Return `start` for the channels that the user has `given`, or grey for a network that takes one channel."""
    grey = "channels" not in given and count_channels(start.channels) == 3 and input_channels(module) == 1
    channels = parse_channels(given["channels"]) if "channels" in given else "grey" if grey else start.channels
    count, note = count_channels(channels), GREY_NOTE if grey else ""
    rows = start.mean, start.std
    if all(len(row) == count for row in rows):
        return Fitted(replace(start, channels=channels), False, note)
    if all(len(set(row)) == 1 for row in rows):
        mean, std = (row[:1] * count for row in rows)
        return Fitted(replace(start, channels=channels, mean=mean, std=std), False, note)
    plain = replace(start, channels=channels, scale="1/255", mean=(0.0,) * count, std=(1.0,) * count, divisor=1.0)
    return Fitted(plain, True, note)


def input_channels(module: Any) -> int | None:
    """Return the channels of a module's input: those of its first convolution; None where it has none."""
    if (stated := getattr(getattr(module, "image", None), "channels", None)) is not None:
        return stated
    for part in module.modules() if hasattr(module, "modules") else ():
        channels = getattr(part, "in_channels", None)
        if isinstance(channels, int) and hasattr(part, "kernel_size"):
            return channels
    return None


def wrong_channels(module: Any, given: int, error: str) -> str:
    """Return what to state where an error of a network is due to the channels that it was given; else empty."""
    found = _OF_TORCH.search(error)
    takes = int(found[1]) if found else input_channels(module) if "channel" in error.lower() else None
    if takes is None or takes == given:
        return ""
    return f"; {takes_channels(takes)}"


def takes_channels(count: int) -> str:
    """Return what a network with this many input channels takes, and the option to type."""
    named = f"the network takes {count} channel{'s' * (count != 1)}"
    channels = channels_for(count)
    if not channels:
        return f"{named}, but at most {MOST_BANDS} bands are read from image files"
    other = f", or another order of bands by number, for images of {count} bands" if count not in (1, 3) else ""
    return f"{named}: pass --channels {channels}{other}"
