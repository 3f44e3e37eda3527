"""Dynamic feature regularised loss: its pairwise term."""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from segablate.losses.parts.all_pairs import Disagreement
from segablate.losses.parts.guidance import check_shape, positions, region_of
from segablate.losses.parts.near_pairs import Guide, NearDisagreement
from segablate.losses.parts.shapes import Features, Image, Labels, Logits, Region
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Choice, Range

_DEEP = {"combine": ("product", "sum", "deep")}
_SHALLOW = {"combine": ("product", "sum", "shallow")}


@loss(
    paper="after the description in Zhang et al., Dynamic Feature Regularized Loss for Weakly Supervised Semantic "
    "Segmentation, Pattern Recognition 2025, arXiv:2108.01296",
    objective="ce + 0.3*dfr + feature_consistency",
    exceptions={"void": "every pixel of the region takes part, labelled or not; labels are not used"},
    inputs={"features": _DEEP},
    incomparable={
        "radius": "a larger window adds up more pairs; compare the fact disagreement",
        "sigma_xy": "a wider kernel adds up more pairs; compare the fact disagreement",
        "sigma_rgb": "a wider kernel adds up more pairs; compare the fact disagreement",
        "sigma_feat": "a wider kernel adds up more pairs; compare the fact disagreement",
        "combine": "each kernel adds up other pairs; compare the fact disagreement",
        "dense": "the two forms differ in sign and divisor; compare the fact disagreement",
    },
    opaque=True,
)
def dfr(
    logits: Logits,
    labels: Labels,
    *,
    image: Image,
    features: Features | None = None,
    roi: Region | None = None,
    radius: Annotated[
        int, Range(1, 1000, grid=(2, 3, 5, 7), used_when={"dense": (False,)}, help="reach of the window, in pixels")
    ] = 5,
    sigma_xy: Annotated[
        float, Range(0.01, 100000, grid=(3, 6, 12), help="standard deviation of the kernel over positions, in pixels")
    ] = 6,
    sigma_rgb: Annotated[
        float,
        Range(
            1e-4,
            1000,
            grid=(0.05, 0.1, 0.2),
            used_when=_SHALLOW,
            help="standard deviation of the kernel over colours, in 0..1",
        ),
    ] = 0.1,
    sigma_feat: Annotated[
        float,
        Range(1e-4, 1e6, grid=(0.5, 1, 2), used_when=_DEEP, help="standard deviation of the kernel over features"),
    ] = 1,
    combine: Annotated[
        str,
        Choice("product", "sum", "shallow", "deep", help="combination of the kernels of colours and features"),
    ] = "product",
    dense: Annotated[bool, Range(grid=(False,), help="sum over all pairs, in the form of dense_crf")] = False,
) -> Parts:
    """Disagreement of predictions at nearby pixels of similar colours and features, after the paper's description.

    Formula:
        L = Σ_ij G_ij (1 - Σ_k p_ik p_jk) / Σ_i r_i,    G_ij = r_i r_j Σ_t w_t exp(-½ Σ_{f∈t} |f_i - f_j|² / σ_f²)

        The first sum is over ordered pairs of different pixels of an image at most radius rows and columns apart; p is
        the softmax, r the region (roi, all ones where it is not given). With combine=product there is one kernel t, of
        position, colour and features together; sum: one of position and colour and one of position and features, ½
        each; shallow: position and colour; deep: position and features. Colours are in 0..1, features as they are
        given; both are brought to the grid of the predictions, by averaging where they are finer and bilinear where
        they are coarser. Both sums run over the batch. 0 is perfect. No gradient flows into the features: moving them
        apart would lower the value without improving the predictions.

        With dense=yes L = -(1/N) Σ_n Σ_ij G_ij Σ_k p_ik p_jk over all pairs, including each pixel with itself, as in
        dense_crf: slow beyond about 128×128 pixels.

    Parts:
        The fact disagreement is the mean of 1 - Σ_k p_ik p_jk over the pairs, weighted by G, in 0..1: comparable
        between windows and sigmas. The sums disagreement, pairs (Σ G) and pixels (Σ r) add over images.

    After the paper's description:
        Neither code nor equations are available. The paper describes a pairwise kernel of shallow and deep features
        that change during training, scribbles, and a head that makes features consistent. The windowed form, radius and
        weight are those of the authors' related code; how the kernels are combined is this program's choice.
    """
    roi = region_of(logits, roi)
    check_shape("image", image, (len(logits), 3))
    colours = image.detach().to(logits.dtype) / (255 * sigma_rgb)  # N 3 H W
    deep = colours
    if features is not None:
        check_shape("features", features, (len(logits),))
        deep = features.detach().to(logits.dtype) / sigma_feat  # N D h w
    guides = {
        "product": (Guide(1, (colours, deep)),),
        "sum": (Guide(0.5, (colours,)), Guide(0.5, (deep,))),
        "shallow": (Guide(1, (colours,)),),
        "deep": (Guide(1, (deep,)),),
    }[combine]
    probabilities = logits.softmax(1)  # N C H W
    if dense:
        unlike, pairs = _over_all_pairs(probabilities, roi, guides, sigma_xy)
        value = (unlike - pairs) / len(logits)
    else:
        unlike, pairs = NearDisagreement.apply(probabilities, roi, guides, radius, sigma_xy)  # type: ignore[misc]
        value = unlike / roi.sum(dtype=torch.float64).clamp(min=torch.finfo(torch.float32).tiny)
    return Parts(
        value.to(logits.dtype),
        pairs > 0,
        sums={"disagreement": unlike.detach(), "pairs": pairs, "pixels": roi.sum(dtype=torch.float64)},
        facts={"disagreement": unlike.detach() / pairs},
    )


def _over_all_pairs(
    probabilities: Tensor, roi: Tensor, guides: Sequence[Guide], sigma_xy: float
) -> tuple[Tensor, Tensor]:
    """Return what :class:`NearDisagreement` returns, over all pairs of an image, a pixel with itself included."""
    near = positions(probabilities) / sigma_xy  # N 2 H W
    unlike, pairs = [], []
    for guide in guides:
        maps = torch.stack([guide.at(image, roi.shape[1:]) for image in range(len(roi))])  # N D H W
        points = torch.cat([near, maps], 1).flatten(2).mT  # N M D+2
        each, weights = Disagreement.apply(probabilities.flatten(2), roi.flatten(1), points)  # type: ignore[misc]
        unlike.append(guide.weight * each.sum())
        pairs.append(guide.weight * weights.sum())
    return torch.stack(unlike).sum(), torch.stack(pairs).sum()
