"""Boundary tolerances: the distance within which boundary pixels match, in pixels or as a share of the diagonal."""

import re
from dataclasses import dataclass
from math import floor, hypot

from segablate.errors import KnobError

_FORM = re.compile(r"(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)(d?)", re.ASCII | re.IGNORECASE)
_LARGEST_PIXELS, _LARGEST_SHARE = 1000.0, 1.0
_ROUNDING = 1e-12  # relative; squares of whole distances differ by far more, the rounding of a share by far less


@dataclass(frozen=True)
class Tolerance:
    """A tolerance of ``amount`` pixels, or with ``of_diagonal`` that share of the diagonal of each image.

    Written ``3`` or ``0.0075d``. A share is taken of ``sqrt(H² + W²)`` of each image and is not rounded: 0.0075 of
    1024x2048 is 17.17 px, where other tools round up to 18.

    Examples:
        >>> from segablate import Tolerance
        >>> Tolerance(3) == Tolerance.parse("3"), Tolerance.parse("0.0075d")
        (True, Tolerance(amount=0.0075, of_diagonal=True))
    """

    amount: float
    of_diagonal: bool = False

    def __post_init__(self) -> None:
        """Raise :class:`KnobError` for an amount outside 0..1000 pixels or 0..1 of the diagonal."""
        largest, unit = (_LARGEST_SHARE, "of the diagonal") if self.of_diagonal else (_LARGEST_PIXELS, "pixels")
        if not 0 <= self.amount <= largest:
            raise KnobError(f"tolerance is {self}, but must be between 0 and {largest:g} ({unit})")

    @classmethod
    def parse(cls, text: str) -> "Tolerance":
        """Read ``3``, ``2.5`` or ``0.0075d``; raises :class:`KnobError` for anything else."""
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise KnobError(
                f"tolerance is {text!r}, but must be a number of pixels such as 3, or a share of the image diagonal "
                "such as 0.0075d"
            )
        return cls(float(match[1]), bool(match[2]))

    def __str__(self) -> str:
        """Return the text that :meth:`parse` reads back to the same tolerance."""
        return repr(float(self.amount)).removesuffix(".0") + ("d" if self.of_diagonal else "")

    def pixels(self, height: int, width: int) -> float:
        """Return the tolerance in an image of this size, in pixels."""
        return self.amount * hypot(height, width) if self.of_diagonal else self.amount

    def squared(self, height: int, width: int) -> int:
        """Return the largest squared distance, in whole squared pixels, that matches in an image of this size.

        A tolerance that equals a distance up to the rounding of float64 (``sqrt(13)``, or 0.07 of a diagonal of 100)
        includes that distance.
        """
        return floor(self.pixels(height, width) ** 2 * (1 + _ROUNDING))
