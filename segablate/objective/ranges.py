"""The allowed values of a hyperparameter: a range of numbers, or one of a few words."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Conditions = Mapping[str, tuple[object, ...]]
"""Other hyperparameters, and their values under which a condition holds: ``{"combine": ("product", "sum")}``."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both allowed unless declared open; ``words`` are allowed beside them.

    ``grid`` holds the values a sweep tries; ``odd`` excludes even numbers; with ``used_when={"combine": ("product",)}``
    the hyperparameter has an effect only where another has one of these values, with ``training`` only in training.
    ``read`` returns the value that a text names which is no number, such as a file; it raises KnobError for any other.
    ``nothing`` is the word for ``None`` where that is allowed; ``none`` is read too.

    Examples:
        >>> from segablate import Range
        >>> gamma = Range(0, 5, grid=(0.5, 1, 2), help="exponent of the weight")  # Annotated[float, gamma] = 2
        >>> gamma.holds(2), gamma.holds(6)
        (True, False)
    """

    low: float = -math.inf
    high: float = math.inf
    grid: tuple[Any, ...] = ()
    help: str = ""
    words: tuple[str, ...] = ()
    open_low: bool = False
    open_high: bool = False
    odd: bool = False
    used_when: Conditions = field(default_factory=dict)
    training: bool = False
    read: Callable[[str], Any] | None = None
    nothing: str = "none"

    def holds(self, number: float) -> bool:
        """Return whether the number is in the range; infinity and nan never are."""
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return math.isfinite(number) and above and below and not (self.odd and number % 2 == 0)

    def bounds(self) -> str:
        """Describe the bounds: ``between 1 and 10``, ``of at least 0``, ``greater than 0 and at most 1``."""
        lower, upper = self.low > -math.inf, self.high < math.inf
        if lower and upper and not (self.open_low or self.open_high):
            return f"between {format_value(self.low)} and {format_value(self.high)}"
        low = f"{'greater than' if self.open_low else 'of at least'} {format_value(self.low)}" if lower else ""
        high = f"{'less than' if self.open_high else 'at most'} {format_value(self.high)}" if upper else ""
        return " and ".join(part for part in (low, high) if part)


@dataclass(frozen=True, init=False)
class Choice:
    """One of a few words; a sweep tries them all. ``used_when`` as in :class:`Range`.

    Examples:
        >>> from segablate import Choice
        >>> pool = Choice("avg", "max", help="how cells are pooled")  # Annotated[str, pool] = "avg"
        >>> pool.grid
        ('avg', 'max')
    """

    words: tuple[str, ...]
    help: str
    used_when: Conditions

    def __init__(self, *words: str, help: str = "", used_when: Conditions | None = None) -> None:
        vars(self).update(words=words, help=help, used_when=used_when or {})

    @property
    def grid(self) -> tuple[str, ...]:
        """Return the values a sweep tries: all words."""
        return self.words


def holds(conditions: Conditions, settings: Mapping[str, object]) -> bool:
    """Return whether these (complete) settings meet all the conditions; no conditions are always met."""
    return all(settings.get(name) in values for name, values in conditions.items())


def format_value(value: object) -> str:
    """Return a single value as text: ``3``, ``0.0005``, ``yes``, ``none``; whole floats lose their ``.0``."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return "none" if value is None else str(value)
