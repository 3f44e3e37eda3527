"""Binary cross entropy with one sigmoid a class."""

from typing import Annotated

import torch.nn.functional as F

from segablate.losses.parts.shapes import Labels, Logits, void_of
from segablate.objective.loss import Parts, loss
from segablate.objective.processes import summed
from segablate.objective.ranges import Choice, Range


@loss(
    paper="Zhao et al., Region Mutual Information Loss for Semantic Segmentation, NeurIPS 2019, arXiv:1910.12037",
    activation="sigmoid",
    summed=True,
    pixelwise=True,
    bounds=(0, None),
)
def bce(
    logits: Logits,
    labels: Labels,
    *,
    classes: Annotated[str, Choice("sum", "mean", help="reduction over the classes of a pixel")] = "sum",
    extra: Annotated[float, Range(0, 1e6, grid=(0, 1), help="added to the divisor, the number of pixels")] = 0,
) -> Parts:
    """Binary cross entropy of the sigmoid, each class against the rest, mean over labelled pixels.

    Formula:
        L = (1/(|V| + extra)) Σ_{i∈V} Σ_c [softplus(z_ic) - z_ic y_ic]

        V are the pixels that are not void, z_ic the logit of class c at pixel i, y_ic 1 where its label is c and 0
        elsewhere. In nats. With classes=mean the sum over c is a mean.

    Differs from the authors' code:
        Nothing with extra=1: the authors of RMI divide by the number of pixels plus one.
    """
    valid = (labels != void_of(logits)).unsqueeze(1)  # N 1 H W
    label = labels.long().where(valid[:, 0], 0).unsqueeze(1)  # N 1 H W
    # softplus(z) - z y is softplus of z with its sign turned at the label: nothing cancels where z is large
    signed = logits.scatter(1, label, -logits.gather(1, label))  # N C H W
    per_class = F.softplus(signed).where(valid, 0).sum((0, 2, 3)) / (summed(valid.sum()) + extra).clamp(min=1)  # C
    if classes == "mean":
        per_class = per_class / logits.shape[1]
    return Parts(per_class.sum(), valid.any(), per_class=per_class.detach())
