"""The elements that CPG scores: pixels near label boundaries, for each class and direction."""

from dataclasses import dataclass

import torch
from torch import Tensor

from segablate.labels import ignore_index
from segablate.losses.parts.shapes import Labels
from segablate.losses.parts.sharing import shared
from segablate.losses.parts.sobel import derivatives, integer_kernel, pad, step_gain


@dataclass(frozen=True)
class GradientOptions:
    """Hyperparameters of ``cpg``, its two-way choices as booleans."""

    ksize: int
    width: int | str
    by_step: bool
    whole_window: bool

    @property
    def radius(self) -> int:
        """Return the pixels on each side of the centre that the kernel covers."""
        return self.ksize // 2

    @property
    def reach(self) -> int:
        """Return the rows on each side of a pixel that decide whether it is scored."""
        return max(self.radius, self.width if isinstance(self.width, int) else 0)

    @property
    def scale(self) -> float:
        """Return the factor on every squared difference."""
        return step_gain(self.ksize) ** -2 if self.by_step else 1.0


@dataclass(frozen=True)
class Band:
    """The pixels that are scored, N H W bool, and the classes to visit, for labels N H W."""

    labels: Tensor
    options: GradientOptions
    scored: Tensor
    classes: list[int]


def find_band(labels: Labels, classes: int, options: GradientOptions) -> Band:
    """Find the scored pixels and the classes present; the one place that waits for the device."""
    scored = valid = labels != ignore_index(classes)  # N H W bool
    if options.whole_window:
        scored = valid & ~spread(~valid, options.ksize // 2)
    if options.width == "all":
        return Band(labels, options, scored, list(range(classes)))
    pixels = torch.bincount(labels.long().where(valid, classes).flatten(), minlength=classes + 1)  # C+1
    present = pixels[:classes].nonzero().flatten().tolist()
    if options.width != "official":
        near = torch.zeros_like(labels, dtype=torch.int16)  # N H W: classes in the window
        for index in present:
            near += _near(labels, index, int(options.width))
        scored = scored & (near > 1)
    return Band(labels, options, scored, present)


def elements(band: Band, index: int) -> tuple[Tensor, Tensor]:
    """Return the pixels of a class that are scored in the direction x and in y, N H W bool each."""
    width = band.options.width
    if width == "all":
        return band.scored, band.scored
    if width != "official":
        near = band.scored & _near(band.labels, index, int(width))  # N H W bool
        return near, near
    weights, integer = integer_kernel(band.options.ksize)
    target = (band.labels == index).to(integer)  # N H W
    along_x, along_y = derivatives(pad(target, band.options.ksize // 2), weights)  # N H W
    return band.scored & (along_x != 0), band.scored & (along_y != 0)


@shared
def _near(labels: Tensor, index: int, reach: int) -> Tensor:
    """Return the pixels in whose window of this reach the class is labelled, N H W bool."""
    return spread(labels == index, reach)


def spread(mask: Tensor, reach: int) -> Tensor:
    """Return the pixels with a true pixel in the square window of this reach, clipped at the frame, N H W bool."""
    for axis, size in enumerate(mask.shape[1:], start=1):
        done, goal = 0, min(reach, size - 1)
        while done < goal:
            # a window of 2·done+1 is full, so that a step of one more leaves no gap
            step = min(2 * done + 1, goal - done)
            near, far = mask.narrow(axis, 0, size - step), mask.narrow(axis, step, size - step)
            mask = mask.clone()
            mask.narrow(axis, step, size - step).logical_or_(near)
            mask.narrow(axis, 0, size - step).logical_or_(far)
            done += step
    return mask
