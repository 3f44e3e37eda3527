"""ABL: the threshold raised until few enough pixels are above it; scipy's distances; neighbours from padded copies."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from references import IGNORE

SETTINGS = (
    {"budget": 0.06},
    {"budget": 1.0},
    {"clip": 2.0},
    {"clip": 7.0, "distance": "exact"},
    {"smoothing": 0.0},
    {"smoothing": 0.5, "detach": False},
    {"detach": False},
    {"scope": "batch", "budget": 0.1},
    {"scope": "batch", "budget": 0.03, "distance": "exact"},
    {"distance": "exact"},
    {"distance": "exact", "budget": 0.03, "detach": False},
    {"no_boundary": "corner"},
    {"no_boundary": "corner", "distance": "exact"},
)
TOLERANCE = 1e-6  # the program has distances in float32
DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (-1, 1), (1, 1), (-1, -1), (1, -1), (0, 0))


def abl(
    logits: Tensor,
    labels: Tensor,
    *,
    budget: float = 0.01,
    clip: float = 20.0,
    smoothing: float = 0.2,
    detach: bool = True,
    scope: str = "image",
    distance: str = "floor",
    no_boundary: str = "skip",
) -> Tensor:
    maps = [label_distance(image, distance, no_boundary) for image in labels.cpu().numpy()]
    away = torch.from_numpy(np.stack(maps)).to(logits)  # N H W, nan in an image that is skipped
    boundary = predicted_boundary(logits, budget, scope) & ~away.isnan()
    image, row, column = boundary.nonzero(as_tuple=True)
    padded = F.pad(logits, (1, 1, 1, 1), mode="replicate").permute(0, 2, 3, 1)  # N H+2 W+2 C
    padded_away = F.pad(away, (1, 1, 1, 1), value=1e5)
    centre = padded[image, row + 1, column + 1]
    around = [(image, row + 1 + down, column + 1 + right) for down, right in DIRECTIONS]
    target = torch.stack([padded_away[place] for place in around]).argmin(0)
    near = [padded[place].detach() if detach else padded[place] for place in around[:8]]
    towards = torch.stack([divergence(each, centre) for each in near], 1)
    aimed = target < 8  # the authors drop a pixel that is nearer than its neighbours
    aim = torch.full_like(towards, smoothing / 8).scatter(1, target.clamp(max=7).unsqueeze(1), 1 - smoothing)
    weight = away[image, row, column].clamp(max=clip) / clip
    each = -(aim * towards.log_softmax(1)).sum(1) * weight
    return each[aimed].mean() if aimed.any() else 0 * logits.sum()


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL of two softmaxes, given as logits ... C."""
    return (p.softmax(-1) * p.log_softmax(-1) - p.softmax(-1) * q.log_softmax(-1)).sum(-1)


def predicted_boundary(logits: Tensor, budget: float, scope: str) -> Tensor:
    """The seeds and their eight neighbours, N H W bool."""
    height, width = logits.shape[2:]
    maps = logits.permute(0, 2, 3, 1)
    down = F.pad(divergence(maps[:, :-1], maps[:, 1:]), (0, 0, 0, 1))
    right = F.pad(divergence(maps[:, :, :-1], maps[:, :, 1:]), (0, 1))
    groups = (down + right).split(len(logits) if scope == "batch" else 1)
    seeds = torch.cat([seeds_by_raising(group, budget * height * width) for group in groups])
    return F.conv2d(seeds.unsqueeze(1), torch.ones(1, 1, 3, 3).to(seeds), padding=1)[:, 0] > 0


def seeds_by_raising(difference: Tensor, most: float) -> Tensor:
    threshold = 1e-5
    while (seeds := (difference > threshold).float()).sum() > most:
        threshold *= 1.2
    return seeds


def label_distance(labels: np.ndarray, distance: str, no_boundary: str) -> np.ndarray:
    """To the nearest pixel whose label differs below or to the right, or that is void; nan to skip the image."""
    boundary = labels == IGNORE
    boundary[:-1] |= labels[:-1] != labels[1:]
    boundary[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    if boundary.any():
        away = distance_transform_edt(~boundary)
    elif no_boundary == "corner":  # scipy measures to a pixel above the upper left one
        row, column = np.indices(labels.shape)
        away = np.hypot(row + 1, column)
    else:
        return np.full(labels.shape, np.nan)
    return np.maximum(np.floor(away - 1), 0) if distance == "floor" else away
