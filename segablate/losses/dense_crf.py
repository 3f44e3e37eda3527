"""Dense CRF loss."""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.losses.parts.all_pairs import Disagreement
from segablate.losses.parts.guidance import check_shape, positions, region_of
from segablate.losses.parts.shapes import Image, Labels, Logits, Region
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Choice, Range


@loss(
    paper="Tang et al., On Regularized Losses for Weakly-supervised CNN Segmentation, ECCV 2018, arXiv:1803.09569",
    objective="ce + 1.44e-8*dense_crf",
    exceptions={"void": "every pixel of the region takes part, labelled or not; labels are not used"},
    incomparable={
        "sigma_rgb": "a wider kernel adds up more pairs; compare the fact disagreement",
        "sigma_xy": "a wider kernel adds up more pairs; compare the fact disagreement",
        "scale": "the value grows with the square of the number of pixels; compare the fact disagreement",
        "form": "the two differ by the sum of the kernel",
    },
    opaque=True,
)
def dense_crf(
    logits: Logits,
    labels: Labels,
    *,
    image: Image,
    roi: Region | None = None,
    sigma_rgb: Annotated[
        float, Range(0.01, 10000, grid=(5, 10, 15, 30), help="standard deviation of the kernel over colours, in 0..255")
    ] = 15,
    sigma_xy: Annotated[
        float,
        Range(
            0.01,
            100000,
            grid=(25, 50, 100, 200),
            help="standard deviation of the kernel over positions, in pixels at full size",
        ),
    ] = 100,
    scale: Annotated[
        float, Range(0, 1, open_low=True, grid=(0.125, 0.25, 0.5), help="factor by which the maps are resized")
    ] = 0.5,
    form: Annotated[
        str,
        Choice(
            "code", "potts", help="energy: minus the agreement of similar pixels (code), or their disagreement (potts)"
        ),
    ] = "code",
) -> Parts:
    """Energy of a fully connected Gaussian CRF over soft predictions: similar pixels should have similar predictions.

    Formula:
        L = -(1/N) Σ_n Σ_k s_kᵀ K s_k,    K_ij = exp(-|x_i - x_j|² / 2σ_xy² - |I_i - I_j|² / 2σ_rgb²)

        s_k is the softmax of class k times the region r (roi, all ones where it is not given), x_i the position and
        I_i the colour of pixel i; all pairs take part, K_ii = 1. Softmax, image and region are sampled at steps of
        1/scale (bilinear, nearest, nearest), and σ_xy is multiplied by scale. With form=potts
        L = (1/N) Σ_n Σ_k s_kᵀ K (r - s_k): larger by rᵀ K r, which no prediction changes, never negative, 0 if all
        predictions are equal. Values grow with the square of the number of pixels: compare them at one size and scale.

    Parts:
        The facts rows, columns and scale are the size at which it was computed. The fact disagreement is the potts
        energy over rᵀ K r, in 0..1, the mean share of differing predictions, weighted by K: comparable between sizes.
        The sums disagreement and pairs add both over images.

    Differs from the authors' code:
        K is exact. Their filter on a lattice returns about 0.6 times as much (0.53 to 0.62), so that weights chosen for
        it are to be multiplied by 0.6; theirs is 2e-9 beside a cross entropy which they divide by their batch of 12,
        hence 1.44e-8 here. Theirs is to be used with scale 0.5 on crops of 513. Needs an image in 0..255.
    """
    roi = region_of(logits, roi)
    check_shape("image", image, (len(logits), 3, *labels.shape[1:]))
    probabilities = _sampled(logits.softmax(1), scale, "bilinear")  # N C h w
    image, region = (_sampled(maps, scale, "nearest") for maps in (image.detach().to(logits.dtype), roi.unsqueeze(1)))
    rows, columns = region.shape[2:]
    points = torch.cat([positions(region) / (sigma_xy * scale), image / sigma_rgb], 1).flatten(2).mT  # N M 5
    unlike, pairs = Disagreement.apply(probabilities.flatten(2), region.flatten(1), points)  # type: ignore[misc]
    energies = unlike if form == "potts" else unlike - pairs  # N
    return Parts(
        energies.mean().to(logits.dtype),
        (pairs > 0).any(),
        sums={"disagreement": unlike.detach().sum(), "pairs": pairs.sum()},
        facts={"rows": rows, "columns": columns, "scale": scale, "disagreement": unlike.detach().sum() / pairs.sum()},
    )


def _sampled(maps: Tensor, scale: float, mode: str) -> Tensor:
    """Sample maps N . H W at steps of exactly 1/scale: floor(scale × side) samples a side, at least one."""
    if scale == 1:
        return maps
    needed = math.ceil(1 / scale)
    needed += needed * scale < 1  # as the product is rounded
    missing = [max(needed - side, 0) for side in maps.shape[2:]]
    if any(missing):
        maps = F.pad(maps, (0, missing[1], 0, missing[0]), mode="replicate")
    align = None if mode == "nearest" else False
    return F.interpolate(maps, scale_factor=scale, mode=mode, align_corners=align, recompute_scale_factor=False)
