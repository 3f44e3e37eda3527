"""Convolution-based probability gradient loss."""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.losses.parts.shapes import IGNORE, Labels, Logits
from segablate.losses.parts.sharing import shared
from segablate.losses.parts.sobel import derivatives, integer_kernel, kernel, pad, pulled_back, step_gain
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Choice, Range


@loss(
    paper="Shan and Jia, Convolution-based Probability Gradient Loss for Semantic Segmentation, arXiv:2404.06704",
    objective="ce + cpg",
    exceptions={"void": "predictions under void enter the windows of their neighbours, as in the authors' code"},
    incomparable={
        "ksize": "the value grows with the kernel unless normalise=step, and width=official widens with it",
        "width": "another width scores other elements",
        "normalise": "the value is divided by the kernel's gain",
    },
)
def cpg(
    logits: Logits,
    labels: Labels,
    *,
    ksize: Annotated[int, Range(3, 15, grid=(3, 5, 7), odd=True, help="side of the derivative kernel, in pixels")] = 3,
    width: Annotated[
        int | str,
        Range(
            1,
            1024,
            grid=("official", 1, 2, 3, "all"),
            words=("official", "all"),
            help="what is scored: where the label derivative is not 0, a band of so many pixels either side, or all",
        ),
    ] = "official",
    normalise: Annotated[str, Choice("none", "step", help="step: errors are divided by the answer to a step")] = "none",
    void: Annotated[str, Choice("centre", "window", help="which pixel of a window must not be void")] = "centre",
) -> Parts:
    """Squared difference between the spatial derivatives of probability and label maps, near boundaries.

    Formula:
        L = (1/|B|) Σ_{(n,c,a,i)∈B} [K_a ⋆ (p_c - y_c)]²,    K_x[dy, dx] = dx / (dx² + dy²),    K_y = K_xᵀ

        p is the softmax, y the one-hot label (0 where void), a one of the directions x and y, ⋆ cross-correlation with
        the frame repeated. With width=official, B holds the elements (image, class, direction, pixel) whose pixel is
        not void and where K_a ⋆ y_c is not 0. With a number w it holds, in both directions, the labelled pixels whose
        (2w+1)² window shows at least two classes, for each class it shows; with width=all every labelled pixel and
        class. With void=window elements whose ksize² window holds a void pixel are left out. With normalise=step the
        squares are divided by that of the answer to a step of height 1 (2, 4.2 and 6.44 for ksize 3, 5 and 7), without
        which values cannot be compared between kernels. 0 is perfect, and so is an image without boundary.

    Parts:
        per_class is the mean over the elements of each class; the sums squares and elements give it over images. The
        fact share is that of all labelled pixels, classes and directions which is in B.

    Differs from the authors' code:
        Where the label derivative is 0 is decided in integers. Theirs compares floating-point sums with 0, which adds
        up to twice the elements for kernels of 5 and 7. A batch without boundary gives 0 instead of nan. The weight of
        the term beside cross entropy is this program's choice; neither paper nor code tells it.
    """
    options = GradientOptions(ksize, width, normalise == "step", void == "window")
    wanted = torch.is_grad_enabled() and logits.requires_grad
    value, squares, elements = _Gradients.apply(logits, labels, options, wanted)  # type: ignore[misc]
    scored = elements.sum()
    possible = 2 * logits.shape[1] * (labels != IGNORE).sum()
    return Parts(
        value,
        scored > 0,
        per_class=squares / elements.where(elements > 0, torch.nan),
        sums={"squares": squares, "elements": elements},
        facts={"share": scored / possible.clamp(min=1)},
    )


@dataclass(frozen=True)
class GradientOptions:
    """The knobs of ``cpg``, its switches as such."""

    ksize: int
    width: int | str
    by_step: bool
    whole_window: bool

    @property
    def scale(self) -> float:
        """The factor on every squared difference."""
        return step_gain(self.ksize) ** -2 if self.by_step else 1.0


