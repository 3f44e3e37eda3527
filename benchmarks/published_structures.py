"""ABL, SSL, SEMEDA and LAL as their papers and authors' code describe them: the second half of ``published.py``."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

IGNORE = 255
DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (-1, 1), (1, 1), (-1, -1), (1, -1), (0, 0))


def abl(logits: Tensor, labels: Tensor, *, budget: float = 0.01, clip: float = 20, smoothing: float = 0.2) -> Tensor:
    """The threshold raised until few enough pixels are above it; scipy's distances; neighbours from padded copies."""
    boundary = _predicted_boundary(logits, budget)
    away = torch.stack([_floored_distance(image) for image in labels.cpu().numpy()]).to(logits.device)
    image, row, column = boundary.nonzero(as_tuple=True)
    padded = F.pad(logits, (1, 1, 1, 1), mode="replicate").permute(0, 2, 3, 1)  # N H+2 W+2 C
    padded_away = F.pad(away, (1, 1, 1, 1), value=1e5)
    centre = padded[image, row + 1, column + 1]
    around = [(image, row + 1 + down, column + 1 + right) for down, right in DIRECTIONS]
    nearest = torch.stack([padded_away[place] for place in around]).argmin(0)
    towards = torch.stack([_divergence(padded[place].detach(), centre) for place in around[:8]], 1)
    aim = torch.full_like(towards, smoothing / 8).scatter(1, nearest.unsqueeze(1), 1 - smoothing)
    weight = away[image, row, column].clamp(max=clip) / clip
    return (-(aim * towards.log_softmax(1)).sum(1) * weight).mean()


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL of two softmaxes, given as logits ... C."""
    return (p.softmax(-1) * p.log_softmax(-1) - p.softmax(-1) * q.log_softmax(-1)).sum(-1)


def _predicted_boundary(logits: Tensor, budget: float) -> Tensor:
    height, width = logits.shape[2:]
    maps = logits.permute(0, 2, 3, 1)
    down = F.pad(_divergence(maps[:, :-1], maps[:, 1:]), (0, 0, 0, 1))
    right = F.pad(_divergence(maps[:, :, :-1], maps[:, :, 1:]), (0, 1))
    difference, threshold = down + right, 1e-5
    while (seeds := (difference > threshold).float()).sum() > budget * height * width:
        threshold *= 1.2
    return F.conv2d(seeds.unsqueeze(1), torch.ones(1, 1, 3, 3, device=logits.device), padding=1)[:, 0] > 0


def _floored_distance(labels: np.ndarray) -> Tensor:
    boundary = labels == IGNORE
    boundary[:-1] |= labels[:-1] != labels[1:]
    boundary[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    outside = distance_transform_edt(~boundary) * ~boundary
    inside = (distance_transform_edt(boundary) - 1) * boundary  # the authors make it, and clip it away
    signed = outside - inside
    return torch.from_numpy(np.where(boundary, 0, np.maximum(np.floor(signed - 1), 0))).float()


def lal(
    logits: Tensor, labels: Tensor, *, window: int = 3, stride: int = 1, sigma: float = 1, kappa: float = 5
) -> Tensor:
    """Every window cut out of scores and labels."""
    images, classes, height, width = logits.shape
    rows, columns = -(-height // stride), -(-width // stride)
    cut = F.unfold(logits, window, padding=window // 2, stride=stride).view(images, classes, window**2, rows, columns)
    void = F.pad(labels.to(logits.dtype).unsqueeze(1), (window // 2,) * 4, value=-1)
    near = F.unfold(void, window, stride=stride).view(images, window**2, rows, columns)
    offsets = (torch.arange(window, device=logits.device) - window // 2).abs()
    distance = torch.maximum(offsets.view(-1, 1), offsets.view(1, -1)).view(1, 1, -1, 1, 1)
    label = labels[:, ::stride, ::stride]
    same = (near == label.unsqueeze(1)).to(logits.dtype).unsqueeze(1)
    merged = (cut * same * torch.exp(-(distance**2) / (2 * sigma**2))).sum(2) / same.sum(2)
    each = F.cross_entropy(merged, label, ignore_index=IGNORE, reduction="none")[label != IGNORE]
    return each.pow(kappa).mean().pow(1 / kappa)


def ssl(logits: Tensor, labels: Tensor, *, window: int = 3, sigma: float = 1.5, beta: float = 0.1) -> Tensor:
    """Every statistic a convolution over all classes at once."""
    valid = (labels != IGNORE).unsqueeze(1)
    target = (labels.unsqueeze(1) == torch.arange(logits.shape[1], device=labels.device).view(1, -1, 1, 1)).float()
    side = torch.exp(-((torch.arange(window, device=logits.device) - window // 2) ** 2) / (2 * sigma**2))
    kernel = (side.view(-1, 1) * side).view(1, 1, window, window)
    mass = F.conv2d(valid.float(), kernel, padding=window // 2).clamp(min=1e-6)

    def smooth(maps: Tensor) -> Tensor:
        weights = kernel.expand(maps.shape[1], 1, window, window)
        return F.conv2d(maps * valid, weights, padding=window // 2, groups=maps.shape[1]) / mass

    def normalise(maps: Tensor) -> Tensor:
        mean = smooth(maps)
        variance = smooth((maps - 0.5) ** 2) - (mean - 0.5) ** 2
        positive = variance > 1e-7
        deviation = variance.where(positive, 1).sqrt().where(positive, 0)
        return (maps - mean + 0.01) / (deviation + 0.01)

    error = ((normalise(target) - normalise(logits.sigmoid())).abs()) * valid
    kept = (error > beta * error.detach().amax((1, 2, 3), keepdim=True)) & valid
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (error * entropy * kept).sum() / kept.sum()


def semeda(logits: Tensor, labels: Tensor, *, edge_net: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The edge network on the probabilities and on the labels, its three outputs compared."""
    valid = (labels != IGNORE).unsqueeze(1)
    target = (labels.unsqueeze(1) == torch.arange(logits.shape[1], device=labels.device).view(1, -1, 1, 1)).float()
    found, wanted = logits.softmax(1) * valid, target
    total = logits.new_zeros(())
    for index, (weight, bias) in enumerate(edge_net):
        found, wanted = (F.conv2d(maps.relu() if index else maps, weight, bias, padding=1) for maps in (found, wanted))
        total = total + ((found - wanted).abs() * valid).sum() / (valid.sum() * len(weight))
    return total
