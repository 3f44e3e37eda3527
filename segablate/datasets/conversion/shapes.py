"""Annotated images: the outlines that an annotation tool stores, before they are drawn."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segablate.errors import counted
from segablate.labels import Colour

Size = tuple[int, int]
"""Height and width, in pixels."""

Mask = Callable[[int, int], np.ndarray]
"""Draws a shape in an image of this height and width: H, W bool. Raises Flaw for a shape that cannot be drawn."""


class Flaw(Exception):
    """Why a shape or an image is left out, as it goes on after "3 shapes ": ``of fewer than 3 points``."""


@dataclass(frozen=True)
class Shape:
    """The outline of one object.

    - `label`: name of its class; None for one that the annotations do not name.
    - `mask`: draws it.
    - `order`: shapes of a higher order cover those of a lower one; of one order, later shapes cover earlier ones.
    - `extent`: draws the box that the source states for it, which is void where the shape itself cannot be drawn.
    """

    label: str | None
    mask: Mask
    order: float = 0
    extent: Mask | None = None


@dataclass(frozen=True)
class Annotated:
    """An image and its shapes.

    - `name`: path of the image in the written dataset, without suffix; `split`: the split it belongs to.
    - `files`: names that its file may have, the likelier first; `beside`: the folder that they are relative to.
    - `size`: that the annotations state, if they do.
    - `embedded`: reads the bytes of an image that is stored with its shapes.
    - `where`: the image in a message.
    """

    name: str
    split: str
    files: tuple[str, ...]
    beside: Path
    shapes: tuple[Shape, ...]
    size: Size | None
    where: str
    embedded: Callable[[], bytes] | None = None


class Faults:
    """Counts what is left out, by reason, and remembers the first of each. `undrawn`: shapes that cannot be drawn."""

    undrawn = 0

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], int] = {}
        self.first: dict[tuple[str, str], str] = {}

    def add(self, unit: str, reason: str, where: str) -> None:
        """Count one `unit` ("shape", "image", ...) that is left out for a reason, at a place."""
        self.found[unit, reason] = self.found.get((unit, reason), 0) + 1
        self.first.setdefault((unit, reason), where)

    def count(self, unit: str) -> int:
        """Return how many of a unit are left out."""
        return sum(count for (other, _), count in self.found.items() if other == unit)

    def lines(self) -> tuple[str, ...]:
        """Return one line for each reason."""
        return tuple(
            f"{counted(count, unit)} {reason} (first: {self.first[unit, reason]})"
            for (unit, reason), count in self.found.items()
        )


@dataclass(frozen=True)
class Annotations:
    """What a source holds.

    - `title`: the format, for the summary; `drawing`: whose masks the drawn ones equal.
    - `classes`: names in order, with their colours where the source has them.
    - `voids`: labels whose shapes are drawn as void.
    - `faults`: what was left out in reading.
    """

    title: str
    drawing: str
    classes: dict[str, Colour | None]
    images: tuple[Annotated, ...]
    faults: Faults = field(default_factory=Faults)
    voids: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
