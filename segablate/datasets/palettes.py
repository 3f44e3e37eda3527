"""Refuse palettes under which the codes of label maps would mean different classes.

A palette file stores an index and a colour for each pixel. Codes are the indices; where colours say otherwise, because
another file has another colour for an index, or the class list has another class for a colour, one of both is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segablate.errors import LabelError
from segablate.labels import LabelSet

_REMEDY = "state encoding: colours in dataset.yaml, or palettes: ignore if the indices are right"


@dataclass(frozen=True)
class Reference:
    """The palette (N, 3 uint8 RGB) that those of other label maps must agree with, and where it is from."""

    palette: np.ndarray
    where: str

    def check(self, palette: np.ndarray, codes: np.ndarray) -> None:
        """Raise LabelError for a code in use (H, W integers) whose colour in the palette is another than this one's."""
        if np.array_equal(palette, self.palette):
            return
        common = min(len(palette), len(self.palette))
        differ = np.flatnonzero((palette[:common] != self.palette[:common]).any(axis=1))
        for code in differ[np.isin(differ, codes)][:1]:
            raise LabelError(
                f"palette entry {code} is {_rgb(palette[code])}, but {_rgb(self.palette[code])} in {self.where}: the "
                f"same code may mean two classes; {_REMEDY}"
            )


def agreed(found: Sequence[Reference]) -> Reference:
    """Return the first palette that another one equals, and the first of all where all differ.

    A damaged first label map then makes none of the others wrong.
    """
    shared = (one for one in found if sum(np.array_equal(one.palette, other.palette) for other in found) > 1)
    return next(shared, found[0])


def check_class_colours(palette: np.ndarray, labels: LabelSet) -> bool:
    """Tell whether a palette (N, 3 uint8 RGB) has the colours of the classes at their codes.

    Raises LabelError where it has there the colour of another class.
    """
    same = True
    for index, colour in enumerate(labels.colours):
        for code in labels.codes[index]:
            stored = tuple(palette[code].tolist()) if 0 <= code < len(palette) else colour
            if stored != colour and stored in labels.colours:
                other = labels.names[labels.colours.index(stored)]
                raise LabelError(
                    f"palette entry {code} has the colour of class {other!r}, but code {code} is class "
                    f"{labels.names[index]!r}; correct the codes or colours of the classes, {_REMEDY}"
                )
            same = same and stored == colour
    return same


def _rgb(colour: np.ndarray) -> str:
    return f"({', '.join(map(str, colour.tolist()))})"
