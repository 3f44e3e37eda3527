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
class PixelRegions:
    """What is known of one label map: which pixels lie near a boundary, and which belong to each class.

    - `near`: (3, H·W) bool, within :data:`WITHIN` pixels of a boundary pixel; `labels`: (H·W,) int64.
    """

    near: "Tensor"
    labels: "Tensor"
    classes: int


def pixel_regions(label_map: np.ndarray, classes: int, like: "Tensor") -> PixelRegions:
    """Of a label map, H, W uint8 with 255 void, on the device of `like`."""
    import cv2
    import torch

    edge = boundary(label_map, label_map != IGNORE)
    distance = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near = np.stack([(distance <= limit + 1e-3) & edge.any() for limit in WITHIN]).reshape(len(WITHIN), -1)
    labels = torch.from_numpy(label_map.reshape(-1)).long()
    return PixelRegions(torch.from_numpy(near).to(like.device), labels.to(like.device), classes)


def gradient_statistics(gradient: "Tensor", reference: "Tensor", on: PixelRegions) -> dict[str, np.ndarray]:
    """One gradient at the logits, 1, K, H, W; sums over pixels in float64.

    `norm`: its Euclidean norm; `cosine`: with `reference`, nan where either is 0; `within`: (3,) share of its absolute
    mass within :data:`WITHIN` pixels of a label boundary, nan where the labels have none; `on_class`: (C+1,) share on
    pixels of each class, the last for void. Shares are nan for a gradient of 0.
    """
    norm, size = _norm(gradient), _norm(reference)
    product = (gradient * reference).sum(dim=1).double().sum()
    mass = gradient.abs().sum(dim=1).double().reshape(-1)
    return {
        "norm": _host(norm),
        "cosine": _host(product / (norm * size)),
        "within": _host(_over(mass, on)),
        "on_class": _host(_by_class(mass, on) / mass.sum()),
    }


def pixel_shares(on: PixelRegions) -> dict[str, np.ndarray]:
    """The shares `within` and `on_class` that a gradient of one size on all pixels would have."""
    everywhere = on.near.new_ones(on.labels.shape).double()
    return {
        "within": _host(_over(everywhere, on)),
        "on_class": _host(_by_class(everywhere, on) / everywhere.sum()),
    }


def _over(mass: "Tensor", on: PixelRegions) -> "Tensor":
    shares = (on.near * mass).sum(dim=1) / mass.sum()
    return shares.where(on.near.any(), float("nan"))


def _by_class(mass: "Tensor", on: PixelRegions) -> "Tensor":
    """Sums (C+1,) by class, the last of void; a sum for each class, as atomic additions have no fixed order on CUDA."""
    label = [*range(on.classes), IGNORE]
    return mass.new_tensor([float(mass[on.labels == index].sum()) for index in label])


def _norm(gradient: "Tensor") -> "Tensor":
    import torch

    return torch.linalg.vector_norm(gradient, dim=1).double().norm()


def _host(values: "Tensor") -> np.ndarray:
    return values.cpu().numpy()