class _Gradients(torch.autograd.Function):
    """(logits, labels, options, whether a gradient will be wanted) -> value, and detached squares and elements, C each.

    One class at a time; the gradient at the logits is found with the value, up to the factor that the number of
    elements gives.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Logits, labels: Labels, options: GradientOptions, differentiable: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        probabilities = _softmax(logits)
        band = _find_band(labels, logits.shape[1], options)
        weights = kernel(options.ksize)
        gradient = torch.zeros_like(probabilities) if differentiable else None
        squares = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device)
        elements = torch.zeros_like(squares, dtype=torch.int64)
        for index in band.classes:
            in_x, in_y = _elements(band, index)
            elements[index] = in_x.count_nonzero() + in_y.count_nonzero()
            if gradient is None:
                squares[index] = _squares(probabilities, labels, index, options.ksize, in_x, in_y)
                continue
            error_x, error_y = _errors(probabilities, labels, index, options.ksize)
            error_x, error_y = error_x * in_x, error_y * in_y
            squares[index] = error_x.square().sum() + error_y.square().sum()
            gradient[:, index] = pulled_back(error_x, error_y, weights)
        if gradient is not None:
            inner = torch.zeros_like(gradient[:, 0])
            for index in band.classes:
                inner.addcmul_(probabilities[:, index], gradient[:, index])
            gradient.sub_(inner.unsqueeze(1)).mul_(probabilities)
        squares *= options.scale
        count = elements.sum().clamp(min=1)
        ctx.save_for_backward(gradient, count)
        ctx.options = options
        ctx.mark_non_differentiable(squares, elements)
        return (squares.sum() / count).to(logits.dtype), squares, elements

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient, count = ctx.saved_tensors
        factor = 2 * ctx.options.scale * upstream[0] / count
        return gradient * factor.to(gradient.dtype), None, None, None


@dataclass(frozen=True)
class Band:
    """Where anything is scored: ``scored`` pixels N H W, and the classes to go through."""

    labels: Tensor
    options: GradientOptions
    scored: Tensor
    classes: list[int]


def _find_band(labels: Labels, classes: int, options: GradientOptions) -> Band:
    """The one place that waits for the device: for the classes that are there."""
    scored = valid = labels != IGNORE
    if options.whole_window:
        scored = valid & ~_spread(~valid, options.ksize // 2)
    if options.width == "all":
        return Band(labels, options, scored, list(range(classes)))
    pixels = torch.bincount(labels.long().where(valid, classes).flatten(), minlength=classes + 1)
    present = pixels[:classes].nonzero().flatten().tolist()
    if options.width != "official":
        near = torch.zeros_like(labels, dtype=torch.int16)
        for index in present:
            near += _near(labels, index, int(options.width))
        scored = scored & (near > 1)
    return Band(labels, options, scored, present)


def _elements(band: Band, index: int) -> tuple[Tensor, Tensor]:
    """Which pixels of a class are scored in the direction x and which in y, N H W."""
    width = band.options.width
    if width == "all":
        return band.scored, band.scored
    if width != "official":
        near = band.scored & _near(band.labels, index, int(width))
        return near, near
    weights, integer = integer_kernel(band.options.ksize)
    target = (band.labels == index).to(integer)
    along_x, along_y = derivatives(pad(target, band.options.ksize // 2), weights)
    return band.scored & (along_x != 0), band.scored & (along_y != 0)


@shared
def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(1)


@shared
def _errors(probabilities: Tensor, labels: Tensor, index: int, ksize: int) -> tuple[Tensor, Tensor]:
    """The derivatives of probability less label of one class in the directions x and y, N H W."""
    difference = probabilities[:, index] - (labels == index).to(probabilities.dtype)
    along_x, along_y = derivatives(pad(difference, ksize // 2), kernel(ksize))
    return along_x, along_y


def _squares(probabilities: Tensor, labels: Tensor, index: int, ksize: int, in_x: Tensor, in_y: Tensor) -> Tensor:
    """The sum of squared errors of one class over the pixels scored in each direction."""
    if in_x is in_y:
        return (_both_squared(probabilities, labels, index, ksize) * in_x).sum()
    along_x, along_y = _errors(probabilities, labels, index, ksize)
    return (along_x * in_x).square().sum() + (along_y * in_y).square().sum()


@shared
def _both_squared(probabilities: Tensor, labels: Tensor, index: int, ksize: int) -> Tensor:
    along_x, along_y = _errors(probabilities, labels, index, ksize)
    return along_x.square() + along_y.square()


@shared
def _near(labels: Tensor, index: int, reach: int) -> Tensor:
    """Pixels in whose window of this reach the class is labelled, N H W."""
    return _spread(labels == index, reach)


def _spread(mask: Tensor, reach: int) -> Tensor:
    """Pixels with a true one in the square window of this reach around them, clipped at the frame."""
    for axis, size in enumerate(mask.shape[1:], start=1):
        done, wanted = 0, min(reach, size - 1)
        while done < wanted:
            # a window of 2·done+1 is full, so that a step of one more leaves no gap
            step = min(2 * done + 1, wanted - done)
            near, far = mask.narrow(axis, 0, size - step), mask.narrow(axis, step, size - step)
            mask = mask.clone()
            mask.narrow(axis, step, size - step).logical_or_(near)
            mask.narrow(axis, 0, size - step).logical_or_(far)
            done += step
    return mask
