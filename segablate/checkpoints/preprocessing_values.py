"""Checks of the values of a preprocessing, as a card or the command line state them."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from segablate.checkpoints.channels import parse_channels
from segablate.errors import CheckpointError
from segablate.files import shortened

LONGEST_SIDE = 16384
"""Most pixels of a side to which images are resized."""

_MOST_CHANNELS = 64

RESAMPLING = ("bilinear", "pillow-bilinear", "pillow-bicubic")

Triple = tuple[float, float, float]

NORMALISATIONS: Mapping[str, tuple[Triple, Triple]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and std, by the name of a normalisation, of red, green and blue in 0..1."""


def _channels(name: str, value: Any) -> str:
    return parse_channels(value)


def _fraction(name: str, value: Any) -> str:
    try:
        if Fraction(str(value)) > 0:
            return str(value)
    except (ValueError, ZeroDivisionError):
        pass
    raise CheckpointError(f"{name} is {value!r}, but must be a positive number or fraction, such as 1/255")


def _positive(name: str, value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
        return float(value)
    raise CheckpointError(f"{name} is {value!r}, but must be a positive number")


def _row_of(name: str, value: Any) -> tuple[float, ...]:
    """Check one number for all channels, or one for each; how many is known with the channels."""
    values = [value] * 3 if isinstance(value, int | float) else value
    numbers = isinstance(values, list | tuple) and all(isinstance(v, int | float) for v in values)
    if not numbers or not 1 <= len(values) <= _MOST_CHANNELS or (name == "std" and not all(v > 0 for v in values)):
        kind = "positive " * (name == "std")
        raise CheckpointError(
            f"{name} is {shortened(repr(value))}, but must be {kind}numbers, one for each channel, or one for all"
        )
    return tuple(float(v) for v in values)


def _resize(name: str, value: Any) -> tuple[int, int] | int | None:
    if value is None or _is_side(value):
        return value
    if isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_side, value)):
        return value[0], value[1]
    raise CheckpointError(
        f"{name} is {shortened(repr(value))}, but must be height and width, such as [512, 1024], or a side, of at most "
        f"{LONGEST_SIDE}"
    )


def _side(name: str, value: Any) -> int | None:
    if value is None or _is_side(value):
        return value
    raise CheckpointError(f"{name} is {shortened(repr(value))}, but must be an integer in 1..{LONGEST_SIDE}")


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LONGEST_SIDE


def _resample(name: str, value: Any) -> str:
    if value not in RESAMPLING:
        raise CheckpointError(f"{name} is {value!r}, but must be {', '.join(RESAMPLING[:-1])} or {RESAMPLING[-1]}")
    return value


def _normalisation(name: str, value: Any) -> str | None:
    if value is None or str(value) in NORMALISATIONS:
        return None if value is None else str(value)
    raise CheckpointError(f"{name} is {value!r}, but must be {', '.join(list(NORMALISATIONS)[:-1])} or 0.5")


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise CheckpointError(f"{name} is {shortened(repr(value))}, but must be true or false")
    return value


def _multiple(name: str, value: Any) -> int | None:
    if value is None or (isinstance(value, int) and 1 <= value <= 4096):
        return value
    raise CheckpointError(f"{name} is {value!r}, but must be an integer in 1..4096")


CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "channels": _channels,
    "scale": _fraction,
    "mean": _row_of,
    "std": _row_of,
    "divisor": _positive,
    "resize": _resize,
    "longest": _side,
    "resample": _resample,
    "pad_to_multiple": _multiple,
    "letterbox": _truth,
    "normalise": _normalisation,
}
"""The check of each entry, by its name: the name and the value -> the value in its form, or CheckpointError."""
