"""Active boundary loss."""

from typing import Annotated

import torch

from segablate.losses.parts.directions import Directions, Pixels
from segablate.losses.parts.predicted_boundary import dilated, divergences, select_seeds
from segablate.losses.parts.shapes import Labels, Logits, void_of
from segablate.losses.parts.steering import distances, label_boundary, targets
from segablate.objective.loss import Parts, loss
from segablate.objective.processes import summed
from segablate.objective.ranges import Choice, Range


@loss(
    paper="Wang et al., Active Boundary Loss for Semantic Segmentation, AAAI 2022, arXiv:2102.02696",
    objective="ce + lovasz + abl",
    exceptions={
        "void": "void counts as label boundary and predictions under it as predictions, as in the authors' code"
    },
    summed=True,
    opaque=True,
    bounds=(0, None),
)
def abl(
    logits: Logits,
    labels: Labels,
    *,
    budget: Annotated[
        float,
        Range(
            0,
            1,
            open_low=True,
            grid=(0.005, 0.01, 0.02, 0.05),
            help="largest number of seeds, as a share of the pixels",
        ),
    ] = 0.01,
    clip: Annotated[
        float,
        Range(
            0,
            1e5,
            open_low=True,
            grid=(5, 10, 20, 40),
            help="distance from which on a pixel has full weight, in pixels",
        ),
    ] = 20,
    smoothing: Annotated[
        float, Range(0, 1, open_high=True, grid=(0, 0.1, 0.2, 0.3), help="label smoothing over the directions")
    ] = 0.2,
    detach: Annotated[bool, Range(help="stop the gradient at the neighbours of a boundary pixel")] = True,
    scope: Annotated[
        str, Choice("image", "batch", help="seeds that are counted against the budget of one image")
    ] = "image",
    distance: Annotated[
        str, Choice("floor", "exact", help="distances rounded down, max(0, ⌊d - 1⌋), or exact")
    ] = "floor",
    no_boundary: Annotated[
        str, Choice("skip", "corner", help="image without label boundary: skip it, or take distances to its corner")
    ] = "skip",
) -> Parts:
    """Cross entropy over eight directions that moves predicted boundaries towards those of the labels.

    Formula:
        L = -(1/|B|) Σ_{i∈B} min(D_i, θ)/θ Σ_k τ_ik ln softmax_k(KL(p_{i+k} ‖ p_i))

        p is the softmax over the classes. Seeds are the pixels with KL(p_i ‖ p_below) + KL(p_i ‖ p_right) > ε, with
        the first ε of 1e-5, 1.2e-5, 1.44e-5, ... that leaves at most budget times the pixels of an image; B are the
        seeds and their eight neighbours. A pixel is label boundary if its label differs from the one below or to the
        right or if it is void; D is the Euclidean distance d to the nearest one, with distance=floor max(0, ⌊d - 1⌋),
        in pixels. θ is clip and k runs over the eight neighbours. τ is 1 - s for the one with the least D (the first of
        several, in the authors' order) and s/8 for the others, s being smoothing. In nats. A pixel that is nearer than
        all its neighbours is not in B. No gradient flows through the choice of B, nor with detach into p_{i+k}.

    Parts:
        Undefined without a predicted boundary, without a label and, with no_boundary=skip, without a label boundary.
        The facts are the numbers of seeds, of boundary_pixels |B| and of skipped images, and the share unweighted of
        the boundary pixels with D = 0, which only dilute: values are comparable where these are. The sums entropy and
        pixels add up to the value over images.

    Differs from the authors' code:
        There, the seeds of a whole batch count against the budget of one image (scope=batch), and in an image without
        label boundary distances are to the pixel above the top left corner (no_boundary=corner), a by-product of its
        distance transform. Without a predicted boundary theirs returns None; this is 0. Equal otherwise, also where the
        paper differs: it has d itself (distance=exact), KL(p_i ‖ p_{i+k}), the larger of the two divergences instead of
        their sum, τ = s/7, and leaves pixels with D = 0 out.
    """
    seeds = select_seeds(divergences(logits.detach()), budget, scope == "batch")  # N H W bool
    marked = label_boundary(labels, void_of(logits))  # N H W bool
    to_corner = no_boundary == "corner"
    usable = marked.flatten(1).any(1) | to_corner  # N bool
    away = distances(marked, distance == "floor", to_corner)  # N H W
    boundary = dilated(seeds) & usable.view(-1, 1, 1)  # N H W bool
    pixels = Pixels(*boundary.nonzero(as_tuple=True))  # K each
    target, counted = targets(away, pixels)  # K each
    weight = away[pixels].to(logits.dtype).clamp(max=clip) / clip  # K
    count = summed(counted.sum())
    differentiable = torch.is_grad_enabled() and logits.requires_grad
    total = Directions.apply(logits, pixels, target, weight * counted, smoothing, detach, differentiable)
    labelled = (labels != void_of(logits)).flatten(1).any(1)  # N bool
    divisor = count.clamp(min=1)
    return Parts(
        (total / divisor).to(logits.dtype),
        (counted & labelled[pixels.image]).any(),
        sums={"entropy": total.detach(), "pixels": count},
        facts={
            "seeds": seeds.sum(),
            "boundary_pixels": count,
            "unweighted": (counted & (weight == 0)).sum() / count,
            "skipped": (~usable).sum(),
        },
    )
