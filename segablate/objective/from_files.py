"""Values of hyperparameters that come from a file: read when they are parsed, so that plans hold the numbers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from segablate.errors import KnobError

if TYPE_CHECKING:
    from segablate.objective.knobs import Knob


class FromFile(tuple[float, ...]):
    """A tuple of numbers that was read from a file; equal to the plain tuple.

    ``source`` is the path as it was given; ``settings`` are the other hyperparameters for which the numbers were made.
    """

    source: str
    settings: Mapping[str, Any]

    def __new__(cls, numbers: Sequence[float], source: str, settings: Mapping[str, Any]) -> "FromFile":
        made = super().__new__(cls, numbers)
        made.source, made.settings = source, settings
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return FromFile, (tuple(self), self.source, dict(self.settings))


def refuse_unfit(knobs: "Mapping[str, Knob]", settings: Mapping[str, Any]) -> None:
    """Raise KnobError for a value from a file that was made for other settings than these."""
    for name, value in settings.items():
        if not isinstance(value, FromFile):
            continue
        for other, made_for in value.settings.items():
            given = settings.get(other, knobs[other].default)
            if given != made_for:
                raise KnobError(
                    f"{name} is {value.source}, which was made for {other}={knobs[other].format(made_for)}, but "
                    f"{other} is {knobs[other].format(given)}; set {other}={knobs[other].format(made_for)}, or give "
                    f"another file"
                )


def name_settings(knobs: "Mapping[str, Knob]", settings: Mapping[str, Any]) -> str:
    """Return settings as text, with the name of a file in the place of the numbers that were read from it."""
    texts = {
        name: value.source if isinstance(value, FromFile) else knobs[name].format(value)
        for name, value in settings.items()
    }
    return ", ".join(f"{name}={text}" for name, text in texts.items())
