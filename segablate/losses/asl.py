"""Auto Seg-Loss: surrogates of segmentation metrics."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from torch import Tensor

from segablate.losses.parts.curves import CURVES, Curve, read_curves
from segablate.losses.parts.shapes import Labels, Logits, void_of
from segablate.losses.parts.soft_edges import EPSILON, EdgeSums, edge_scores, f_score, label_edges, spread
from segablate.losses.parts.theta_files import read_theta
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Choice, Range

THETAS = {
    "miou": (
        *(5.69728440e-04, 6.43720450e-01, 3.38589169e-01, 7.05543360e-01, 6.25281252e-01, 7.79551927e-01),
        *(6.90375570e-01, 1.30628900e-02, 8.34170515e-01, 9.62431815e-01, 9.42998269e-01, 9.80038125e-01),
    ),
    "fwiou": (  # from the training log: the configuration repeats the numbers of biou
        *(0.11907931, 0.669945, 0.19315827, 0.71179134, 0.46337387, 0.79494196),
        *(0.5266451, 0.29869753, 0.706645, 0.4485701, 0.86858255, 0.7261703),
    ),
    "biou": (
        *(3.65390355e-04, 9.84171689e-01, 9.69491959e-01, 9.92340326e-01, 9.88328516e-01, 9.95552719e-01),
        *(3.54609758e-01, 2.67221928e-01, 5.60551465e-01, 4.35290039e-01, 5.65432191e-01, 6.01448298e-01),
    ),
    "bf1": (
        *(0.8113003373146057, 0.8526162505149841, 0.17164576053619385, 0.03164796531200409),
        *(0.20997394621372223, 0.44903290271759033, 0.07847517728805542, 0.8753038048744202),
    ),
    "macc": (2.1453928e-02, 7.3905742e-01, 4.1163361e-01, 7.9865617e-01, 9.1986191e-01, 9.5041156e-01),
    # from the training log of the main head; all but x1 is that of macc, perhaps by hand
    "gacc": (0.221453928, 0.73905742, 0.41163361, 0.79865617, 0.91986191, 0.95041156),
}
"""The authors' searched parameters by metric."""

_AT_EDGES = {"metric": ("biou", "bf1")}


@loss(
    paper="Li et al., Auto Seg-Loss: Searching Metric Surrogates for Semantic Segmentation, ICLR 2021, "
    "arXiv:2010.07930",
    incomparable={
        "metric": "each metric measures something else",
        "theta": "other curves make another surrogate",
        "tolerance": "a larger tolerance counts more pixels",
        "drop_background": "other edges count",
    },
    over_images=lambda settings, sums: 1 - surrogate(settings["metric"], sums),
)
def asl(
    logits: Logits,
    labels: Labels,
    *,
    metric: Annotated[str, Choice(*CURVES, help="metric that the surrogate approximates")] = "miou",
    theta: Annotated[
        tuple[float, ...] | None,
        Range(
            0,
            1,
            grid=(None, (0.5, 0.5)),
            help="x and y of the free points of every curve, or of one curve for all, or a file that segablate search "
            "wrote",
            read=read_theta,
            nothing="published",
        ),
    ] = None,
    tolerance: Annotated[
        int,
        Range(
            0,
            1000,
            grid=(1, 2, 3, 5, 8),
            used_when=_AT_EDGES,
            help="boundary tolerance (chessboard distance), in pixels",
        ),
    ] = 5,
    drop_background: Annotated[
        bool | None,
        Range(
            grid=(None, False),
            used_when=_AT_EDGES,
            help="leave out the boundary of class 0; none: only for biou",
        ),
    ] = None,
) -> Parts:
    """One minus a differentiable surrogate of a metric, with searched curves in place of logical operations.

    Formula:
        L = 1 - ξ,    I_c = Σ_{i: t_i=c} A(p_ic),    U_c = n_c + Σ_{i: t_i≠c} O(p_ic) + ε,    ε = 1e-8

        The sums run over the labelled pixels of the batch; p is the softmax, t the label, n_c the pixels of class c; A
        and O are monotone curves through (0, 0) and (1, 1), given by theta. ξ is for
        miou the mean of I_c/U_c over all C classes, for fwiou Σ_c n_c I_c/U_c / Σ_c n_c,
        macc the mean of I_c/(n_c + ε) over all C classes, for gacc Σ_c I_c / (Σ_c n_c + ε),
        biou as miou, over pixels within tolerance of a labelled edge; with drop_background edges of class 0 do not
        count; for bf1 the mean over classes with a labelled edge of 2 P_c R_c / (P_c + R_c + ε).
        For bf1 the soft edge of p_c and of its 3×3 erosion q_c is O1(p) + O2(q) - O1(p) O2(q) - A1(p) A2(q); P is the
        share of it near a labelled edge, R that of the labelled edge near it, near meaning the largest value within
        tolerance. 0 is perfect; where nothing can be measured the value is 1, with gradient 0.

    Parts:
        per_class is one minus the fraction of each labelled class. The sums add over images, and surrogate(metric,
        sums) is ξ of a whole dataset; the mean of values over images or batches is another number. The fact absent is
        the number of classes without a labelled pixel (for bf1: edge): with miou, biou and macc each adds 1/C.

    With metric=bf1 predictions under void count; with biou or drop_background=yes class 0 is the background. A
    surrogate of biou or bf1 alone spoils the ordinary metrics: add that of miou, 1 to 1.

    Differs from the authors' code:
        A root of the curves that loses no digits near straight pieces, and curves evaluated only where they are used.
        Where nothing can be measured, theirs is nan for fwiou and bf1. The parameters of fwiou and gacc are those of
        the training logs (the configurations repeat others by mistake); the origin of gacc's is uncertain. As there,
        void makes an edge for biou and bf1.
    """
    curves = read_curves(THETAS[metric] if theta is None else theta, CURVES[metric])
    drop = metric == "biou" if drop_background is None else drop_background
    probabilities = logits.softmax(1)  # N C H W
    if metric == "bf1":
        scores, edges = edge_scores(probabilities, labels, curves, tolerance, drop)
        sums, labelled = edges._asdict(), edges.labelled > 0
        value, each = scores.sum() / labelled.sum().clamp(min=1), scores
    else:
        void = void_of(logits)
        counted = labels != void
        if metric == "biou":
            counted = counted & near_edges(labels, void, tolerance, drop)
        sums = _sum_regions(probabilities, labels.where(counted, void), curves)
        labelled = sums["pixels"] > 0
        value, each = surrogate(metric, sums), sums["hits"] / _below(sums).clamp(min=EPSILON)
    return Parts(
        (1 - value).to(logits.dtype),
        labelled.any(),
        per_class=(1 - each.detach()).where(labelled, torch.nan),
        sums={name: total.detach() for name, total in sums.items()},
        facts={"absent": (~labelled).sum()},
    )


