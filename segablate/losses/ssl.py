"""Structural similarity loss."""

from typing import Annotated

import torch

from segablate.losses.parts.shapes import Labels, Logits, void_of
from segablate.losses.parts.similarity import Similarity, SimilarityOptions
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Choice, Range


@loss(
    paper="Zhao et al., Correlation Maximized Structural Similarity Loss for Semantic Segmentation, arXiv:1910.08711",
    objective="0.5*bce + 0.5*ssl",
    exceptions={"scope": "an image counts by its number of selected pixels; scope sets only the range of the maximum"},
    opaque=True,
    bounds=(0, None),
)
def ssl(
    logits: Logits,
    labels: Labels,
    *,
    window: Annotated[int, Range(3, 101, odd=True, grid=(3, 5, 7, 11), help="side of the window, in pixels")] = 3,
    sigma: Annotated[
        float, Range(0.1, 1000, grid=(0.75, 1.5, 3), help="standard deviation of the window's weights, in pixels")
    ] = 1.5,
    c4: Annotated[
        float, Range(1e-6, 1e3, grid=(0.001, 0.01, 0.1), help="constant that stabilises small deviations")
    ] = 0.01,
    beta: Annotated[
        float,
        Range(
            0, 1, open_high=True, grid=(0, 0.05, 0.1, 0.2, 0.5), help="smallest error kept, as a share of the largest"
        ),
    ] = 0.1,
    probability: Annotated[str, Choice("sigmoid", "softmax", help="activation of the logits")] = "sigmoid",
    border: Annotated[
        str, Choice("renormalise", "zero", help="pixels beyond the frame and void: left out of windows, or 0")
    ] = "renormalise",
    scope: Annotated[
        str, Choice("image", "batch", "plane", help="range of the largest error; plane: one image and class")
    ] = "image",
    detach: Annotated[bool, Range(help="stop the gradient through the error, which is then a weight")] = False,
) -> Parts:
    """Binary cross entropy where the local structure of the probabilities differs from that of the labels.

    Formula:
        L = (1/M) Σ_{n,c} f_nc e_nc H(y_nc, p_nc),    f_nc = 1 if e_nc > β max e, else 0,    M = Σ f
        e = |(y - μ_y + C)/(σ_y + C) - (p - μ_p + C)/(σ_p + C)|

        y is 1 where the label is c and 0 elsewhere, p the probability of class c, H their binary cross entropy; n runs
        over the labelled pixels of the batch. μ and σ are mean and standard deviation (about that mean) in the square
        Gaussian window around the pixel, whose weights are rescaled to the labelled pixels inside the image. C is c4.
        In nats. The maximum is over an image, with scope=batch over all, with scope=plane over a class in an image.
        Where labels and probabilities are flat e is 0, however wrong the level: hence the cross entropy beside it.

    Parts:
        per_class adds up to the value. Over images the value follows from the sums weighted (f e H) and selected (f) by
        class. The fact selected is the share of labelled pixels and classes that is kept, largest the largest error.

    After the paper's description:
        There is no authors' code, and public re-implementations disagree. Binary cross entropy of the sigmoid, a 3×3
        window, rescaled weights, the maximum over an image and the gradient through e are this program's choice;
        border=zero, scope=batch and detach are the other readings.
    """
    options = SimilarityOptions(
        window, sigma, c4, beta, probability == "softmax", border == "renormalise", scope, detach
    )
    differentiable = torch.is_grad_enabled() and logits.requires_grad
    value, weighted, selected, largest = Similarity.apply(logits, labels, options, differentiable)
    pixels = (labels != void_of(logits)).sum()
    count = selected.sum()
    return Parts(
        value,
        pixels > 0,
        per_class=weighted / count.clamp(min=1),
        sums={"weighted": weighted, "selected": selected},
        facts={"selected": count / (pixels * logits.shape[1]), "largest": largest},
    )
