"""The formulas of SSL and their gradient, a few classes at a time.

Everything is computed in float64: a variance as the difference of two means loses the digits of float32, and whether a
pixel is above the threshold should not depend on rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.losses.parts.binary import Binary, Logistic, Softmax
from segablate.losses.parts.gaussian import blurred, taps
from segablate.losses.parts.shapes import IGNORE, Labels, Logits

_VALUES = 1 << 20
"""Pixels times classes that are processed at once: a bound on memory."""

_FLAT = 1e-14
"""A variance below this share of the mean square is rounding: the window is flat."""

_SAME = 1e-12
"""An error below this is rounding and counts as none."""


@dataclass(frozen=True)
class SimilarityOptions:
    """Hyperparameters of ``ssl``, its two-way choices as booleans."""

    window: int
    sigma: float
    c4: float
    beta: float
    softmax: bool
    renormalise: bool
    scope: str
    detach: bool


class Structure(NamedTuple):
    """Normalised values of a few classes with the mean and deviation they are made with, N k H W; 0 deviation: flat."""

    normalised: Tensor
    mean: Tensor
    deviation: Tensor


class Similarity(torch.autograd.Function):
    """(logits, labels, options, differentiable) -> value, 0-dim; Σ f e H and Σ f, C each; largest e.

    All but the value are detached. The gradient is computed with the value, up to the factor 1/M.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Logits, labels: Labels, options: SimilarityOptions, differentiable: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        windows = Windows(logits, labels, options)
        binary = Softmax(logits) if options.softmax else Logistic(logits)
        errors, largest = windows.errors(binary)  # N C H W, N C 1 1
        weighted = logits.new_zeros(logits.shape[1], dtype=torch.float64)  # C
        selected = torch.zeros_like(weighted, dtype=torch.int64)  # C
        for classes in windows.chunks():
            target, error = windows.target(classes), errors[:, classes].double()  # N k H W
            kept = error.abs() > (options.beta * largest[:, classes]).clamp(min=_SAME)  # N k H W
            entropy = binary.entropy(classes, target).where(kept, 0)  # N k H W
            weight = error.abs().where(kept, 0)  # N k H W
            weighted[classes] = (entropy * weight).sum((0, 2, 3))
            selected[classes] = kept.sum((0, 2, 3))
            if not differentiable:
                continue
            slope = torch.zeros_like(error)  # N k H W
            if not options.detach:
                slope = windows.through_structure(-error.sign() * entropy, binary, classes)
            errors[:, classes] = binary.collect(classes, target, weight, slope)
        gradient = (
            errors if differentiable else None
        )  # N C H W: the errors of each class are overwritten by its gradient
        if gradient is not None:
            binary.finish(gradient, windows.chunks())
        count = selected.sum().clamp(min=1)
        ctx.save_for_backward(gradient, count)
        greatest = largest.amax()
        ctx.mark_non_differentiable(weighted, selected, greatest)
        return (weighted.sum() / count).to(logits.dtype), weighted, selected, greatest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient, count = ctx.saved_tensors
        return gradient * (upstream[0] / count), None, None, None


class Windows:
    """The valid pixels and the windows over them, which are the same for every class.

    All N 1 H W: `valid`; `mass`, the divisor of sums over a window; `outside`, the weight of the pixels in the window
    that count as 0.
    """

    def __init__(self, logits: Logits, labels: Labels, options: SimilarityOptions) -> None:
        self.labels, self.options, self.classes = labels.unsqueeze(1), options, logits.shape[1]
        self.valid = self.labels != IGNORE  # N 1 H W
        self.taps = taps(options.window, options.sigma)

        covered = blurred(self.valid.double(), self.taps)  # N 1 H W: weight of the valid pixels in each window
        if options.renormalise:
            self.mass, self.outside = covered.where(covered > 0, 1), torch.zeros_like(covered)
        else:
            self.mass, self.outside = torch.ones_like(covered), (1 - covered).where(covered < 1 - _SAME, 0)

    def chunks(self) -> Iterator[slice]:
        length = max(_VALUES // max(self.labels.numel(), 1), 1)
        yield from (slice(start, min(start + length, self.classes)) for start in range(0, self.classes, length))

    def target(self, classes: slice) -> Tensor:
        """Return the labels of these classes as 0 and 1, N k H W."""
        index = torch.arange(classes.start, classes.stop, device=self.labels.device).view(1, -1, 1, 1)
        return (self.labels == index).double()

    def errors(self, binary: Binary) -> tuple[Tensor, Tensor]:
        """Return label minus probability, both normalised, N C H W, 0 at void; and the largest in scope, N C 1 1."""
        errors, each = torch.empty_like(binary.logits, memory_format=torch.contiguous_format), []
        for classes in self.chunks():
            target = self.target(classes)
            mean = blurred(target, self.taps) / self.mass  # N k H W
            of_target = self._structure(target, mean, self._variance(mean, mean))
            predicted = self._structure_of_probabilities(binary, classes)
            error = (of_target.normalised - predicted.normalised).where(self.valid, 0)  # N k H W
            each.append(error.abs().amax((2, 3), keepdim=True))
            errors[:, classes] = error
        by_plane = torch.cat(each, 1)  # N C 1 1
        axes = {"plane": (), "image": (1,), "batch": (0, 1)}[self.options.scope]
        return errors, by_plane.amax(axes, keepdim=True).expand_as(by_plane) if axes else by_plane

    def through_structure(self, slope: Tensor, binary: Binary, classes: slice) -> Tensor:
        """Return the gradient at the probabilities from that at their normalised values, N k H W.

        It is the sum over centre, mean and variance, the latter two through the window.
        """
        structure = self._structure_of_probabilities(binary, classes)
        at_centre = slope / (structure.deviation + self.options.c4)
        at_deviation = -at_centre * structure.normalised
        at_variance = (at_deviation / (2 * structure.deviation)).where(structure.deviation > 0, 0)
        at_mean = -at_centre - 2 * structure.mean * at_variance
        by_mean, by_square = (blurred(part / self.mass, self.taps) for part in (at_mean, at_variance))
        return (at_centre + by_mean + 2 * binary.probability(classes) * by_square) * self.valid

    def _structure_of_probabilities(self, binary: Binary, classes: slice) -> Structure:
        """Compute the structure from p where the mean is small, else from 1 - p.

        In a window where p is almost 1 throughout, the difference of its means would be rounding.
        """
        inside, rest = binary.probability(classes) * self.valid, binary.complement(classes) * self.valid
        mean, mean_rest, square, square_rest = (
            blurred(maps, self.taps) / self.mass for maps in (inside, rest, inside**2, rest**2)
        )
        outside = self.outside  # N 1 H W: weight of zeros, of which neither p nor 1 - p is made
        of_rest = self._variance(mean_rest, square_rest) + outside * (1 - outside - 2 * mean_rest)
        return self._structure(inside, mean, of_rest.where(mean > 0.5, self._variance(mean, square)))

    def _variance(self, mean: Tensor, square: Tensor) -> Tensor:
        """Return the variance; 0 where it is rounding."""
        variance = square - mean**2
        return variance.where(variance > _FLAT * square, 0)

    def _structure(self, maps: Tensor, mean: Tensor, variance: Tensor) -> Structure:
        deviation = variance.sqrt()
        return Structure((maps - mean + self.options.c4) / (deviation + self.options.c4), mean, deviation)
