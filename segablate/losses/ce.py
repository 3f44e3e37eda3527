"""Cross entropy."""

import torch
import torch.nn.functional as F

from segablate.losses.parts.shapes import ClassWeights, Labels, Logits, Scalar, void_of
from segablate.objective.loss import loss
from segablate.objective.processes import summed


@loss(
    paper="Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation, CVPR 2015",
    summed=True,
    pixelwise=True,
)
def ce(logits: Logits, labels: Labels, *, weights: ClassWeights | None = None) -> Scalar:
    """Cross entropy of the softmax, mean over labelled pixels.

    Formula:
        L = -(1/Σ_{i∈V} w_{t_i}) Σ_{i∈V} w_{t_i} ln softmax(z_i)[t_i]

        V are the pixels that are not void, z_i the logits and t_i the label of pixel i; w_c is the weight of class c,
        1 unless weights are passed in, so that the divisor is |V|. In nats; 0 is perfect, ln C is what uniform
        probabilities score.

    Over scribbles or points, where unlabelled pixels are void, this is partial cross entropy.
    """
    target = labels.long()
    if weights is None:
        total = F.cross_entropy(logits, target, ignore_index=void_of(logits), reduction="sum")
        return total / summed((labels != void_of(logits)).sum()).clamp(min=1)
    weights = weights.to(logits.dtype)
    total = F.cross_entropy(logits, target, weights, ignore_index=void_of(logits), reduction="sum")
    valid = labels != void_of(logits)
    divisor = summed(weights[target.where(valid, 0)].where(valid, 0).double().sum())
    return total / divisor.where(divisor > 0, torch.ones_like(divisor)).to(logits.dtype)
