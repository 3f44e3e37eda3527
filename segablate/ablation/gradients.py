"""The gradient of a loss at the logits: compared with that of cross entropy, and by place in the image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from segablate.datasets.dataset import evenly_spaced
from segablate.kernels.boundary_reference import boundary
from segablate.labels import ignore_index
from segablate.samples import LossInputs

if TYPE_CHECKING:
    from torch import Tensor

WITHIN = (1, 3, 5)
"""Distances from a label boundary, in pixels, within which the share of the gradient is reported."""


MEASURED = "with_gradient"
"""Name of the array that says of each image whether its gradients were measured; absent where all were."""


def gradient_images(images: int, limit: int | None) -> frozenset[int] | None:
    """Return the indices of the images whose gradients are measured, `limit` evenly spaced ones; None: all."""
    return None if limit is None or limit >= images else frozenset(evenly_spaced(images, limit))


def unmeasured(settings: int, classes: int) -> dict[str, np.ndarray]:
    """Return the arrays of the gradients of an image for which they are not measured: all nan."""
    shapes: dict[str, tuple[int, ...]] = {
        "norm": (),
        "cosine": (),
        "within": (len(WITHIN),),
        "on_class": (classes + 1,),
    }
    shares = {f"pixels_{name}": shapes[name] for name in ("within", "on_class")}
    of_image = {f"ce_{name}": shape for name, shape in shapes.items()} | shares
    over_settings = {name: (settings, *shape) for name, shape in shapes.items()}
    return {name: np.full(shape, np.nan) for name, shape in (over_settings | of_image).items()}


@dataclass(frozen=True)
class PixelRegions:
    """The pixels of one label map that are near a boundary, and those of each class.

    - `near`: (3, H·W) bool, within :data:`WITHIN` pixels of a boundary pixel; `labels`: (H·W,) int64.
    """

    near: "Tensor"
    labels: "Tensor"
    classes: int


def pixel_regions(label_map: np.ndarray, classes: int, like: "Tensor") -> PixelRegions:
    """Find the regions of a label map, H, W, on the device of `like`."""
    import torch

    from segablate.kernels.exact_opencv import distance_to_zero

    edge = boundary(label_map, label_map != ignore_index(classes))  # H W bool
    distance = distance_to_zero((~edge).astype(np.uint8))  # H W
    near = np.stack([(distance <= limit + 1e-3) & edge.any() for limit in WITHIN]).reshape(len(WITHIN), -1)  # 3 H·W
    labels = torch.from_numpy(label_map.reshape(-1).astype(np.int64))
    return PixelRegions(torch.from_numpy(near).to(like.device), labels.to(like.device), classes)


def gradient_statistics(gradient: "Tensor", reference: "Tensor", on: PixelRegions) -> dict[str, np.ndarray]:
    """Measure one gradient at the logits, 1, K, H, W; sums over pixels in float64.

    `norm`: its Euclidean norm; `cosine`: with `reference`, nan where either is 0; `within`: (3,) share of its absolute
    mass within :data:`WITHIN` pixels of a label boundary, nan where the labels have none; `on_class`: (C+1,) share on
    pixels of each class, the last for void. Shares are nan for a gradient of 0.
    """
    norm, size = _norm(gradient), _norm(reference)
    product = (gradient * reference).sum(dim=1).double().sum()  # 0-dim
    return {"norm": _host(norm), "cosine": _host(product / (norm * size)), **gradient_shares(gradient, on)}


def gradient_shares(gradient: "Tensor", on: PixelRegions) -> dict[str, np.ndarray]:
    """Return `within` and `on_class` of :func:`gradient_statistics`."""
    return _shares(gradient.abs().sum(dim=1).double().reshape(-1), on)


def pixel_shares(on: PixelRegions) -> dict[str, np.ndarray]:
    """Return the shares `within` and `on_class` of a gradient of equal size on all pixels."""
    return _shares(on.near.new_ones(on.labels.shape).double(), on)


@dataclass(frozen=True)
class Reference:
    """The references for the gradients of one image: the gradient of cross entropy, and the regions of its pixels."""

    gradient: "Tensor"
    regions: PixelRegions

    @classmethod
    def of(cls, sample: LossInputs) -> "Reference":
        """Compute the references of one image, whose logits require a gradient."""
        logits = sample.logits
        return cls(
            gradient_at(logits, cross_entropy(logits, sample.labels)),
            pixel_regions(sample.label_map, sample.classes, logits),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return `ce_norm`, `ce_within`, `ce_on_class`, `pixels_within`, `pixels_on_class`."""
        entropy = gradient_statistics(self.gradient, self.gradient, self.regions)
        shares = pixel_shares(self.regions)
        return {f"ce_{name}": value for name, value in entropy.items()} | {
            f"pixels_{name}": value for name, value in shares.items()
        }


def cross_entropy(logits: "Tensor", labels: "Tensor") -> "Tensor":
    """Return the cross entropy of logits N, K, H, W, 0-dim."""
    from segablate.losses import get_loss

    return get_loss("ce")(logits, labels)


def gradient_at(logits: "Tensor", value: "Tensor") -> "Tensor":
    """Return the gradient of a value at the logits; 0 where it does not depend on them."""
    import torch

    (gradient,) = torch.autograd.grad(value, logits, allow_unused=True) if value.requires_grad else (None,)
    return torch.zeros_like(logits) if gradient is None else gradient


def _shares(mass: "Tensor", on: PixelRegions) -> dict[str, np.ndarray]:
    return {"within": _host(_over(mass, on)), "on_class": _host(_by_class(mass, on) / mass.sum())}


def _over(mass: "Tensor", on: PixelRegions) -> "Tensor":
    shares = (on.near * mass).sum(dim=1) / mass.sum()  # 3
    return shares.where(on.near.any(), float("nan"))


def _by_class(mass: "Tensor", on: PixelRegions) -> "Tensor":
    """Sum by class, (C+1,), the last void; on CUDA one sum for each, as atomic additions there have no fixed order."""
    ignore = ignore_index(on.classes)
    if mass.device.type == "cpu":
        sums = on.labels.bincount(mass, minlength=ignore + 1)
        return sums[[*range(on.classes), ignore]]
    label = [*range(on.classes), ignore]
    return mass.new_tensor([float(mass[on.labels == index].sum()) for index in label])


def _norm(gradient: "Tensor") -> "Tensor":
    # vector_norm over an axis that is not the last takes ten times as long on the CPU
    return gradient.square().sum(dim=1).double().sum().sqrt()


def _host(values: "Tensor") -> np.ndarray:
    return values.cpu().numpy()
