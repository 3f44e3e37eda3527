"""Focal loss of the softmax."""

from typing import Annotated

from segablate.losses.parts.pixelwise import focal_of_pixels
from segablate.losses.parts.shapes import ClassWeights, Labels, Logits, Scalar, void_of
from segablate.objective.loss import loss
from segablate.objective.processes import summed
from segablate.objective.ranges import Range


@loss(
    paper="Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, arXiv:1708.02002",
    summed=True,
    pixelwise=True,
    bounds=(0, None),
)
def focal(
    logits: Logits,
    labels: Labels,
    *,
    weights: ClassWeights | None = None,
    gamma: Annotated[float, Range(0, 10, grid=(0, 0.5, 1, 2, 5), help="focusing exponent; 0: cross entropy")] = 2,
    alpha: Annotated[
        float | None, Range(0, 1, grid=(0.25, 0.5), open_low=True, help="factor on the value; none: 1")
    ] = None,
) -> Scalar:
    """Cross entropy in which well-classified pixels weigh less, by (1 - p)^γ, mean over labelled pixels.

    Formula:
        L = -(α/|V|) Σ_{i∈V} w_{t_i} (1 - p_i)^γ ln p_i,    p_i = softmax(z_i)[t_i]

        V are the pixels that are not void, z_i the logits and t_i the label of pixel i; w_c is the weight of class c, 1
        unless weights are passed in. They do not change the divisor, as in MONAI and kornia. In nats.

    Differs from the authors' code:
        Theirs is for detection, one sigmoid a class, and α balances object against background. Over the classes of a
        softmax there is no background, and α is one factor for all.
    """
    each = focal_of_pixels(logits, labels, weights=weights, gamma=gamma, alpha=alpha)  # N H W, 0 where void
    return each.sum() / summed((labels != void_of(logits)).sum()).clamp(min=1)
