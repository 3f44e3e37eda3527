"""Mean and standard deviation of the colours of a dataset, as trainers compute them of their training set."""

from dataclasses import dataclass, replace

import numpy as np

from segablate.checkpoints.preprocessing import Triple
from segablate.datasets import Dataset, other_splits
from segablate.errors import SegablateError, counted

MOST_IMAGES = 64
"""Images that are read: a mean over so many is within a hundredth of that over thousands."""

_TRAINING = ("train", "training")


@dataclass(frozen=True)
class Constants:
    """Mean and standard deviation of red, green and blue in 0..1, and what they are of."""

    what: str
    mean: Triple
    std: Triple


def measured_constants(dataset: Dataset) -> Constants | None:
    """Measure the training split of a dataset, or the images at hand; None where no image can be read.

    Images that cannot be read are left out; those of the training split need no label map to be right.
    """
    splits = other_splits(dataset) if dataset.split not in _TRAINING else {}
    chosen = next((splits[name] for name in _TRAINING if name in splits), dataset).evenly(MOST_IMAGES)
    sums, squares, pixels, images = np.zeros(3), np.zeros(3), 0, 0
    for index in range(len(chosen)):
        try:
            image = replace(chosen).read(index).image
        except SegablateError:
            continue
        assert image is not None
        colours = image.reshape(-1, 3).astype(np.float64)
        sums, squares = sums + colours.sum(axis=0), squares + (colours**2).sum(axis=0)
        pixels, images = pixels + len(colours), images + 1
    if not pixels:
        return None
    mean = sums / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 1.0))
    what = f"{counted(images, 'image')} of split {chosen.split}"
    return Constants(what, tuple((mean / 255).tolist()), tuple((std / 255).tolist()))
