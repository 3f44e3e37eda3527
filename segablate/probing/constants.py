"""Mean and standard deviation of the colours of a dataset, as trainers compute them of their training set."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from segablate.checkpoints.channels import bands_of, count_channels
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.datasets import Dataset, other_splits
from segablate.errors import SegablateError, counted

Row = tuple[float, ...]
"""One number for each channel."""

MOST_IMAGES = 64
"""Images that are read: a mean over so many is within a hundredth of that over thousands."""

_TRAINING = ("train", "training")


@dataclass(frozen=True)
class Constants:
    """Mean and standard deviation of channels in 0..1, and what they are of.

    Of red, green and blue, in this order, for networks that take colours in either order.
    """

    what: str
    mean: Row
    std: Row


def measured_constants(dataset: Dataset, channels: str = "rgb") -> Constants | None:
    """Measure the channels of the training split of a dataset, or of the images at hand; None where none can be read.

    Images that cannot be read are left out; those of the training split need no label map to be right.
    """
    splits = other_splits(dataset) if dataset.split not in _TRAINING else {}
    chosen = next((splits[name] for name in _TRAINING if name in splits), dataset).evenly(MOST_IMAGES)
    channels = "rgb" if channels == "bgr" else channels
    steps, count = Preprocessing.parse({"channels": channels, "scale": 1}), count_channels(channels)
    chosen = chosen.with_bands(max(3, *bands_of(channels)))
    sums, squares, pixels, images = np.zeros(count), np.zeros(count), 0, 0
    for index in range(len(chosen)):
        try:
            image = replace(chosen).read(index).image
        except SegablateError:
            continue
        assert image is not None
        colours = steps(torch.from_numpy(image[None]))[0].flatten(1).T.double().numpy()
        sums, squares = sums + colours.sum(axis=0), squares + (colours**2).sum(axis=0)
        pixels, images = pixels + len(colours), images + 1
    if not pixels:
        return None
    mean = sums / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 1.0))
    what = f"{counted(images, 'image')} of split {chosen.split}"
    return Constants(what, tuple((mean / 255).tolist()), tuple((std / 255).tolist()))
