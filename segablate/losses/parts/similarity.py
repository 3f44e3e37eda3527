"""The terms of SSL and their gradient, a few classes at a time.

Everything is reckoned in float64: a variance as the difference of two means loses what float32 has, and whether a pixel
is above the threshold should not depend on rounding.
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
"""Pixels times classes that are worked on at once: a bound on memory."""

_FLAT = 1e-14
"""A variance below this share of the mean square is rounding: the window is flat."""

_SAME = 1e-12
"""An error below this is rounding: there is none."""


@dataclass(frozen=True)
class SimilarityOptions:
    """The knobs of ``ssl``, its two-way choices as such."""

    window: int
    sigma: float
    c4: float
    beta: float
    softmax: bool
    renormalise: bool
    scope: str
    detach: bool


class Structure(NamedTuple):
    """Maps of a few classes N k H W: the normalised values, and what they were made with (0 deviation: flat)."""

    normalised: Tensor
    mean: Tensor
    deviation: Tensor


class Similarity(torch.autograd.Function):
    """(logits, labels, options, whether a gradient will be wanted) -> value, 0-dim; Σ f e H and Σ f, C each; largest e.

    All but the value are detached. The gradient is found with the value, up to the factor 1/M.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Logits, labels: Labels, options: SimilarityOptions, differentiable: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        windows = Windows(logits, labels, options)
        binary = Softmax(logits) if options.softmax else Logistic(logits)
        errors, largest = windows.errors(binary)
        weighted = logits.new_zeros(logits.shape[1], dtype=torch.float64)
        selected = torch.zeros_like(weighted, dtype=torch.int64)
        for classes in windows.chunks():
            target, error = windows.target(classes), errors[:, classes].double()
            kept = error.abs() > (options.beta * largest[:, classes]).clamp(min=_SAME)
            entropy = binary.entropy(classes, target).where(kept, 0)
            weight = error.abs().where(kept, 0)
            weighted[classes] = (entropy * weight).sum((0, 2, 3))
            selected[classes] = kept.sum((0, 2, 3))
            if not differentiable:
                continue
            slope = torch.zeros_like(error)
            if not options.detach:
                slope = windows.through_structure(-error.sign() * entropy, binary, classes)
            errors[:, classes] = binary.collect(classes, target, weight, slope)
        gradient = errors if differentiable else None  # each class's errors have made room for its gradient
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
    """What is the same for every class: the valid pixels and the windows over them.

    All N 1 H W: `valid`; `mass`, what sums over a window are divided by; `outside`, the weights of those of its pixels
    that count as 0.
    """

    def __init__(self, logits: Logits, labels: Labels, options: SimilarityOptions) -> None:
        self.labels, self.options, self.classes = labels.unsqueeze(1), options, logits.shape[1]
        self.valid = self.labels != IGNORE  # N 1 H W
        self.taps = taps(options.window, options.sigma)

        covered = blurred(self.valid.double(), self.taps)  # weights of the valid pixels in each window
        if options.renormalise:
            self.mass, self.outside = covered.where(covered > 0, 1), torch.zeros_like(covered)
        else:
            self.mass, self.outside = torch.ones_like(covered), (1 - covered).where(covered < 1 - _SAME, 0)

    def chunks(self) -> Iterator[slice]:
        length = max(_VALUES // max(self.labels.numel(), 1), 1)
        yield from (slice(start, min(start + length, self.classes)) for start in range(0, self.classes, length))

    def target(self, classes: slice) -> Tensor:
        """The labels of these classes as 0 and 1, N k H W."""
        index = torch.arange(classes.start, classes.stop, device=self.labels.device).view(1, -1, 1, 1)
        return (self.labels == index).double()

    def errors(self, binary: Binary) -> tuple[Tensor, Tensor]:
        """Labels' normalised values minus the probabilities', N C H W, 0 at void; the greatest in scope, N C 1 1."""
        errors, each = torch.empty_like(binary.logits, memory_format=torch.contiguous_format), []
        for classes in self.chunks():
            target = self.target(classes)
            mean = blurred(target, self.taps) / self.mass
            wanted = self._structure(target, mean, self._spread(mean, mean))
            found = self._structure_of_probabilities(binary, classes)
            error = (wanted.normalised - found.normalised).where(self.valid, 0)
            each.append(error.abs().amax((2, 3), keepdim=True))
            errors[:, classes] = error
        by_plane = torch.cat(each, 1)
        axes = {"plane": (), "image": (1,), "batch": (0, 1)}[self.options.scope]
        return errors, by_plane.amax(axes, keepdim=True).expand_as(by_plane) if axes else by_plane

    def through_structure(self, slope: Tensor, binary: Binary, classes: slice) -> Tensor:
        """The gradient at the probabilities from that at their normalised values, N k H W.

        Centre, mean and variance take their parts, the latter two by way of the window.
        """
        found = self._structure_of_probabilities(binary, classes)
        at_centre = slope / (found.deviation + self.options.c4)
        at_deviation = -at_centre * found.normalised
        at_variance = (at_deviation / (2 * found.deviation)).where(found.deviation > 0, 0)
        at_mean = -at_centre - 2 * found.mean * at_variance
        by_mean, by_square = (blurred(part / self.mass, self.taps) for part in (at_mean, at_variance))
        return (at_centre + by_mean + 2 * binary.probability(classes) * by_square) * self.valid

    def _structure_of_probabilities(self, binary: Binary, classes: slice) -> Structure:
        """From p where it is small and from 1 - p where that is: in a window where p is almost 1 throughout, the
        difference of its means would be rounding."""
        inside, rest = binary.probability(classes) * self.valid, binary.complement(classes) * self.valid
        mean, mean_rest, square, square_rest = (
            blurred(maps, self.taps) / self.mass for maps in (inside, rest, inside**2, rest**2)
        )
        outside = self.outside  # weights of zeros, of which neither p nor 1 - p is made
        of_rest = self._spread(mean_rest, square_rest) + outside * (1 - outside - 2 * mean_rest)
        return self._structure(inside, mean, of_rest.where(mean > 0.5, self._spread(mean, square)))

    def _spread(self, mean: Tensor, square: Tensor) -> Tensor:
        """The variance; 0 where it is rounding."""
        variance = square - mean**2
        return variance.where(variance > _FLAT * square, 0)

    def _structure(self, maps: Tensor, mean: Tensor, variance: Tensor) -> Structure:
        deviation = variance.sqrt()
        return Structure((maps - mean + self.options.c4) / (deviation + self.options.c4), mean, deviation)
