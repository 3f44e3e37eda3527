"""LAL: every window cut out of scores and labels, those of the anchor's label merged."""

import torch
import torch.nn.functional as F
from torch import Tensor

from references import IGNORE

SETTINGS = (
    {"window": 1, "kappa": 1.0},
    {"window": 5},
    {"window": 5, "sigma": 2.0},
    {"sigma": 0.5},
    {"stride": 2},
    {"window": 7, "stride": 3, "kappa": 2.5},
    {"window": 31, "sigma": 8.0, "stride": 4},
    {"kappa": 10.0},
    {"norm": "weight"},
    {"norm": "weight", "window": 5, "stride": 2},
    {"domain": "probabilities"},
    {"domain": "probabilities", "window": 5, "stride": 3, "sigma": 0.5, "kappa": 2.0},
)


def lal(
    logits: Tensor,
    labels: Tensor,
    *,
    window: int = 3,
    stride: int = 1,
    sigma: float = 1.0,
    kappa: float = 5.0,
    norm: str = "count",
    domain: str = "logits",
) -> Tensor:
    each, label = entropies(logits, labels, window, stride, sigma, norm, domain)
    return each[label != IGNORE].pow(kappa).mean().pow(1 / kappa)


def by_class(logits: Tensor, labels: Tensor, *, kappa: float, **merged) -> Tensor:
    """The same mean over the anchors of each class."""
    each, label = entropies(logits, labels, **merged)
    return torch.stack([each[label == c].pow(kappa).mean().pow(1 / kappa) for c in range(logits.shape[1])])


def entropies(
    logits: Tensor, labels: Tensor, window: int, stride: int, sigma: float, norm: str, domain: str
) -> tuple[Tensor, Tensor]:
    """Cross entropy of the merged scores at the anchors, and the labels there, N h w each."""
    images, classes, height, width = logits.shape
    rows, columns = -(-height // stride), -(-width // stride)
    maps = logits if domain == "logits" else logits.softmax(1)
    cut = F.unfold(maps, window, padding=window // 2, stride=stride).view(images, classes, window**2, rows, columns)
    surrounded = F.pad(labels.to(logits.dtype).unsqueeze(1), (window // 2,) * 4, value=-1)
    near = F.unfold(surrounded, window, stride=stride).view(images, window**2, rows, columns)
    offsets = (torch.arange(window, device=logits.device) - window // 2).abs()
    distance = torch.maximum(offsets.view(-1, 1), offsets.view(1, -1)).view(1, 1, -1, 1, 1).to(logits.dtype)
    weight = torch.exp(-(distance**2) / (2 * sigma**2))
    label = labels[:, ::stride, ::stride]
    same = (near == label.unsqueeze(1)).to(logits.dtype).unsqueeze(1)  # N 1 w² h w
    divisor = same.sum(2) if norm == "count" else (same * weight).sum(2)
    merged = (cut * same * weight).sum(2) / divisor
    scores = merged if domain == "logits" else merged.log()  # whose softmax are the shares of the merged
    return F.cross_entropy(scores, label.long(), ignore_index=IGNORE, reduction="none"), label
