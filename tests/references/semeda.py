"""SEMEDA: the edge network on the probabilities and on the labels, its three outputs compared."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = (
    {"layer_weights": (0.0, 1.0, 0.0)},
    {"layer_weights": (2.0, 0.0, 0.0)},
    {"layer_weights": (0.5, 0.0, 3.0)},
    {"layer_weights": (1.0, 0.5, 0.25), "post_activation": True},
    {"post_activation": True},
    {"norm": "l2"},
    {"norm": "l2", "reduction": "sum", "post_activation": True},
    {"reduction": "sum"},
)


def semeda(
    logits: Tensor,
    labels: Tensor,
    *,
    edge_net: Sequence[tuple[Tensor, Tensor]],
    layer_weights: Sequence[float] = (1.0, 1.0, 1.0),
    norm: str = "l1",
    reduction: str = "mean",
    post_activation: bool = False,
) -> Tensor:
    valid = (labels != IGNORE).unsqueeze(1)
    found, wanted = logits.softmax(1) * valid, one_hot(logits, labels)
    total = logits.new_zeros(())
    for index, (weight, bias) in enumerate(edge_net):
        found, wanted = (F.conv2d(maps.relu() if index else maps, weight, bias, padding=1) for maps in (found, wanted))
        compared = (found.relu(), wanted.relu()) if post_activation and index < 2 else (found, wanted)
        divisor = valid.sum() * len(weight) if reduction == "mean" else 1
        total = total + layer_weights[index] * (differences(*compared, norm) * valid).sum() / divisor
    return total


def differences(found: Tensor, wanted: Tensor, norm: str) -> Tensor:
    return (found - wanted).abs() if norm == "l1" else (found - wanted).square()
