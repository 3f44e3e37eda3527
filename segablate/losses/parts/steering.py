"""The direction of a boundary pixel: distances to the label boundary, and the neighbour nearest to it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.kernels.distance import distance_transform
from segablate.losses.parts.directions import OFFSETS, Pixels

OUTSIDE = 1e5
"""Distance of the pixels outside the image."""


def label_boundary(labels: Tensor, void: int) -> Tensor:
    """Return the pixels whose label differs from the one below or to the right, and all void pixels; N H W bool."""
    boundary = labels == void
    boundary[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    boundary[:, :, :-1] |= labels[:, :, :-1] != labels[:, :, 1:]
    return boundary


def distances(boundary: Tensor, floored: bool, to_corner: bool) -> Tensor:
    """Return the distance d to the nearest boundary pixel, N H W float32 in pixels; max(0, ⌊d - 1⌋) if `floored`.

    In an image without boundary it is infinite or, if `to_corner`, the distance to the pixel above the top left corner.
    """
    away = distance_transform(boundary)  # N H W
    if to_corner:
        height, width = boundary.shape[1:]
        down = torch.arange(1, height + 1, device=boundary.device, dtype=torch.float64).view(-1, 1)
        right = torch.arange(width, device=boundary.device, dtype=torch.float64)
        away = away.where(away.isfinite(), (down.square() + right.square()).sqrt().float())
    return away.sub_(1).floor_().clamp_(min=0) if floored else away


def targets(away: Tensor, pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Return the neighbour of least distance, K indices into OFFSETS (the first of several), and whether it counts, K.

    It does not count where the pixel itself is nearer than all its neighbours.
    """
    padded = F.pad(away, (1, 1, 1, 1), value=OUTSIDE)  # N H+2 W+2
    around = [padded[pixels.image, pixels.row + 1 + down, pixels.column + 1 + right] for down, right in OFFSETS]
    nearest = torch.stack([*around, away[pixels]]).argmin(0)  # K
    aimed = nearest < len(OFFSETS)
    return nearest.clamp(max=len(OFFSETS) - 1), aimed
