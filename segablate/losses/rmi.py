"""Region mutual information."""

from typing import Annotated

import torch

from segablate.losses.parts.region import RegionMutualInformation, RegionOptions, prepare_batch
from segablate.losses.parts.shapes import Labels, Logits
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Choice, Range


@loss(
    paper="Zhao et al., Region Mutual Information Loss for Semantic Segmentation, NeurIPS 2019, arXiv:1910.12037",
    objective="0.5*bce(extra=1) + 0.5*rmi",
    incomparable={
        "radius": "the value depends on the dimension of the windows; compare the gain G",
        "stride": "the value moves with the number of points; compare the gain G",
        "pool": "the value moves with the spread of the pooled maps; compare the gain G",
        "alpha": "the ridge sets the floor of the value",
        "normalise": "the value is freed of a constant of each class",
        "probability": "softmax and sigmoid make different probabilities of the same logits",
    },
    ranks_by="gain",
)
def rmi(
    logits: Logits,
    labels: Labels,
    *,
    radius: Annotated[int, Range(1, 10, grid=(1, 2, 3, 4, 5), help="side of the square window, in cells")] = 3,
    pool: Annotated[str, Choice("avg", "max", help="how a cell is made from its pixels")] = "avg",
    stride: Annotated[int, Range(1, 32, grid=(1, 2, 3, 4, 6), help="side of a cell, in pixels")] = 4,
    alpha: Annotated[
        float, Range(1e-12, 1, grid=(1e-6, 1e-5, 1e-4, 5e-4, 1e-3), help="ridge on the scatter matrices")
    ] = 5e-4,
    probability: Annotated[str, Choice("sigmoid", "softmax", help="what makes probabilities of logits")] = "sigmoid",
    void: Annotated[str, Choice("keep", "drop", help="what becomes of windows that touch void")] = "keep",
    normalise: Annotated[str, Choice("none", "points", help="what the value is freed of")] = "none",
) -> Parts:
    """Negative lower bound on the mutual information of label and probability windows.

    Formula:
        L = (1/N) Σ_n Σ_c (1/2d) ln det(M_nc + αI),    M = S_y - S_yp (S_p + αI)⁻¹ S_ypᵀ

        The label map and the probability map of class c in image n are pooled to cells of stride×stride pixels. Every
        window of R×R cells is a point with d = R² coordinates, R being radius. S_y, S_p and S_yp are the scatter
        matrices (sums over the points, not means) of the label points, of the probability points and of one with the
        other; M is what a linear regression on the probability points leaves of the label points.
        In nats a dimension. Smaller is better, and values below 0 are normal. A class that is not in the image adds
        ln √α and has no gradient. With normalise=points, ½ ln n is subtracted for each class that is there, n being
        the number of points. With void=drop windows that touch a cell with a void pixel are left out, and the mean is
        over the images that keep a window; with void=keep void pixels count as perfectly predicted background.

    Parts:
        per_class is the term of each class, mean over the images that show it. The fact gain is
        G = (1/2d) [ln det(S_y + αI) - ln det(M + αI)], mean over images and the classes they show: 0 where the
        probabilities say nothing, larger is better, and unlike the term comparable between radii. The sums gain and
        present give it by class. The fact points is the mean number of points n of an image and points_per_dimension
        n/d: below 25 the regression fits noise. failed counts the factorisations that fell back on eigenvalues.

    Differs from the authors' code:
        In rounding only: one Cholesky factor stands for an explicit inverse and a second factorisation. As there, the
        ridge enters twice, 1e-8 is added to the factor's diagonal inside the logarithm, 1e-6 to every probability, and
        average pooling counts the padding of the frame. Their constructor says pool=max and stride=3; pool=avg and
        stride=4 is what they train with.
    """
    options = RegionOptions(
        radius, pool, stride, alpha, probability == "softmax", void == "drop", normalise == "points"
    )
    batch = prepare_batch(logits, labels, options)
    wanted = torch.is_grad_enabled() and logits.requires_grad
    value, term, gain, present, failed = RegionMutualInformation.apply(logits, batch, wanted)  # type: ignore[misc]
    shown, images = present.sum(0), (batch.points > 0).sum()
    points = batch.points.sum() / images
    return Parts(
        value,
        images > 0,
        per_class=term.where(present, 0).sum(0) / shown.where(shown > 0, torch.nan),
        sums={"gain": gain.sum(0), "present": shown},
        facts={
            "gain": gain.sum() / shown.sum(),
            "points": points,
            "points_per_dimension": points / radius**2,
            "failed": failed.sum(),
        },
    )
