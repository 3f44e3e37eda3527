"""Class names and colours that mmsegmentation writes into its files beside the weights.

Its versions 0.x have ``meta: {CLASSES, PALETTE}``, 1.x ``meta: {dataset_meta: {classes, palette}}``.
"""

from collections.abc import Mapping
from typing import Any

Colour = tuple[int, int, int]


def class_names(extras: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of the outputs in order, without surrounding blanks, or None where the file has none."""
    names = _in_meta(extras, "classes")
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        return None
    return tuple(name.strip() for name in names)


def class_colours(extras: Mapping[str, Any]) -> tuple[Colour, ...] | None:
    """Return the colour of each class of :func:`class_names`, RGB 0..255, or None where they do not match."""
    names, palette = class_names(extras), _in_meta(extras, "palette")
    if names is None or not isinstance(palette, list | tuple) or len(palette) != len(names):
        return None
    return tuple((row[0], row[1], row[2]) for row in palette) if all(map(_is_colour, palette)) else None


def _in_meta(extras: Mapping[str, Any], name: str) -> Any:
    meta = extras.get("meta")
    described = meta.get("dataset_meta", meta) if isinstance(meta, dict) else None
    if not isinstance(described, dict):
        return None
    return described.get(name, described.get(name.upper()))


def _is_colour(row: object) -> bool:
    return (
        isinstance(row, list | tuple)
        and len(row) == 3
        and all(isinstance(value, int) and 0 <= value <= 255 for value in row)
    )
