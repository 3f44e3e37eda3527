"""Accuracy of labelled pixels by their distance from the nearest boundary of the labels.

Kept for every image as the statistic "bands": count (:func:`count_by_distance`, :func:`distance_sums`) -> add ->
:func:`accuracy`.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segablate.kernels import tally
from segablate.kernels.boundary_reference import boundary
from segablate.kernels.disks import Mask, within, within_on_device
from segablate.kernels.maps import Map
from segablate.labels import IGNORE, WIDE_IGNORE, ignored_in

if TYPE_CHECKING:
    from torch import Tensor

RADII = (3, 10)
"""Upper ends of the bands in pixels, Euclidean between pixel centres; the last band holds all pixels beyond."""

BANDS = (f"up to {RADII[0]} px", f"{RADII[0]} to {RADII[1]} px", f"beyond {RADII[1]} px")

STATISTIC = "bands"


def nested_bands(labels: Map, label_boundary: Map | None = None) -> tuple[Mask, ...]:
    """Return the labelled pixels within each of :data:`RADII` of a label boundary, then all of them; (H, W) each.

    Boundaries are defined in :mod:`segablate.kernels.boundary_reference`: void makes none, nor does the frame.
    `label_boundary`: the :func:`segablate.kernels.boundary.boundary_map` of the labels, where it is known.
    """
    ignore = ignored_in(labels)
    labelled = labels != ignore
    near = within(boundary(labels, labelled) if label_boundary is None else label_boundary != ignore, RADII)
    return (*(mask & labelled for mask in near), labelled)


def band_map(nested: tuple[Mask, ...]) -> NDArray[np.uint8]:
    """Return the band of each pixel, (H, W): 0 is the nearest; void has the number of bands."""
    band = np.full(nested[0].shape, len(nested), np.uint8)
    for mask in nested:
        band -= mask.view(np.uint8)
    return band


def band_maps_on_device(labels: "Tensor") -> "Tensor":
    """Return the :func:`band_map` of each label map of a batch on a GPU, (N, H, W) of its type."""
    import torch

    from segablate.kernels import boundary_dense

    labelled = labels != (IGNORE if labels.dtype == torch.uint8 else WIDE_IGNORE)  # N H W
    near = within_on_device(boundary_dense.boundary(labels, labelled), RADII)
    bands = torch.full_like(labels, len(BANDS))  # N H W
    for mask in (labelled, *(mask & labelled for mask in near)):
        bands -= mask.byte()
    return bands


def count_by_distance(nested: tuple[Mask, ...], labels: Map, predicted: Map) -> NDArray[np.int64]:
    """Count labelled pixels of one image and those predicted right, by band: (bands, 2); the maps are (H, W)."""
    right = labels == predicted
    totals = [(np.count_nonzero(mask), np.count_nonzero(mask & right)) for mask in nested]
    return np.diff(np.array(totals, np.int64), axis=0, prepend=0)


def distance_sums(labels: "Tensor", predicted: "Tensor", bands: "Tensor") -> "Tensor":
    """Count as :func:`count_by_distance` does, (bands, 2) int64, of H, W tensors and their :func:`band_map`."""
    import torch

    size = len(BANDS)
    places = 2 * bands.long() + (labels == predicted)  # void has a band of its own, the last
    counts = tally.count(places, 2 * (size + 1)).view(size + 1, 2)[:size]
    return torch.stack([counts.sum(dim=1), counts[:, 1]], dim=1)


def accuracy(counts: NDArray) -> NDArray[np.float64]:
    """Return right over labelled pixels, (..., bands, 2) to (..., bands); nan for a band without pixels."""
    pixels, right = counts[..., 0], counts[..., 1]
    return np.divide(right, pixels, out=np.full(pixels.shape, np.nan), where=pixels > 0)
