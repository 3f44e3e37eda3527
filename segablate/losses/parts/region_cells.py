"""From logits to the cells of RMI, and from the gradient at the cells back, a strip of rows of one image at a time."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from segablate.losses.parts.cells import cell_counts, cell_strips, pooled_strip, stretched_strip, unpooled_strip
from segablate.losses.parts.regression import LOG_OFFSET
from segablate.losses.parts.sharing import shared
from segablate.losses.parts.strips import strip_height

FLOOR = 1e-6
"""Added to every probability, void pixels included, as the authors do."""


@dataclass(frozen=True)
class RegionOptions:
    """Hyperparameters of ``rmi``, its two-way choices as booleans: ``drop`` is void=drop, ``by_points`` normalise."""

    radius: int
    pool: str
    stride: int
    alpha: float
    softmax: bool
    drop: bool
    by_points: bool

    @property
    def absent(self) -> float:
        """Return the value of a class that is not in the image: that of M = 0."""
        return math.log(math.sqrt(self.alpha) + LOG_OFFSET)


@shared
def all_cells(
    logits: Tensor,
    labels: Tensor,
    valid: Tensor,
    labelled: tuple[tuple[int, ...], ...],
    softmax: bool,
    pool: str,
    stride: int,
) -> dict[int, Tensor]:
    """Return the cells of the probabilities and labels of each class in the images that contain it, B 2 h w, centred.

    - `labels`, N H W, in a small type; `valid`, N H W, 1 and 0; `labelled`: the images that contain each class.
    """
    size = cell_counts(labels.shape[1:], stride)
    cells = {
        index: torch.empty(len(images), 2, *size, dtype=torch.float64, device=logits.device)
        for index, images in enumerate(labelled)
        if images
    }
    for image, maps in enumerate(logits):
        of_image = {
            index: each[labelled[index].index(image)] for index, each in cells.items() if image in labelled[index]
        }
        _fill(of_image, maps, labels[image], valid[image], (softmax, pool, stride))
    # centred here already, so that subtracting the mean from the scatter matrix cancels little
    return {index: each.sub_(each.mean((2, 3), keepdim=True)) for index, each in cells.items()}


def _fill(
    cells: Mapping[int, Tensor], maps: Tensor, labels: Tensor, valid: Tensor, options: tuple[bool, str, int]
) -> None:
    """Write the cells of the probabilities and labels of one image, 2 h w for each of its classes."""
    softmax, pool, stride = options
    for rows, pixels, padding in cell_strips(maps.shape[1], stride, strip_height(maps)):
        probability, mask = _probabilities(maps[:, pixels], softmax), valid[pixels]
        at_label = torch.empty_like(mask, dtype=torch.uint8)
        for index, each in cells.items():
            at_class = probability(index).mul_(mask).add_(FLOOR)  # R W
            each[0, rows] = pooled_strip(at_class, padding, stride, pool, maps.dtype)
            torch.eq(labels[pixels], index, out=at_label)
            each[1, rows] = pooled_strip(at_label, padding, stride, pool, maps.dtype)


def spread(maps: Tensor, valid: Tensor, slopes: Mapping[int, Tensor], options: RegionOptions, gradient: Tensor) -> None:
    """Write the gradient at the logits of one image, C H W, from that at the cells of each class it contains, h w."""
    for cells, pixels, padding in cell_strips(maps.shape[1], options.stride, strip_height(maps)):
        strip, mask, at_strip = maps[:, pixels], valid[pixels], gradient[:, pixels]
        probability = _probabilities(strip, options.softmax)
        for index, slope in slopes.items():
            at_class = probability(index)  # R W
            factor = mask if options.softmax else torch.addcmul(at_class, at_class, at_class, value=-1).mul_(mask)
            if options.pool == "max":
                at_pixels = unpooled_strip(slope[cells], at_class * mask, padding, options.stride)
            else:
                at_pixels = stretched_strip(slope[cells], padding, options.stride, maps.shape[2])  # R W
            torch.mul(at_pixels, factor, out=at_strip[index])
        if options.softmax:
            probabilities = strip.softmax(0)  # C R W
            at_strip.sub_((probabilities * at_strip).sum(0)).mul_(probabilities)


def _probabilities(maps: Tensor, softmax: bool) -> Callable[[int], Tensor]:
    """Return a function from a class to its probabilities, R W, which the caller may overwrite."""
    if softmax:
        probabilities = maps.softmax(0)  # C R W
        return lambda index: probabilities[index]
    return lambda index: maps[index].sigmoid()
