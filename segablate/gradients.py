"""Where a loss pulls: its gradient at the logits, against that of cross entropy, and over the image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from segablate.kernels.boundary_reference import boundary
from segablate.labels import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

WITHIN = (1, 3, 5)
"""Distances from a label boundary, in pixels, within which the share of the gradient is reported."""


@dataclass(frozen=True)
class Ground:
    """What is known of one label map: which pixels lie near a boundary, and which belong to each class.

    - `near`: (3, H·W) bool, within :data:`WITHIN` pixels of a boundary pixel; `labels`: (H·W,) int64.
    """

    near: "Tensor"
    labels: "Tensor"
    classes: int


def ground(label_map: np.ndarray, classes: int, like: "Tensor") -> Ground:
    """Of a label map, H, W uint8 with 255 void, on the device of `like`."""
    import cv2
    import torch

    edge = boundary(label_map, label_map != IGNORE)
    distance = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near = np.stack([(distance <= limit + 1e-3) & edge.any() for limit in WITHIN]).reshape(len(WITHIN), -1)
    labels = torch.from_numpy(label_map.reshape(-1)).long()
    return Ground(torch.from_numpy(near).to(like.device), labels.to(like.device), classes)


def described(gradient: "Tensor", reference: "Tensor", on: Ground) -> dict[str, np.ndarray]:
    """One gradient at the logits, 1, K, H, W.

    `norm`: its Euclidean norm; `cosine`: with `reference`, nan where either is 0; `within`: (3,) share of its absolute
    mass within :data:`WITHIN` pixels of a label boundary; `on_class`: (C,) share on pixels of each class. Shares are
    nan for a gradient of 0.
    """
    import torch

    flat, other = gradient.double().reshape(-1), reference.double().reshape(-1)
    norm, size = flat.norm(), other.norm()
    mass = gradient.double().abs().sum(dim=1).reshape(-1)
    total = mass.sum()
    by_class = torch.zeros(IGNORE + 1, dtype=torch.float64, device=mass.device).index_add_(0, on.labels, mass)
    return {
        "norm": _host(norm),
        "cosine": _host(flat @ other / (norm * size)),
        "within": _host((on.near * mass).sum(dim=1) / total),
        "on_class": _host(by_class[: on.classes] / total),
    }


def _host(values: "Tensor") -> np.ndarray:
    return values.cpu().numpy()
