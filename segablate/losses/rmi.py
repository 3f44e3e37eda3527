"""Region mutual information."""

from typing import Annotated

import torch

from segablate.losses.parts.region import RegionMutualInformation, prepare_batch
from segablate.losses.parts.region_cells import RegionOptions
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
        "normalise": "a constant of each class is subtracted from the value",
        "probability": "softmax and sigmoid make different probabilities of the same logits",
    },
    ranks_by="gain",
    opaque=True,
)
def rmi(
    logits: Logits,
    labels: Labels,
    *,
    radius: Annotated[int, Range(1, 10, grid=(1, 2, 3, 4, 5), help="side of the square window, in cells")] = 3,
    pool: Annotated[str, Choice("avg", "max", help="pooling of pixels into cells")] = "avg",
    stride: Annotated[int, Range(1, 32, grid=(1, 2, 3, 4, 6), help="side of a cell, in pixels")] = 4,
    alpha: Annotated[
        float,
        Range(
            1e-12, 1, grid=(1e-6, 1e-5, 1e-4, 5e-4, 1e-3), help="ridge added to the diagonal of the scatter matrices"
        ),
    ] = 5e-4,
    probability: Annotated[str, Choice("sigmoid", "softmax", help="activation of the logits")] = "sigmoid",
    void: Annotated[str, Choice("keep", "drop", help="windows with void pixels: keep or drop")] = "keep",
    normalise: Annotated[str, Choice("none", "points", help="constant subtracted from the value")] = "none",
) -> Parts:
    """Negative lower bound on the mutual information of label and probability windows.

    Formula:
        L = (1/N) Σ_n Σ_c (1/2d) ln det(M_nc + αI),    M = S_y - S_yp (S_p + αI)⁻¹ S_ypᵀ

        The label map and the probability map of class c in image n are pooled to cells of stride×stride pixels. Every
        window of R×R cells is a point with d = R² coordinates, R being radius. S_y, S_p and S_yp are the scatter
        matrices (sums over the points, not means) of the label points, of the probability points and of one with the
        other; M is the residual of a linear regression of the label points on the probability points.
        In nats a dimension. Smaller is better, and values below 0 are normal. A class that is not in the image adds
        ln √α and has no gradient. With normalise=points, ½ ln n is subtracted for each class in the image, n being
        the number of points. With void=drop windows with a void pixel in a cell are left out, and the mean is over
        the images that keep a window; with void=keep void pixels count as perfectly predicted background.

    Parts:
        per_class is the value of each class, mean over the images that contain it. The fact gain is
        G = (1/2d) [ln det(S_y + αI) - ln det(M + αI)], mean over images and the classes they contain: 0 where the
        probabilities carry no information, larger is better, and unlike the value comparable between radii. By class it
        follows from the sums gain and present. The fact points is the mean number of points n of an image and
        points_per_dimension n/d: below 25 the regression fits noise. failed counts the factorisations that fell back on
        eigenvalues.

    Differs from the authors' code:
        In rounding only: one Cholesky factor replaces an explicit inverse and a second factorisation. As there, the
        ridge is added twice, 1e-8 is added to the factor's diagonal inside the logarithm, 1e-6 to every probability,
        and average pooling counts the padding of the frame. The defaults of their constructor are pool=max and
        stride=3; they train with pool=avg and stride=4.
    """
    options = RegionOptions(
        radius, pool, stride, alpha, probability == "softmax", void == "drop", normalise == "points"
    )
    batch = prepare_batch(logits, labels, options)
    differentiable = torch.is_grad_enabled() and logits.requires_grad
    value, each, gain, present, failed = RegionMutualInformation.apply(logits, batch, differentiable)  # type: ignore[misc]
    containing = present.sum(0)  # C: images that contain the class
    images = (batch.points > 0).sum()
    points = batch.points.sum() / images
    return Parts(
        value,
        images > 0,
        per_class=each.where(present, 0).sum(0) / containing.where(containing > 0, torch.nan),
        sums={"gain": gain.sum(0), "present": containing},
        facts={
            "gain": gain.sum() / containing.sum(),
            "points": points,
            "points_per_dimension": points / radius**2,
            "failed": failed.sum(),
        },
    )
