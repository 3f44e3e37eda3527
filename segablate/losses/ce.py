"""Cross entropy."""

from typing import Annotated, Any

import torch
import torch.nn.functional as F

from segablate.losses.parts.shapes import ClassWeights, Labels, Logits, Scalar, void_of
from segablate.objective.loss import loss
from segablate.objective.processes import summed
from segablate.objective.ranges import Range


@loss(
    paper="Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation, CVPR 2015",
    incomparable={"label_smoothing": "the least value grows with it"},
    summed=True,
    pixelwise=True,
    bounds=(0, None),
)
def ce(
    logits: Logits,
    labels: Labels,
    *,
    weights: ClassWeights | None = None,
    label_smoothing: Annotated[
        float, Range(0, 1, grid=(0, 0.05, 0.1, 0.2), help="share of a pixel's label spread evenly over all classes")
    ] = 0,
) -> Scalar:
    """Cross entropy of the softmax, mean over labelled pixels.

    Formula:
        L = -(1/Σ_{i∈V} w_{t_i}) Σ_{i∈V} w_{t_i} ln softmax(z_i)[t_i]

        V are the pixels that are not void, z_i the logits and t_i the label of pixel i; w_c is the weight of class c,
        1 unless weights are passed in, so that the divisor is |V|. In nats; 0 is perfect, ln C is what uniform
        probabilities score.

        With label_smoothing ε (Szegedy et al., CVPR 2016, arXiv:1512.00567) the summand of a pixel is
        -(1-ε) w_{t_i} ln p_{t_i} - (ε/C) Σ_c w_c ln p_c, p being the softmax, as in torch.nn.CrossEntropyLoss.

    Over scribbles or points, where unlabelled pixels are void, this is partial cross entropy.
    """
    target, void = labels.long(), void_of(logits)
    options: Any = {"ignore_index": void, "reduction": "sum", "label_smoothing": label_smoothing}
    if weights is None:
        total = F.cross_entropy(logits, target, None, **options)
        return total / summed((labels != void).sum()).clamp(min=1)
    weights = weights.to(logits.dtype)
    total = F.cross_entropy(logits, target, weights, **options)
    valid = labels != void
    divisor = summed(weights[target.where(valid, 0)].where(valid, 0).double().sum())
    return total / divisor.where(divisor > 0, torch.ones_like(divisor)).to(logits.dtype)
