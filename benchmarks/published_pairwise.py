"""Auto Seg-Loss, AR, dense CRF and DFR as described: curves everywhere, pairs in matrices, windows cut out.

What ``benchmarks/pairwise.py`` compares with, in the form of ``published.py``. Plain tensor operations and automatic
differentiation, no care for memory.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.losses.asl import THETAS

IGNORE = 255


def one_hot(logits: Tensor, labels: Tensor) -> Tensor:
    """N C H W, zero at void pixels."""
    classes = torch.arange(logits.shape[1], device=labels.device).view(1, -1, 1, 1)
    return (labels.unsqueeze(1) == classes).to(logits.dtype)


def bezier(x: Tensor, numbers: tuple[float, ...]) -> Tensor:
    """The authors' root, piece by piece, chosen by masks."""
    xs, ys = (0.0, *numbers[::2], 1.0), (0.0, *numbers[1::2], 1.0)
    value = torch.zeros_like(x)
    for k in range(0, len(xs) - 2, 2):
        inside = (x <= xs[k + 2]) & ((x > xs[k]) | (k == 0))
        u = (x - xs[k]) / (xs[k + 2] - xs[k])
        m = (xs[k + 1] - xs[k]) / (xs[k + 2] - xs[k])
        t = (m - (m**2 + (1 - 2 * m) * torch.where(inside, u, 0)).sqrt()) / (2 * m - 1)
        y = ys[k] + 2 * (ys[k + 1] - ys[k]) * t + (ys[k] - 2 * ys[k + 1] + ys[k + 2]) * t**2
        value = value + y * inside
    return value


def asl(logits: Tensor, labels: Tensor) -> Tensor:
    """One minus the surrogate of mIoU, both curves on all probabilities."""
    p, y = logits.softmax(1), one_hot(logits, labels)
    valid = (labels != IGNORE).unsqueeze(1)
    both, either = bezier(p, THETAS["miou"][:6]), bezier(p, THETAS["miou"][6:])
    intersection = (valid * y * both).sum((0, 2, 3))
    union = (valid * (y + either - y * either)).sum((0, 2, 3)) + 1e-8
    return 1 - (intersection / union).mean()


def ar(
    logits: Tensor,
    labels: Tensor,
    *,
    scales: tuple[int, ...] = (4, 8),
    penalty: str = "l2",
    affinities: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Two affinity matrices of all cells for each image, Σ_c √(P_ic P_jc)."""
    affinities = affinities or sum_of_roots
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
    """The affinity matrix of shares C M as its definition has it, class by class."""
    return torch.stack([torch.outer(share, share) for share in shares]).sqrt().sum(0)


def product_of_roots(shares: Tensor) -> Tensor:
    """The same, roots first: one matrix product."""
    return shares.sqrt().T @ shares.sqrt()


def dense_crf(logits: Tensor, labels: Tensor, *, image: Tensor, sigma_rgb: float = 15, sigma_xy: float = 100) -> Tensor:
    """The kernel of all pairs of each image, at full size."""
    height, width = logits.shape[2:]
    place = torch.cartesian_prod(torch.arange(height), torch.arange(width)).to(logits) / sigma_xy
    total = logits.new_zeros(())
    for s, colours in zip(logits.softmax(1).flatten(2), image.flatten(2), strict=True):
        x = torch.cat([place, colours.T / sigma_rgb], 1)
        half = x.square().sum(1) / 2
        kernel = torch.exp(x @ x.T - half - half.unsqueeze(1))
        total = total - (s @ kernel * s).sum()
    return total / len(logits)


def dfr(logits: Tensor, labels: Tensor, *, image: Tensor, features: Tensor, radius: int = 5) -> Tensor:
    """Windows of predictions, positions, colours and features by unfolding; one kernel of all."""
    images, _, height, width = logits.shape
    side, p = 2 * radius + 1, logits.softmax(1)
    place = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).to(logits) / 6
    deep = F.interpolate(features, (height, width), mode="bilinear")
    guide = torch.cat([place.expand(images, -1, -1, -1), image / 25.5, deep], 1)

    def windows(maps: Tensor) -> Tensor:
        return F.unfold(maps, side, padding=radius).view(images, maps.shape[1], side**2, height, width)

    kernel = torch.exp(-(windows(guide) - guide.unsqueeze(2)).square().sum(1) / 2)
    kernel = kernel * windows(torch.ones_like(p[:, :1]))[:, 0]
    kernel[:, side**2 // 2] = 0
    return (kernel * (1 - (windows(p) * p.unsqueeze(2)).sum(1))).sum() / (images * height * width)
