"""CPG: two convolutions of all maps, one of the probabilities and one of the labels; elements chosen by masks."""

import torch
import torch.nn.functional as F
from torch import Tensor

from references import IGNORE, one_hot

SETTINGS = (
    {"ksize": 5},
    {"ksize": 7},
    {"ksize": 15, "normalise": "step"},
    {"normalise": "step"},
    {"width": 1},
    {"width": 2, "ksize": 5},
    {"width": 30},
    {"width": "all"},
    {"void": "window"},
    {"void": "window", "width": 3, "ksize": 7, "normalise": "step"},
    {"void": "window", "width": "all", "ksize": 5},
)


def cpg(
    logits: Tensor,
    labels: Tensor,
    *,
    ksize: int = 3,
    width: int | str = "official",
    normalise: str = "none",
    void: str = "centre",
) -> Tensor:
    given, wanted = slopes(logits, labels, ksize)
    squared = ((given - wanted) ** 2)[mask(wanted, labels, ksize, width, void)].mean()
    return squared / gain(ksize) ** 2 if normalise == "step" else squared


def by_class(logits: Tensor, labels: Tensor, *, ksize: int, width: int | str, normalise: str, void: str) -> Tensor:
    given, wanted = slopes(logits, labels, ksize)
    scored = mask(wanted, labels, ksize, width, void)
    each = ((given - wanted) ** 2 * scored).sum((0, 2, 3, 4)) / scored.sum((0, 2, 3, 4))
    return each / gain(ksize) ** 2 if normalise == "step" else each


def kernel(ksize: int) -> Tensor:
    """K_x = dx / (dx² + dy²), 0 at the centre."""
    offsets = torch.arange(ksize, dtype=torch.float64) - ksize // 2
    return offsets / (offsets**2 + offsets.view(-1, 1) ** 2).clamp(min=1)


def gain(ksize: int) -> float:
    """What the kernel answers to a step of height 1."""
    return kernel(ksize).clamp(min=0).sum().item()


def slopes(logits: Tensor, labels: Tensor, ksize: int) -> tuple[Tensor, Tensor]:
    """Derivatives of the softmax and of the one-hot labels, N C 2 H W each."""
    along_x = kernel(ksize).to(logits)
    kernels = torch.stack([along_x, along_x.T]).unsqueeze(1)  # 2 1 k k
    maps = (logits.softmax(1), one_hot(logits, labels))
    padded = (F.pad(each.flatten(0, 1).unsqueeze(1), (ksize // 2,) * 4, mode="replicate") for each in maps)
    given, wanted = (F.conv2d(each, kernels).unflatten(0, logits.shape[:2]) for each in padded)
    return given, wanted


def mask(wanted: Tensor, labels: Tensor, ksize: int, width: int | str, void: str) -> Tensor:
    """Which elements are scored, N C 2 H W bool; where a label has a slope is decided above rounding."""
    valid = (labels != IGNORE)[:, None]
    if void == "window":
        valid = valid & (F.max_pool2d((~valid).float(), ksize, 1, ksize // 2) == 0)
    scored = wanted.abs() > 100 * torch.finfo(wanted.dtype).eps
    if width == "all":
        scored = torch.ones_like(scored)
    elif width != "official":
        target = one_hot(wanted[:, :, 0], labels)
        near = F.max_pool2d(target, 2 * width + 1, 1, width) > 0
        scored = (near & (near.sum(1, keepdim=True) > 1)).unsqueeze(2).expand_as(wanted)
    return scored & valid.unsqueeze(1)
