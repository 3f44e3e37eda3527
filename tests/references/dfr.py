"""DFR: windows of predictions, positions, colours and features by unfolding; all pairs in a matrix."""

import torch
import torch.nn.functional as F
from torch import Tensor

KERNELS = {
    "product": ((1.0, ("xy", "rgb", "deep")),),
    "sum": ((0.5, ("xy", "rgb")), (0.5, ("xy", "deep"))),
    "shallow": ((1.0, ("xy", "rgb")),),
    "deep": ((1.0, ("xy", "deep")),),
}
"""The terms of a kernel: its weight, and what it is made of."""

SETTINGS = (
    {"radius": 1},
    {"radius": 3, "combine": "shallow"},
    {"radius": 9, "sigma_xy": 20.0},
    {"sigma_xy": 2.0},
    {"sigma_rgb": 0.3},
    {"sigma_rgb": 0.05, "combine": "shallow"},
    {"sigma_feat": 1.7},
    {"sigma_feat": 0.6, "combine": "deep"},
    {"combine": "sum"},
    {"combine": "shallow"},
    {"combine": "deep"},
    {"dense": True},
    {"dense": True, "combine": "sum", "sigma_xy": 3.0, "sigma_rgb": 0.4, "sigma_feat": 2.0},
    {"dense": True, "combine": "shallow"},
    {"dense": True, "combine": "deep"},
)


def dfr(
    logits: Tensor,
    labels: Tensor,
    *,
    image: Tensor,
    features: Tensor | None = None,
    roi: Tensor | None = None,
    radius: int = 5,
    sigma_xy: float = 6.0,
    sigma_rgb: float = 0.1,
    sigma_feat: float = 1.0,
    combine: str = "product",
    dense: bool = False,
) -> Tensor:
    height, width = logits.shape[2:]
    roi = torch.ones_like(logits[:, 0]) if roi is None else roi
    place = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).to(logits)
    guides = {"xy": place.expand(len(logits), -1, -1, -1) / sigma_xy, "rgb": image / 255 / sigma_rgb}
    if features is not None:
        guides["deep"] = on_grid(features.detach(), height, width) / sigma_feat
    terms = [(weight, torch.cat([guides[name] for name in names], 1)) for weight, names in KERNELS[combine]]
    if dense:
        return sum(weight * all_pairs(logits, roi, guide) for weight, guide in terms)  # type: ignore[return-value]
    return sum(weight * near_pairs(logits.softmax(1), roi, guide, radius) for weight, guide in terms) / roi.sum()


def near_pairs(p: Tensor, roi: Tensor, guide: Tensor, radius: int) -> Tensor:
    """Σ over ordered pairs of different pixels in a window."""
    images, _, height, width = p.shape
    side = 2 * radius + 1

    def windows(maps: Tensor) -> Tensor:
        return F.unfold(maps, side, padding=radius).view(images, maps.shape[1], side**2, height, width)

    kernel = torch.exp(-(windows(guide) - guide.unsqueeze(2)).square().sum(1) / 2)
    kernel = kernel * windows(roi.unsqueeze(1))[:, 0] * roi.unsqueeze(1)
    kernel[:, side**2 // 2] = 0
    return (kernel * (1 - (windows(p) * p.unsqueeze(2)).sum(1))).sum()


def all_pairs(logits: Tensor, roi: Tensor, guide: Tensor) -> Tensor:
    """The energy of the dense CRF loss, each pixel with itself too, negative, mean over images."""
    x = guide.flatten(2)
    squared = (x.unsqueeze(3) - x.unsqueeze(2)).square().sum(1)  # N M M
    s = (logits.softmax(1) * roi.unsqueeze(1)).flatten(2)
    return -(s @ torch.exp(-squared / 2) * s).sum() / len(logits)


def on_grid(features: Tensor, height: int, width: int) -> Tensor:
    """Averaged along the sides that shrink, then bilinear along those that grow."""
    rows, columns = min(features.shape[2], height), min(features.shape[3], width)
    return F.interpolate(F.adaptive_avg_pool2d(features, (rows, columns)), (height, width), mode="bilinear")
