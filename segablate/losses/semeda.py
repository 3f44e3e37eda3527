"""Semantic edge-aware loss."""

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.losses.parts.edge_features import checked, feature_differences
from segablate.losses.parts.shapes import Labels, Logits, void_of
from segablate.objective.loss import Parts, loss
from segablate.objective.ranges import Choice, Range


@loss(
    paper="Chen, Dapogny and Cord, SEMEDA: Enhancing Segmentation Precision with Semantic Edge Aware Loss, "
    "Pattern Recognition 2020, arXiv:1905.01892",
    objective="ce + semeda",
    opaque=True,
    bounds=(0, None),
)
def semeda(
    logits: Logits,
    labels: Labels,
    *,
    edge_net: Sequence[tuple[Tensor, Tensor]],
    layer_weights: Annotated[
        tuple[float, float, float],
        Range(0, 1e6, grid=((1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)), help="weights of the three layers"),
    ] = (1, 1, 1),
    norm: Annotated[str, Choice("l1", "l2", help="absolute or squared differences")] = "l1",
    reduction: Annotated[str, Choice("mean", "sum", help="reduction over labelled pixels and channels")] = "mean",
    post_activation: Annotated[bool, Range(help="compare layers 1 and 2 after their ReLU")] = False,
) -> Parts:
    """Difference between the features of probabilities and of labels in a network trained to detect label edges.

    Formula:
        L = Σ_l w_l mean |ψ_l(p) - ψ_l(y)|,    ψ_1 = A_1 * x,    ψ_l = A_l * max(0, ψ_(l-1))

        p is the softmax, y the one-hot label, both 0 at void pixels. ψ are the outputs of three 3×3 convolutions with
        16, 32 and 2 channels; the mean is over the labelled pixels of the batch and the channels of the layer
        (reduction=sum: the sum). With norm=l2 differences are squared. 0 is perfect. The value depends on the network
        ψ, which is an input: values are comparable only under the same one.

    Parts:
        The facts layer_1, layer_2 and layer_3 are the layers' values before weighting, for the layers that are
        computed. Over images they follow from the sums layers (over the pixels, mean over the channels) and pixels.

    After the paper's description:
        There is no authors' code. Channels, the L1 norm and comparing before the ReLU follow public re-implementations;
        weights of the layers and of the term are this program's choice. The third layer, whose outputs are edge logits,
        outweighs the others unless layer_weights balances them.
    """
    layers = checked(edge_net, logits)
    valid = (labels != void_of(logits)).unsqueeze(1)  # N 1 H W
    needed = max((index for index, weight in enumerate(layer_weights, 1) if weight), default=0)
    attached = 0 * logits.flatten()[0].double()  # there may be no layer to compare
    differences = feature_differences(logits.softmax(1) * valid, labels, layers[:needed], post_activation)
    by_pixel = [(each.abs() if norm == "l1" else each.square()).sum(1, keepdim=True) for each in differences]
    sums = torch.stack([attached, *(each.where(valid, 0).sum(dtype=torch.float64) for each in by_pixel)])[1:]
    channels = sums.new_tensor([each.shape[1] for each in differences])
    pixels = valid.sum()
    terms = sums if reduction == "sum" else sums / channels / pixels.clamp(min=1)  # layers
    value = (terms * terms.new_tensor(layer_weights[:needed])).sum()
    return Parts(
        value.to(logits.dtype),
        valid.any(),
        sums={"layers": F.pad(sums.detach() / channels, (0, 3 - needed)), "pixels": pixels},
        facts={f"layer_{index}": term for index, term in enumerate(terms.detach(), 1)},
    )
