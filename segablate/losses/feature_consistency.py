"""Feature consistency: trains the features of the dynamic feature regularised loss."""

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.labels import MOST_CLASSES
from segablate.losses.parts.guidance import check_shape
from segablate.losses.parts.near_pairs import half_window
from segablate.losses.parts.shapes import Features, Labels, Logits, void_of
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Range

EPSILON = 1e-5
"""Added to affinities and to their complements inside the logarithms."""

SHARES = (0.25, 0.25, 0.5)
"""Weights of the pairs of background, of one foreground class, and of different classes."""

_VOID = -1.0
"""The label of void cells, whatever the number of classes."""


@loss(
    paper="after the description in Zhang et al., Dynamic Feature Regularized Loss for Weakly Supervised Semantic "
    "Segmentation, Pattern Recognition 2025, arXiv:2108.01296",
    exceptions={"relabelling": "class 0 is the background, whose pairs are weighted separately"},
    incomparable={"background": "pairs are weighted in another way", "radius": "pairs farther apart differ more"},
    opaque=True,
)
def feature_consistency(
    logits: Logits,
    labels: Labels,
    *,
    features: Features,
    radius: Annotated[int, Range(1, 1000, grid=(2, 3, 4, 5), help="reach of the window, in cells of the features")] = 4,
    background: Annotated[
        int | None,
        Range(0, MOST_CLASSES - 1, grid=(None, 0), help="class whose pairs are weighted separately; none: no class"),
    ] = 0,
) -> Parts:
    """Cross entropy of pairwise feature affinities against equality of labels, after the paper's description.

    Formula:
        L = ¼ mean_B(-ln(a + ε)) + ¼ mean_S(-ln(a + ε)) + ½ mean_D(-ln(1 + ε - a)),    a_ij = exp(-mean_d |f_id - f_jd|)

        Pairs of different cells of the features' own grid, at most radius rows and columns apart, both labelled: B
        both background, S both of one other class, D of different classes; ε = 1e-5. Labels are sampled at the nearest
        pixel. The means run over the batch, and one over no pairs is 0. In nats. The gradient is at the features alone;
        the logits have no effect.

    Parts:
        The facts background, same and different are the three means, nan without such pairs. Over images they follow
        from the sums totals and pairs (three entries each).

    After the paper's description:
        Neither code nor equations are available. The paper describes a head trained on pairwise relations of pixels.
        Affinity, weights and radius are those of the authors' related code, where cells beyond the frame count as
        background and each cell as a pair with itself; here they do not.
    """
    check_shape("features", features, (len(logits),))
    cells = F.interpolate(labels.unsqueeze(1).float(), tuple(features.shape[2:]), mode="nearest").squeeze(1)  # N h w
    cells = cells.where(cells != void_of(logits), _VOID)
    maps = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
    differentiable = torch.is_grad_enabled() and features.requires_grad
    value, totals, pairs = _PairEntropies.apply(maps, cells, radius, background, differentiable)  # type: ignore[misc]
    means = totals / pairs
    return Parts(
        value.to(logits.dtype) + logits.flatten()[:0].sum(),  # attached to the logits, with gradient 0
        (pairs > 0).any(),
        sums={"totals": totals, "pairs": pairs},
        facts=dict(zip(("background", "same", "different"), means.unbind(), strict=True)),
    )


class _PairEntropies(torch.autograd.Function):
    """(features N D h w, labels N h w, radius, background, differentiable) -> value, totals, pairs.

    The last two are detached, three entries each, float64. The gradient is computed with the value: the weight of a
    pair follows from the labels alone, which are counted first.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, labels: Tensor, radius: int, background: int | None, differentiable: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        pairs = _count_kinds(labels, radius, background)  # 3
        weights = torch.tensor(SHARES, dtype=torch.float64, device=features.device) / pairs.clamp(min=1)  # 3
        totals = torch.zeros_like(pairs)  # 3
        gradient = torch.zeros_like(features) if differentiable else None  # N D h w
        slopes = weights.to(features.dtype) / features.shape[1]
        for image, label in enumerate(labels.unsqueeze(1)):  # 1 h w
            for here, there, _ in half_window(label.shape[1:], radius):
                kinds = _kinds(label[here], label[there], background)  # 3 h w
                difference = features[image][here] - features[image][there]  # D h w
                distance = difference.abs().mean(0)  # h w
                affinity = (-distance).exp()  # h w
                similar, different = affinity + EPSILON, EPSILON - torch.expm1(-distance)  # h w each
                entropy = torch.stack([-similar.log(), -similar.log(), -different.log()])  # 3 h w
                totals += 2 * entropy.where(kinds, 0).sum((1, 2), dtype=torch.float64)
                if gradient is None:
                    continue
                slope = torch.stack([affinity / similar, affinity / similar, -affinity / different])  # 3 h w
                slope = 2 * torch.einsum("k,khw->hw", slopes, slope.where(kinds, 0))  # h w
                pull = difference.sign_().mul_(slope)  # D h w
                gradient[image][here].add_(pull)
                gradient[image][there].sub_(pull)
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(totals, pairs)
        return (weights * totals).sum(), totals, pairs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient,) = ctx.saved_tensors
        return upstream[0].to(gradient.dtype) * gradient, None, None, None, None


def _kinds(here: Tensor, there: Tensor, background: int | None) -> Tensor:
    """Classify pairs, by maps 1 h w of their labels: background, one other class, different classes; 3 h w bool."""
    valid, equal = (here != _VOID) & (there != _VOID), here == there  # 1 h w bool
    of_background = equal & (here == (_VOID if background is None else background))
    return torch.cat([of_background, equal & ~of_background, ~equal]) & valid


def _count_kinds(labels: Tensor, radius: int, background: int | None) -> Tensor:
    """Count the ordered pairs of each kind, 3 in float64."""
    count = torch.zeros(3, dtype=torch.float64, device=labels.device)
    for label in labels.unsqueeze(1):
        for here, there, _ in half_window(label.shape[1:], radius):
            count += 2 * _kinds(label[here], label[there], background).sum((1, 2))
    return count
