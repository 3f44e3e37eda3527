"""RMI: every d-dimensional point of all classes in float64, an explicit inverse, then a Cholesky factor."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = (
    {"radius": 1},
    {"radius": 2, "stride": 1},
    {"radius": 4, "stride": 2},
    {"stride": 3},
    {"stride": 5, "radius": 2},
    {"pool": "max"},
    {"pool": "max", "stride": 3, "radius": 2},
    {"alpha": 1e-6},
    {"alpha": 0.1},
    {"probability": "softmax"},
    {"void": "drop", "stride": 2, "radius": 2},
    {"normalise": "points"},
    {"void": "drop", "normalise": "points", "stride": 2},
    {"void": "drop", "pool": "max", "probability": "softmax", "stride": 3, "radius": 2, "normalise": "points"},
)
TOLERANCE = 1e-8


class Regression(NamedTuple):
    """By image and class, N C: the term, the gain over knowing nothing and whether the class is there; counted N."""

    term: Tensor
    gain: Tensor
    present: Tensor
    counted: Tensor


def rmi(
    logits: Tensor,
    labels: Tensor,
    *,
    radius: int = 3,
    pool: str = "avg",
    stride: int = 4,
    alpha: float = 5e-4,
    probability: str = "sigmoid",
    void: str = "keep",
    normalise: str = "none",
) -> Tensor:
    windows = {"radius": radius, "pool": pool, "stride": stride, "void": void}
    found = regress(logits, labels, alpha=alpha, probability=probability, normalise=normalise, **windows)
    return found.term[found.counted].mean(0).sum().to(logits.dtype)


def by_class(logits: Tensor, labels: Tensor, **settings) -> Tensor:
    """Mean over the images that show the class."""
    found = regress(logits, labels, **settings)
    return found.term.where(found.present & found.counted.unsqueeze(1), torch.nan).nanmean(0)


def regress(
    logits: Tensor,
    labels: Tensor,
    *,
    radius: int,
    pool: str,
    stride: int,
    alpha: float,
    probability: str,
    void: str,
    normalise: str,
) -> Regression:
    reduce = F.avg_pool2d if pool == "avg" else F.max_pool2d
    p = logits.sigmoid() if probability == "sigmoid" else logits.softmax(1)
    p = p * (labels != IGNORE).unsqueeze(1) + 1e-6
    maps = torch.stack([one_hot(logits, labels), p]).flatten(0, 2)  # 2NC H W
    cells = reduce(maps.unsqueeze(1), stride, stride, stride // 2)
    points = F.unfold(cells, radius).unflatten(0, (2, *logits.shape[:2])).double()  # 2 N C d n
    kept = windows_without_void(labels, radius, stride) if void == "drop" else None
    y, q = points - points.mean(-1, keepdim=True) if kept is None else centred(points, kept)
    ridge = alpha * torch.eye(radius**2, dtype=torch.float64, device=logits.device)
    across = y @ q.mT
    left = y @ y.mT - across @ torch.linalg.inv(q @ q.mT + ridge) @ across.mT
    factor = torch.linalg.cholesky(left + ridge)
    term = (factor.diagonal(dim1=-2, dim2=-1) + 1e-8).log().sum(-1) / radius**2
    present = y.amax((-1, -2)) > 1e-6
    count = torch.full_like(labels[:, 0, 0], points.shape[-1]) if kept is None else kept.sum(1)
    if normalise == "points":
        term = term - present * count.clamp(min=1).double().log().unsqueeze(1) / 2
    gain = (torch.logdet(y @ y.mT + ridge) - torch.logdet(left + ridge)) / (2 * radius**2)
    return Regression(term, gain, present, count > 0)


def windows_without_void(labels: Tensor, radius: int, stride: int) -> Tensor:
    """N n bool, for windows of cells none of whose pixels is void."""
    cells = F.max_pool2d((labels == IGNORE).float().unsqueeze(1), stride, stride, stride // 2)
    return F.max_pool2d(cells, radius, 1).flatten(1) == 0


def centred(points: Tensor, kept: Tensor) -> Tensor:
    """The kept points less their mean, the others zero."""
    kept = kept[:, None, None].to(points.dtype)  # N 1 1 n
    mean = (points * kept).sum(-1, keepdim=True) / kept.sum(-1, keepdim=True).clamp(min=1)
    return (points - mean) * kept
