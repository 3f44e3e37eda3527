"""SSL as written: every statistic a convolution over all classes at once."""

import torch
import torch.nn.functional as F
from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = (
    {"window": 5},
    {"window": 7, "sigma": 2.5},
    {"window": 21, "sigma": 6.0},
    {"sigma": 0.75},
    {"c4": 0.001},
    {"c4": 0.2},
    {"beta": 0.0},
    {"beta": 0.4},
    {"probability": "softmax"},
    {"probability": "softmax", "detach": True},
    {"border": "zero"},
    {"border": "zero", "window": 5, "probability": "softmax"},
    {"scope": "batch", "beta": 0.3},
    {"scope": "plane", "beta": 0.4},
    {"detach": True},
)


def ssl(
    logits: Tensor,
    labels: Tensor,
    *,
    window: int = 3,
    sigma: float = 1.5,
    c4: float = 0.01,
    beta: float = 0.1,
    probability: str = "sigmoid",
    border: str = "renormalise",
    scope: str = "image",
    detach: bool = False,
) -> Tensor:
    shape = {"window": window, "sigma": sigma, "c4": c4, "border": border}
    return by_class(logits, labels, beta=beta, probability=probability, scope=scope, detach=detach, **shape).sum()


def by_class(
    logits: Tensor, labels: Tensor, *, beta: float, probability: str, scope: str, detach: bool, **shape
) -> Tensor:
    """What each class adds to the value."""
    valid, target = (labels != IGNORE).unsqueeze(1), one_hot(logits, labels)
    p = logits.sigmoid() if probability == "sigmoid" else logits.softmax(1)
    error = (normalised(target, valid, **shape) - normalised(p, valid, **shape)).abs() * valid
    axes = {"image": (1, 2, 3), "batch": (0, 1, 2, 3), "plane": (2, 3)}[scope]
    kept = (error > beta * error.detach().amax(axes, keepdim=True)) & valid
    if probability == "sigmoid":
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    else:
        entropy = F.binary_cross_entropy(p, target, reduction="none")
    return ((error.detach() if detach else error) * entropy * kept).sum((0, 2, 3)) / kept.sum().clamp(min=1)


def normalised(maps: Tensor, valid: Tensor, *, window: int, sigma: float, c4: float, border: str) -> Tensor:
    """Less the mean, over the deviation, each with c4 added; both in the Gaussian window around the pixel."""
    offsets = torch.arange(window, device=maps.device).to(maps.dtype) - window // 2
    side = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (side.view(-1, 1) * side).view(1, 1, window, window)
    kernel = kernel / kernel.sum()
    mass, middle = 1, 0.0
    if border == "renormalise":
        mass = F.conv2d(valid.to(maps.dtype), kernel, padding=window // 2).clamp(min=1e-6)
        middle = 0.5  # where the weights add up to 1 the variance is the same around any point

    def smooth(values: Tensor) -> Tensor:
        weights = kernel.expand(values.shape[1], 1, window, window)
        return F.conv2d(values * valid, weights, padding=window // 2, groups=values.shape[1]) / mass

    mean = smooth(maps)
    variance = smooth((maps - middle) ** 2) - (mean - middle) ** 2
    positive = variance > 10 * torch.finfo(maps.dtype).eps
    deviation = variance.where(positive, 1).sqrt().where(positive, 0)
    return (maps - mean + c4) / (deviation + c4)
