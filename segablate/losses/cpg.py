"""Convolution-based probability gradient loss."""

from typing import Annotated, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.losses.parts.band import GradientOptions, elements, find_band
from segablate.losses.parts.derivative_strips import squared_errors
from segablate.losses.parts.shapes import Labels, Logits, narrow, void_of
from segablate.losses.parts.sharing import alone, is_sharing, shared
from segablate.losses.parts.sobel import derivatives, kernel, pad
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
    opaque=True,
    bounds=(0, None),
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
            help="scored pixels: where the label derivative is not 0, within N pixels of a boundary, or all",
        ),
    ] = "official",
    normalise: Annotated[
        str, Choice("none", "step", help="step: divide errors by the kernel's response to a unit step")
    ] = "none",
    void: Annotated[
        str, Choice("centre", "window", help="pixels that must not be void: the centre of the window, or all of it")
    ] = "centre",
) -> Parts:
    """Squared difference between the spatial derivatives of probability and label maps, near boundaries.

    Formula:
        L = (1/|B|) Σ_{(n,c,a,i)∈B} [K_a ⋆ (p_c - y_c)]²,    K_x[dy, dx] = dx / (dx² + dy²),    K_y = K_xᵀ

        p is the softmax, y the one-hot label (0 where void), a one of the directions x and y, ⋆ cross-correlation with
        the frame repeated. With width=official, B holds the elements (image, class, direction, pixel) whose pixel is
        not void and where K_a ⋆ y_c is not 0. With a number w it holds, in both directions, the labelled pixels whose
        (2w+1)² window shows at least two classes, for each class it shows; with width=all every labelled pixel and
        class. With void=window elements whose ksize² window holds a void pixel are left out. With normalise=step the
        squares are divided by that of the response to a unit step (2, 4.2 and 6.44 for ksize 3, 5 and 7), without
        which values cannot be compared between kernels. 0 is perfect, and so is an image without boundary.

    Parts:
        per_class is the mean over the elements of each class; the sums squares and elements give it over images. The
        fact share is the share of all labelled pixels, classes and directions that is in B.

    Differs from the authors' code:
        Where the label derivative is 0 is decided in integers. Theirs compares floating-point sums with 0, which for
        kernels of 5 and 7 are not 0 in flat regions: on CamVid it scores 6 and 4 times as many elements, most of them
        far from boundaries. A batch without boundary is 0 instead of nan. The weight of the term beside cross entropy
        is this program's choice; neither paper nor code states it.
    """
    options = GradientOptions(ksize, width, normalise == "step", void == "window")
    differentiable = torch.is_grad_enabled() and logits.requires_grad
    value, squares, elements = _Gradients.apply(logits, labels, options, differentiable)  # type: ignore[misc]
    scored = elements.sum()
    possible = 2 * logits.shape[1] * (labels != void_of(logits)).sum()
    return Parts(
        value,
        scored > 0,
        per_class=squares / elements.where(elements > 0, torch.nan),
        sums={"squares": squares, "elements": elements},
        facts={"share": scored / possible.clamp(min=1)},
    )


class _Gradients(torch.autograd.Function):
    """(logits, labels, options, differentiable) -> value, and detached squares and elements, C each.

    The gradient at the logits is computed with the value, up to the division by the number of elements; it is left out
    unless ``differentiable``.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Logits, labels: Labels, options: GradientOptions, differentiable: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        gradient = torch.empty_like(logits, memory_format=torch.contiguous_format) if differentiable else None
        if gradient is None and is_sharing():
            squares, counts = _whole_maps(logits, labels, options)
        else:
            squares, counts = _in_strips(logits, labels, options, gradient)
        squares *= options.scale
        count = counts.sum().clamp(min=1)
        ctx.save_for_backward(gradient, count)
        ctx.options = options
        ctx.mark_non_differentiable(squares, counts)
        return (squares.sum() / count).to(logits.dtype), squares, counts

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient, count = ctx.saved_tensors
        factor = 2 * ctx.options.scale * upstream[0] / count
        return gradient * factor.to(gradient.dtype), None, None, None


def _in_strips(
    logits: Tensor, labels: Tensor, options: GradientOptions, gradient: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return squares and elements, C each, and write half the gradient of the squares, N C H W."""
    labels = narrow(labels, logits.shape[1])
    with alone():
        sums = [
            squared_errors(maps, labels[image], options, None if gradient is None else gradient[image])
            for image, maps in enumerate(logits)
        ]
    squares, counts = (torch.stack(each).sum(0) for each in zip(*sums, strict=True))
    return squares, counts.long()


def _whole_maps(logits: Tensor, labels: Tensor, options: GradientOptions) -> tuple[Tensor, Tensor]:
    """Return the same, by steps over whole maps, which settings share."""
    probabilities = _softmax(logits)  # N C H W
    band = find_band(labels, logits.shape[1], options)
    squares = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device)  # C
    counts = torch.zeros_like(squares, dtype=torch.int64)  # C
    for index in band.classes:
        in_x, in_y = elements(band, index)  # N H W bool
        counts[index] = in_x.count_nonzero() + in_y.count_nonzero()
        squares[index] = _squares(probabilities, labels, index, options.ksize, in_x, in_y)
    return squares, counts


@shared
def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(1)


@shared
def _errors(probabilities: Tensor, labels: Tensor, index: int, ksize: int) -> tuple[Tensor, Tensor]:
    """Return the derivatives in x and y of probability minus label of one class, N H W each."""
    difference = probabilities[:, index] - (labels == index).to(probabilities.dtype)  # N H W
    along_x, along_y = derivatives(pad(difference, ksize // 2), kernel(ksize))  # N H W
    return along_x, along_y


def _squares(probabilities: Tensor, labels: Tensor, index: int, ksize: int, in_x: Tensor, in_y: Tensor) -> Tensor:
    """Return the sum of squared errors of one class over the pixels scored in each direction, 0-dim."""
    if in_x is in_y:
        return (_both_squared(probabilities, labels, index, ksize) * in_x).sum()
    along_x, along_y = _errors(probabilities, labels, index, ksize)
    return (along_x * in_x).square().sum() + (along_y * in_y).square().sum()


@shared
def _both_squared(probabilities: Tensor, labels: Tensor, index: int, ksize: int) -> Tensor:
    along_x, along_y = _errors(probabilities, labels, index, ksize)
    return along_x.square() + along_y.square()
