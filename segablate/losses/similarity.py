"""The terms of SSL and their gradient, a few classes at a time.

Everything is reckoned in float64: a variance as the difference of two means loses what float32 has, and whether a pixel
is above the threshold should not depend on rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.losses.binary import Binary, Logistic, Softmax
from segablate.losses.gaussian import blurred, taps
from segablate.losses.shapes import IGNORE, Labels, Logits

_VALUES = 1 << 20
"""Pixels times classes that are worked on at once: a bound on memory."""

_FLAT = 1e-14
"""A variance below this share of the mean square is rounding: the window is flat."""

_SAME = 1e-12
"""An error below this is rounding: there is none."""


@dataclass(frozen=True)
class Setting:
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
    """(logits, labels, setting, whether a gradient will be wanted) -> value, 0-dim; Σ f e H and Σ f, C each; largest e.

    All but the value are detached. The gradient is found with the value, up to the factor 1/M.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Logits, labels: Labels, setting: Setting, differentiable: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scene = Scene(logits, labels, setting)
        binary = Softmax(logits) if setting.softmax else Logistic(logits)
        largest = scene.largest_errors(binary)
        weighted = logits.new_zeros(logits.shape[1], dtype=torch.float64)
        selected = torch.zeros_like(weighted, dtype=torch.int64)
        gradient = torch.zeros_like(logits, memory_format=torch.contiguous_format) if differentiable else None
        for classes in scene.chunks():
            target, probability = scene.target(classes), binary.probability(classes)
            wanted, found = scene.structures(target, probability)
            error = (wanted.normalised - found.normalised).where(scene.valid, 0)
            kept = error.abs() > (setting.beta * largest[:, classes]).clamp(min=_SAME)
            entropy = binary.entropy(classes, target).where(kept, 0)
            weight = error.abs().where(kept, 0)
            weighted[classes] = (entropy * weight).sum((0, 2, 3))
            selected[classes] = kept.sum((0, 2, 3))
            if gradient is None:
                continue
            slope = torch.zeros_like(probability)
            if not setting.detach:
                slope = scene.through_structure(-error.sign() * entropy, found, probability)
            gradient[:, classes] = binary.collect(classes, target, weight, slope).to(logits.dtype)
        if gradient is not None:
            binary.finish(gradient, scene.chunks())
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


class Scene:
    """What is the same for every class: the valid pixels and the windows over them."""

    def __init__(self, logits: Logits, labels: Labels, setting: Setting) -> None:
        self.labels, self.setting, self.classes = labels.unsqueeze(1), setting, logits.shape[1]
        self.valid = self.labels != IGNORE  # N 1 H W
        self.taps = taps(setting.window, setting.sigma)

    @cached_property
    def mass(self) -> Tensor | float:
        """The weights of the valid pixels in each window, N 1 H W; 1 where there are none, and without rescaling."""
        if not self.setting.renormalise:
            return 1.0
        mass = blurred(self.valid.double(), self.taps)
        return mass.where(mass > 0, 1)

    def chunks(self) -> Iterator[slice]:
        length = max(_VALUES // max(self.labels.numel(), 1), 1)
        yield from (slice(start, min(start + length, self.classes)) for start in range(0, self.classes, length))

    def target(self, classes: slice) -> Tensor:
        """The labels of these classes as 0 and 1, N k H W."""
        index = torch.arange(classes.start, classes.stop, device=self.labels.device).view(1, -1, 1, 1)
        return (self.labels == index).double()

    def structures(self, target: Tensor, probability: Tensor) -> tuple[Structure, Structure]:
        """Of the labels and of the probabilities; the labels are their own squares."""
        mean = self._mean(target)
        inside = probability * self.valid
        return self._structure(target, mean, mean), self._structure(inside, self._mean(inside), self._mean(inside**2))

    def largest_errors(self, binary: Binary) -> Tensor:
        """The greatest error in the scope of the threshold, spread over images and classes: N C 1 1."""
        each = []
        for classes in self.chunks():
            wanted, found = self.structures(self.target(classes), binary.probability(classes))
            each.append((wanted.normalised - found.normalised).abs().where(self.valid, 0).amax((2, 3), keepdim=True))
        by_plane = torch.cat(each, 1)
        axes = {"plane": (), "image": (1,), "batch": (0, 1)}[self.setting.scope]
        return by_plane.amax(axes, keepdim=True).expand_as(by_plane) if axes else by_plane

    def through_structure(self, slope: Tensor, found: Structure, probability: Tensor) -> Tensor:
        """The gradient at the probabilities from that at their normalised values, N k H W.

        Centre, mean and variance take their parts, the latter two by way of the window.
        """
        at_centre = slope / (found.deviation + self.setting.c4)
        at_deviation = -at_centre * found.normalised
        flat = found.deviation == 0
        at_variance = (at_deviation / (2 * found.deviation)).where(~flat, 0)
        at_mean = -at_centre - 2 * found.mean * at_variance
        by_mean, by_square = (blurred(part / self.mass, self.taps) for part in (at_mean, at_variance))
        return (at_centre + by_mean + 2 * probability * by_square) * self.valid

    def _mean(self, maps: Tensor) -> Tensor:
        return blurred(maps, self.taps) / self.mass

    def _structure(self, maps: Tensor, mean: Tensor, square: Tensor) -> Structure:
        variance = square - mean**2
        deviation = variance.where(variance > _FLAT * square, 0).sqrt()
        return Structure((maps - mean + self.setting.c4) / (deviation + self.setting.c4), mean, deviation)
