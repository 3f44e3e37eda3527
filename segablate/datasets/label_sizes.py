"""Where an image and its label map meet that have different sizes.

By default the label map decides where both have the same proportions, as the ground truth then stays as it is: scores
are brought to its size. Other proportions are refused, as the two may be of different scenes, or one was cropped.
"""

from collections.abc import Sequence
from typing import get_args

import numpy as np

from segablate.errors import DatasetError, UsageError, did_you_mean
from segablate.images.pictures import LabelSize

Size = Sequence[int]


def alike(image: Size, labels: Size) -> bool:
    """Tell whether two sizes (height, width) have the same proportions, to a pixel."""
    (height, width), (high, wide) = image, labels
    return abs(high * width - wide * height) <= max(height, width, high, wide)


def refuse_sizes(image: Size, labels: Size, stated: LabelSize | None, name: str) -> None:
    """Raise DatasetError for sizes that differ and are to be refused; `name` is that of the image file."""
    if stated not in (None, "refuse") or (stated is None and alike(image, labels)):
        return
    sizes = f"the label map is {by(labels)}, but its image {name} is {by(image)}"
    if stated == "refuse":
        raise DatasetError(f"{sizes}; export both at one size, or leave out --label-size refuse")
    exchanged = ": width and height are exchanged" if tuple(image) == tuple(labels)[::-1] else ", of other proportions"
    raise DatasetError(f"{sizes}{exchanged}; export both at one size, or state where they meet: --label-size label")


def read_label_size(value: object, what: str) -> LabelSize | None:
    """Return a stated choice. Raises UsageError for a value that is none; `what` names the option or key."""
    choices: tuple[LabelSize, ...] = get_args(LabelSize)
    if value is None or value in choices:
        return value  # type: ignore[return-value]
    raise UsageError(f"{what} is {value!r}, but must be image, label or refuse{did_you_mean(str(value), choices)}")


def nearest(labels: np.ndarray, size: Size) -> np.ndarray:
    """Return a label map, H, W, at another height and width: each pixel is that under its centre."""
    rows, columns = (
        ((np.arange(side) + 0.5) * (old / side)).astype(np.int64).clip(0, old - 1)
        for side, old in zip(size, labels.shape, strict=True)
    )
    return np.ascontiguousarray(labels[rows[:, None], columns])


def by(size: Size) -> str:
    """Return a size as HEIGHTxWIDTH."""
    return f"{size[0]}x{size[1]}"
