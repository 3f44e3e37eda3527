"""Dense CRF loss: the kernel of all pairs of each image."""

import torch
from torch import Tensor

SETTINGS = (
    {"scale": 1.0},
    {"scale": 0.3},
    {"scale": 0.05},
    {"sigma_rgb": 60.0},
    {"sigma_rgb": 5.0, "scale": 1.0},
    {"sigma_xy": 3.0},
    {"sigma_xy": 10.0, "sigma_rgb": 200.0, "scale": 0.8},
    {"form": "potts"},
    {"form": "potts", "scale": 1.0, "sigma_xy": 8.0},
)


def dense_crf(
    logits: Tensor,
    labels: Tensor,
    *,
    image: Tensor,
    roi: Tensor | None = None,
    sigma_rgb: float = 15.0,
    sigma_xy: float = 100.0,
    scale: float = 0.5,
    form: str = "code",
) -> Tensor:
    roi = torch.ones_like(logits[:, 0]) if roi is None else roi
    p = bilinear(logits.softmax(1), scale)
    region, colours = nearest(roi.unsqueeze(1), scale), nearest(image, scale)
    height, width = region.shape[2:]
    place = torch.cartesian_prod(torch.arange(height), torch.arange(width)).view(-1, 2).to(logits) / (sigma_xy * scale)
    total = logits.new_zeros(())
    for s, r, colour in zip((p * region).flatten(2), region.flatten(2), colours.flatten(2), strict=True):
        x = torch.cat([place, colour.T / sigma_rgb], 1)
        half = x.square().sum(1) / 2
        kernel = torch.exp(x @ x.T - half - half.unsqueeze(1))
        other = r - s if form == "potts" else -s
        total = total + (s @ kernel * other).sum()
    return total / len(logits)


def nearest(maps: Tensor, scale: float) -> Tensor:
    """Maps N . H W at steps of 1/scale along rows, then columns."""
    for dim in (2, 3):
        steps, side = sampled(maps, dim, scale), maps.shape[dim]
        maps = maps.index_select(dim, (steps / scale).floor().long().clamp(max=side - 1))
    return maps


def bilinear(maps: Tensor, scale: float) -> Tensor:
    """The same between the two nearest pixels, from centre to centre."""
    if scale == 1:
        return maps
    for dim in (2, 3):
        steps, side = sampled(maps, dim, scale), maps.shape[dim]
        centre = ((steps + 0.5) / scale - 0.5).clamp(0, side - 1)
        low, share = centre.floor().long(), (centre % 1).view((-1, 1) if dim == 2 else (-1,)).to(maps.dtype)
        high = (low + 1).clamp(max=side - 1)
        maps = maps.index_select(dim, low) * (1 - share) + maps.index_select(dim, high) * share
    return maps


def sampled(maps: Tensor, dim: int, scale: float) -> Tensor:
    """The numbers of the cells along a side: floor(scale × side) of them, at least one."""
    return torch.arange(max(int(maps.shape[dim] * scale), 1), dtype=torch.float64, device=maps.device)
