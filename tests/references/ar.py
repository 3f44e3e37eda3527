"""AR: two affinity matrices of all cells for each image and scale, Σ_c √(P_ic P_jc) as defined."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = (
    {"scales": (1,)},
    {"scales": (2, 4, 8)},
    {"scales": (3, 7)},
    {"kernel": "dot"},
    {"kernel": "dot", "scales": (64,)},
    {"penalty": "l1"},
    {"penalty": "l1", "kernel": "dot", "scales": (5,)},
)


def ar(
    logits: Tensor,
    labels: Tensor,
    *,
    scales: tuple[int, ...] = (4, 8),
    kernel: str = "sqrt",
    penalty: str = "l2",
    affinities: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """`affinities` replaces the definition by another way to the same matrix."""
    affinities = affinities or (sum_of_roots if kernel == "sqrt" else sum_of_products)
    valid = (labels != IGNORE).unsqueeze(1).to(logits.dtype)
    p, y, each = logits.softmax(1) * valid, one_hot(logits, labels), []
    for scale in scales:
        pixels, predicted, labelled = (
            F.avg_pool2d(maps, scale, ceil_mode=True, divisor_override=1).flatten(2) for maps in (valid, p, y)
        )
        total, pairs = logits.new_zeros(()), 0
        for count, a, b in zip(pixels[:, 0], predicted, labelled, strict=True):
            kept = count > 0
            difference = affinities(a[:, kept] / count[kept]) - affinities(b[:, kept] / count[kept])
            total = total + (difference.square() if penalty == "l2" else difference.abs()).sum()
            pairs += len(difference) ** 2
        each.append(total / pairs)
    return torch.stack(each).mean()


def sum_of_roots(shares: Tensor) -> Tensor:
    """The affinity matrix of shares C M, class by class."""
    return torch.stack([torch.outer(share, share) for share in shares]).sqrt().sum(0)


def product_of_roots(shares: Tensor) -> Tensor:
    """The same, roots first: one matrix product."""
    return shares.sqrt().T @ shares.sqrt()


def sum_of_products(shares: Tensor) -> Tensor:
    """The affinity matrix without roots."""
    return torch.stack([torch.outer(share, share) for share in shares]).sum(0)
