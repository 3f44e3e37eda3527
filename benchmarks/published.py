"""The losses as their papers and authors' code describe them, written down step by step with all classes at once.

What ``benchmarks/losses.py`` compares with: plain tensor operations and automatic differentiation, no care for memory.
Each takes logits N C H W and labels N H W and gives a scalar.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255


def one_hot(logits: Tensor, labels: Tensor) -> Tensor:
    """N C H W, zero at void pixels."""
    classes = torch.arange(logits.shape[1], device=labels.device).view(1, -1, 1, 1)
    return (labels.unsqueeze(1) == classes).to(logits.dtype)


def ce(logits: Tensor, labels: Tensor) -> Tensor:
    return -(one_hot(logits, labels) * logits.log_softmax(1)).sum() / (labels != IGNORE).sum()


def bce(logits: Tensor, labels: Tensor) -> Tensor:
    valid = (labels != IGNORE).unsqueeze(1)
    each = F.binary_cross_entropy_with_logits(logits, one_hot(logits, labels), reduction="none")
    return (each * valid).sum() / valid.sum()


def focal(logits: Tensor, labels: Tensor) -> Tensor:
    log_p = logits.log_softmax(1)
    return -(one_hot(logits, labels) * (1 - log_p.exp()) ** 2 * log_p).sum() / (labels != IGNORE).sum()


def dice(logits: Tensor, labels: Tensor) -> Tensor:
    target = one_hot(logits, labels)
    p = logits.softmax(1) * (labels != IGNORE).unsqueeze(1)
    pixels = target.sum((0, 2, 3))
    each = 1 - (2 * (p * target).sum((0, 2, 3)) + 1) / (p.sum((0, 2, 3)) + pixels + 1)
    return each[pixels > 0].mean()


def lovasz(logits: Tensor, labels: Tensor) -> Tensor:
    valid = (labels != IGNORE).flatten()
    p = logits.softmax(1).transpose(0, 1).flatten(1)[:, valid]
    target = one_hot(logits, labels).transpose(0, 1).flatten(1)[:, valid]
    losses = []
    for foreground, probability in zip(target, p, strict=True):
        if foreground.sum() == 0:
            continue
        errors, order = (foreground - probability).abs().sort(descending=True)
        hit = foreground[order]
        jaccard = 1 - (hit.sum() - hit.cumsum(0)) / (hit.sum() + (1 - hit).cumsum(0))
        steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
        losses.append((errors * steps).sum())
    return torch.stack(losses).mean()


def recall(logits: Tensor, labels: Tensor) -> Tensor:
    predicted, classes = logits.argmax(1), range(logits.shape[1])
    missed = torch.stack([((labels == c) & (predicted != c)).sum() for c in classes])
    pixels = torch.stack([(labels == c).sum() for c in classes])
    weights = missed.clamp(min=1) / pixels.clamp(min=1)
    entropy = -(one_hot(logits, labels) * logits.log_softmax(1)).sum(1)
    per_pixel = (one_hot(logits, labels) * weights.view(1, -1, 1, 1)).sum(1)
    return (per_pixel * entropy).sum() / (labels != IGNORE).sum()


def rmi(logits: Tensor, labels: Tensor, side: int = 3, stride: int = 4, alpha: float = 5e-4) -> Tensor:
    """Every d-dimensional point of all classes in float64, an explicit inverse, then a Cholesky factor."""
    p = logits.sigmoid() * (labels != IGNORE).unsqueeze(1) + 1e-6
    maps = torch.stack([one_hot(logits, labels), p]).flatten(0, 2)  # 2NC H W
    cells = F.avg_pool2d(maps.unsqueeze(1), stride, stride, stride // 2)
    points = F.unfold(cells, side).unflatten(0, (2, *logits.shape[:2])).double()  # 2 N C d n
    y, q = points - points.mean(-1, keepdim=True)
    ridge = alpha * torch.eye(side**2, dtype=torch.float64, device=logits.device)
    across = y @ q.mT
    left = y @ y.mT - across @ torch.linalg.inv(q @ q.mT + ridge) @ across.mT
    factor = torch.linalg.cholesky(left + ridge)
    return ((factor.diagonal(dim1=-2, dim2=-1) + 1e-8).log().sum(-1).mean(0) / side**2).sum().float()


def cpg(logits: Tensor, labels: Tensor) -> Tensor:
    """Two convolutions of all maps, one of the probabilities and one of the labels."""
    along_x = torch.tensor([[-0.5, 0.0, 0.5], [-1.0, 0.0, 1.0], [-0.5, 0.0, 0.5]], device=logits.device)
    kernels = torch.stack([along_x, along_x.T]).unsqueeze(1)  # 2 1 3 3
    maps = (one_hot(logits, labels), logits.softmax(1))
    padded = (F.pad(each.flatten(0, 1).unsqueeze(1), (1, 1, 1, 1), mode="replicate") for each in maps)
    wanted, given = (F.conv2d(each, kernels).unflatten(0, logits.shape[:2]) for each in padded)  # N C 2 H W
    mask = (wanted * (labels != IGNORE)[:, None, None]) != 0
    return ((given - wanted) ** 2)[mask].mean()
