"""Arguments of the public API as the layers below take them."""

from collections.abc import Sequence

from segablate.metrics.tolerance import Tolerance


def as_tolerances(given: "float | str | Tolerance | Sequence[float | str | Tolerance]") -> tuple[Tolerance, ...]:
    """Return tolerances from numbers of pixels, texts such as ``"3,0.0075d"`` and lists of these, each once.

    Raises KnobError for one that is malformed or out of range.
    """
    if isinstance(given, str):
        parts: Sequence[float | str | Tolerance] = [part for part in given.split(",") if part.strip() not in ("", "none")]
    else:
        parts = [given] if isinstance(given, int | float | Tolerance) else list(given)
    found = [
        each if isinstance(each, Tolerance) else Tolerance.parse(each) if isinstance(each, str) else Tolerance(each)
        for each in parts
    ]
    return tuple(dict.fromkeys(found))
