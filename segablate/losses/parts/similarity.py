"""The value of SSL and its gradient: a strip of rows at a time and in it a few classes, so that maps stay in the cache.

A first pass computes the errors, because their maximum decides which of them count; the gradient then overwrites them.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.losses.parts.binary import Binary
from segablate.losses.parts.shapes import Labels, Logits
from segablate.losses.parts.strips import chunks, grown, inside, strips
from segablate.losses.parts.structure import SimilarityOptions, Strip

_SAME = 1e-12
"""An error below this is rounding and counts as none."""


class Similarity(torch.autograd.Function):
    """(logits, labels, options, differentiable) -> value, 0-dim; Σ f e H and Σ f, C each; largest e.

    All but the value are detached. The gradient is computed with the value, up to the factor 1/M.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Logits, labels: Labels, options: SimilarityOptions, differentiable: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        errors, largest = _errors(logits, labels, options)  # N C H W, N C
        floors = _floors(largest, options)  # N C
        totals = logits.new_zeros(2, logits.shape[1], dtype=torch.float64)  # 2 C: weighted and selected
        score = _differentiate if differentiable else _score
        for image, floor in enumerate(floors):
            totals += score(logits[image], labels[image], errors[image], floor, options)
        count = totals[1].sum().clamp(min=1)
        ctx.save_for_backward(errors if differentiable else None, count)
        results = (totals[0].sum() / count).to(logits.dtype), totals[0], totals[1].long(), largest.amax().double()
        ctx.mark_non_differentiable(*results[1:])
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient, count = ctx.saved_tensors
        return gradient * (upstream[0] / count), None, None, None


def _errors(logits: Tensor, labels: Tensor, options: SimilarityOptions) -> tuple[Tensor, Tensor]:
    """Return probability minus label, both normalised, N C H W, 0 at void; and the largest of each plane, N C."""
    errors = torch.empty_like(logits, memory_format=torch.contiguous_format)
    largest = logits.new_zeros(logits.shape[:2])
    for image, maps in enumerate(logits):
        for rows in strips(maps, options.reach, size=8):
            strip = Strip(maps, labels[image], rows, options)
            for classes in chunks(maps, rows, size=8):
                error = strip.errors(classes)  # k R W
                errors[image, classes, rows] = error
                greatest = torch.maximum(error.amax((1, 2)), -error.amin((1, 2)))  # k
                largest[image, classes] = torch.maximum(largest[image, classes], greatest)
    return errors, largest


def _floors(largest: Tensor, options: SimilarityOptions) -> Tensor:
    """Return what an error of each plane must exceed to count, N C."""
    axes = {"plane": (), "image": (1,), "batch": (0, 1)}[options.scope]
    in_scope = largest.amax(axes, keepdim=True).expand_as(largest) if axes else largest
    return (options.beta * in_scope).clamp(min=_SAME)


def _score(maps: Tensor, labels: Tensor, errors: Tensor, floors: Tensor, options: SimilarityOptions) -> Tensor:
    """Return Σ f e H and Σ f of each class of one image, 2 C, from its logits and errors, C H W."""
    totals = errors.new_zeros(2, len(maps), dtype=torch.float64)
    for rows in strips(maps, options.reach, size=8):
        strip = Strip(maps, labels, rows, options)
        for classes in chunks(maps, rows, size=8):
            totals[:, classes] += Selection(strip, classes, errors[classes, rows], floors).sums(slice(None))
    return totals


def _differentiate(maps: Tensor, labels: Tensor, errors: Tensor, floors: Tensor, options: SimilarityOptions) -> Tensor:
    """Return the same, and write the gradient at the logits over the errors."""
    totals = errors.new_zeros(2, len(maps), dtype=torch.float64)
    reach = 0 if options.detach else options.reach
    above = errors[:, :0]  # C r W: errors of the rows above the strip, which are overwritten by now
    for rows in strips(maps, options.reach, size=8):
        middle = grown(rows, reach, maps.shape[1])
        strip, inner = Strip(maps, labels, middle, options), inside(rows, middle)
        around = torch.cat([above, errors[:, rows.start : middle.stop]], 1)  # C R W
        above = around[:, inside(grown(slice(rows.stop, rows.stop), reach, rows.stop), middle)]
        binary = strip.binary.cut(inner)
        for classes in chunks(maps, rows, size=8):
            selection = Selection(strip, classes, around[classes], floors)
            totals[:, classes] += selection.sums(inner)
            errors[classes, rows] = selection.gradient(binary, inner)
        binary.finish(errors[:, rows], chunks(maps, rows, size=8))
    return totals


class Selection:
    """The errors e (k R W) of a few classes in a strip, with those that count and what they weigh."""

    def __init__(self, strip: Strip, classes: slice, error: Tensor, floors: Tensor) -> None:
        self.strip, self.classes, self.error = strip, classes, error
        size = error.abs()
        # masks are numbers: those multiply faster than booleans select
        self.kept = torch.gt(size, floors[classes].view(-1, 1, 1), out=torch.empty_like(size))
        self.weight = size.mul_(self.kept)
        self.target = strip.targets(classes)
        self.entropy = strip.binary.entropy(classes, self.target)

    def sums(self, rows: slice) -> Tensor:
        """Return Σ f e H and Σ f over these rows, 2 k."""
        terms = (self.entropy * self.weight)[:, rows], self.kept[:, rows]
        return torch.stack([each.sum((1, 2)) for each in terms]).double()

    def gradient(self, binary: Binary, rows: slice) -> Tensor:
        """Return these classes' share of the gradient in these rows, whose probabilities are given."""
        slope = None
        if not self.strip.options.detach:
            at_structure = self.error.sign().mul_(self.entropy).mul_(self.kept)
            slope = self.strip.through_structure(at_structure, self.strip.predicted(self.classes))[:, rows]
            slope = slope.to(self.error.dtype).mul_(self.strip.valid[rows])
        return binary.collect(self.classes, self.target[:, rows], self.weight[:, rows], slope)
