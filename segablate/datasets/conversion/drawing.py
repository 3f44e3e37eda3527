"""Draw the shapes of an image into a label map."""

from collections.abc import Mapping

import numpy as np

from segablate.datasets.conversion.shapes import Annotated, Faults, Flaw, Shape, Size


def draw(
    image: Annotated, size: Size, codes: Mapping[str, int], rest: int, void: int, faults: Faults
) -> tuple[np.ndarray, list[str]]:
    """Return the label map of an image, H, W, and the labels of the shapes that were drawn, lowest first.

    :param codes: code of each label; shapes of other labels are drawn as `void`, and counted as faults.
    :param rest: code of pixels in no shape.

    Later shapes cover earlier ones, those of a higher order all of a lower one. What cannot be drawn is counted, and is
    void in the box that the source states for it: what is there is not known.
    """
    labels = np.full(size, rest, np.uint8 if max(void, *codes.values(), rest) < 256 else np.uint16)
    drawn = []
    for shape in sorted(image.shapes, key=lambda shape: shape.order):
        try:
            mask = shape.mask(*size)
        except Flaw as flaw:
            box = _box(shape, size)
            labels[box] = void
            faults.add("shape", f"{flaw}, its box drawn as void" if box.any() else str(flaw), image.where)
            faults.undrawn += 1
            continue
        if not mask.any():
            faults.add("shape", "that cover no pixel", image.where)
            continue
        if shape.label not in codes:
            unknown = (
                "of no class that the source lists" if shape.label is None else f"of the unknown label {shape.label!r}"
            )
            faults.add("shape", f"{unknown}, drawn as void", image.where)
        labels[mask] = codes.get(shape.label or "", void)
        drawn.append(shape.label or "")
    return labels, drawn


def _box(shape: Shape, size: Size) -> np.ndarray:
    """Return the box of a shape that cannot be drawn, H, W bool; empty where the source states none."""
    try:
        return np.zeros(size, bool) if shape.extent is None else shape.extent(*size)
    except Flaw:
        return np.zeros(size, bool)