def surrogate(metric: str, sums: Mapping[str, Tensor]) -> Tensor:
    """Return ξ, 0-dim, from the sums of :data:`asl` under this metric, added over any images; 0 if all are 0."""
    if metric == "bf1":
        scores = f_score(EdgeSums(**sums))
        labelled = sums["labelled"] > 0
        return scores.where(labelled, 0).sum() / labelled.sum().clamp(min=1)
    pixels = sums["pixels"]
    if metric == "gacc":
        return sums["hits"].sum() / (pixels.sum() + EPSILON)
    each = sums["hits"] / (_below(sums) + EPSILON)
    return (each * pixels).sum() / pixels.sum().clamp(min=1) if metric == "fwiou" else each.mean()


def near_edges(labels: Labels, void: int, tolerance: int, drop_background: bool) -> Tensor:
    """Return the pixels within the tolerance (chessboard distance) of a labelled edge, N H W bool."""
    edges = label_edges(labels, void)  # N H W bool
    if drop_background:
        edges = edges & (labels != 0)
    return spread(edges.float(), tolerance) > 0


def _sum_regions(probabilities: Tensor, labels: Labels, curves: Sequence[Curve]) -> dict[str, Tensor]:
    """Return by class, C in float64: hits Σ A(p) at its pixels, pixels and, with a second curve, others Σ O(p)."""
    valid = labels != void_of(probabilities)  # N H W
    label = labels.long().where(valid, 0).unsqueeze(1)  # N 1 H W
    hits = curves[0](probabilities.gather(1, label).squeeze(1)).where(valid, 0)  # N H W
    zeros = torch.zeros(probabilities.shape[1], dtype=torch.float64, device=labels.device)  # C
    index = label.flatten()  # N·H·W
    sums = {
        "hits": zeros.index_add(0, index, hits.flatten().double()),
        "pixels": zeros.index_add(0, index, valid.flatten().double()),
    }
    if len(curves) == 1:
        return sums
    wrong = valid.unsqueeze(1).expand_as(probabilities).scatter(1, label, False)  # N C H W bool
    others = curves[1](probabilities.flatten(0, 1)).view_as(probabilities).where(wrong, 0)  # N C H W
    return sums | {"others": others.sum((0, 2, 3), dtype=torch.float64)}


def _below(sums: Mapping[str, Tensor]) -> Tensor:
    """Return the denominator: the union, or the pixels."""
    return sums["pixels"] + sums["others"] if "others" in sums else sums["pixels"]
