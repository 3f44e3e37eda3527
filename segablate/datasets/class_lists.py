"""Read the label sets of published datasets from ``classes/``: code, name, colour (hexadecimal RGB)."""

import csv
from collections.abc import Mapping
from pathlib import Path

from segablate.labels import Colour, LabelSet

_FOLDER = Path(__file__).parent / "classes"


def class_rows(name: str) -> list[dict[str, str]]:
    """Return the rows of ``classes/NAME.csv`` as mappings from column to value."""
    with open(_FOLDER / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_numbers(name: str) -> tuple[int, ...]:
    """Return the integers in ``classes/NAME.txt``."""
    return tuple(int(word) for word in (_FOLDER / f"{name}.txt").read_text(encoding="ascii").split())


def listed_classes(name: str, void: tuple[int, ...]) -> LabelSet:
    """Return the label set of ``classes/NAME.csv``, with these void codes."""
    rows = class_rows(name)
    return LabelSet(
        name,
        tuple(row["name"] for row in rows),
        tuple((int(row["code"]),) for row in rows),
        void,
        tuple(as_colour(row["colour"]) for row in rows),
    )


def recoded(labels: LabelSet, codes: Mapping[str, tuple[int, ...]], void: tuple[int, ...], called: str) -> LabelSet:
    """Return the label set `called` of the classes in `codes`, in the order of `labels` and with these codes."""
    kept = [index for index, name in enumerate(labels.names) if name in codes]
    names = tuple(labels.names[index] for index in kept)
    colours = tuple(labels.colours[index] for index in kept)
    return LabelSet(called, names, tuple(codes[name] for name in names), void, colours)


def as_colour(text: str) -> Colour:
    """Convert ``"804080"`` to (128, 64, 128)."""
    red, green, blue = bytes.fromhex(text)
    return red, green, blue
