"""Locally adaptive learning loss."""

from typing import Annotated

import torch
from torch import Tensor

from segablate.labels import ignore_index
from segablate.losses.parts.merging import Merged, Window, anchor_labels
from segablate.losses.parts.shapes import Labels, Logits, void_of
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Choice, Range


@loss(
    paper="Guo et al., Locally Adaptive Learning Loss for Semantic Image Segmentation, arXiv:1802.08290",
    bounds=(0, None),
)
def lal(
    logits: Logits,
    labels: Labels,
    *,
    window: Annotated[int, Range(1, 101, odd=True, grid=(1, 3, 5, 7, 9), help="side of the window, in pixels")] = 3,
    stride: Annotated[int, Range(1, 64, grid=(1, 2, 4), help="distance between windows, in pixels")] = 1,
    sigma: Annotated[
        float, Range(0.05, 1000, grid=(0.5, 1, 2, 4), help="standard deviation of the Gaussian weights, in pixels")
    ] = 1,
    kappa: Annotated[float, Range(1, 100, grid=(1, 2, 5, 10), help="exponent of the mean over the windows")] = 5,
    norm: Annotated[
        str,
        Choice("count", "weight", help="divisor of the merged scores", used_when={"domain": ("logits",)}),
    ] = "count",
    domain: Annotated[str, Choice("logits", "probabilities", help="scores that are merged")] = "logits",
) -> Parts:
    """Cross entropy of scores merged over nearby pixels of one label, in a power mean that stresses hard pixels.

    Formula:
        L = [(1/M) Σ_a e_a^κ]^(1/κ),    e_a = -ln softmax(u_a)[t_a],    u_a = (1/m_a) Σ_q g(d_qa) z_q

        The anchors a are the M labelled pixels among every stride-th row and column; t_a is the label of a. q runs over
        the pixels of that label in the window centred on a, clipped at the frame, m_a is their number, d their distance
        max(|Δrow|, |Δcolumn|) and g(d) = exp(-d²/2σ²). With norm=weight m_a is the sum of the g. With
        domain=probabilities e_a = -ln(Q_a[t_a] / Σ_c Q_a[c]) with Q_a = Σ_q g(d_qa) softmax(z_q). In nats.
        With window=1 and kappa=1 this is cross entropy; a large κ approaches the maximum over the anchors.

    Parts:
        per_class is the same mean over the anchors of each class. The value over images follows from the sums powers
        (of e^κ) and anchors. The fact anchors is M, and reached the share of the labelled classes that have an anchor.

    After the paper's description:
        Neither code nor equations are available. The paper describes merging by label, Gaussian weights of the
        chessboard distance, the norm over windows and kappa=5; window, stride, sigma, the divisor and merging before
        the softmax are this program's choice.
    """
    setting = Window(window, stride, sigma, norm == "weight", domain == "probabilities")
    entropy = Merged.apply(logits, labels, setting)  # N h w, 0 at void anchors
    label = anchor_labels(labels, stride)  # N h w
    pixels, anchors = (_count(each, logits.shape[1]) for each in (labels, label))  # C each
    total = anchors.sum()
    biggest = entropy.detach().amax().double()
    powers = (entropy / biggest.where(biggest > 0, 1)).pow(kappa)  # N h w, at most 1: no exponent overflows
    mean = powers.where(label != void_of(logits), 0).sum() / total.clamp(min=1)
    # no slope at 0, where every anchor is right: the root has an infinite one
    value = biggest * mean.where(biggest > 0, 1).pow(1 / kappa)
    by_class = _sum_by_class(powers.detach(), label, logits.shape[1])  # C
    return Parts(
        value.to(logits.dtype),
        total > 0,
        per_class=(by_class / anchors.where(anchors > 0, torch.nan)).pow(1 / kappa) * biggest,
        sums={"powers": by_class.sum() * biggest.pow(kappa), "anchors": total},
        facts={"anchors": total, "reached": (anchors > 0).sum() / (pixels > 0).sum()},
    )


def _count(labels: Tensor, classes: int) -> Tensor:
    """Count the pixels of each class, C."""
    index = labels.long().where(labels != ignore_index(classes), classes).flatten()
    return torch.bincount(index, minlength=classes + 1)[:classes]


def _sum_by_class(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Sum a map N h w over the pixels of each class, C in float64."""
    index = labels.long().where(labels != ignore_index(classes), classes).flatten()
    return values.new_zeros(classes + 1).index_add(0, index, values.flatten())[:classes]
