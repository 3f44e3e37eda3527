"""Cross entropy."""

import torch.nn.functional as F

from segablate.losses.parts.shapes import IGNORE, Labels, Logits, Scalar
from segablate.objective.loss import loss


@loss(paper="Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation, CVPR 2015")
def ce(logits: Logits, labels: Labels) -> Scalar:
    """Cross entropy of the softmax, mean over labelled pixels.

    Formula:
        L = -(1/|V|) Σ_{i∈V} ln softmax(z_i)[t_i]

        V are the pixels that are not void, z_i the logits and t_i the label of pixel i. In nats; 0 is perfect, uniform
        probabilities have ln C.

    Over scribbles or points, where unlabelled pixels are void, this is partial cross entropy.
    """
    total = F.cross_entropy(logits, labels.long(), ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)
