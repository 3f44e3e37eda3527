"""Sums of calibration over an image on a GPU, as :mod:`segablate.metrics.calibration` defines them.

All pixels are added to tables, so that no shape depends on data and the host does not wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segablate.kernels import tally
from segablate.metrics.bands import BANDS
from segablate.metrics.probability_bins import BINS, UNIT, bins_of, ends_of_bins
from segablate.runtime import to_device

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 1 << 23
"""Probabilities that are added to a table at once, with 21 bytes each beside them."""

_GROUPS = len(BANDS) + 1
"""The bands, and that of void."""


@dataclass(frozen=True)
class RowsOnDevice:
    """The labels, predictions and bands of some rows, each H, W, and the `confidence` of the predictions.

    - `labels`, `predicted`: class index or void; `confidence`: in units of 2^-24, 0 where there is no label.
    """

    labels: "Tensor"
    predicted: "Tensor"
    bands: "Tensor"
    confidence: "Tensor"

    def proper(self, scores: "Sequence[Tensor]") -> "Tensor":
        """Sum each of the scores by band, (bands, scores): H, W float32 in units of 2^-24."""
        import torch

        places = self.bands.long()
        return torch.stack([tally.total(places, _GROUPS, score) for score in scores], dim=1)[: len(BANDS)]

    def reliability(self) -> "Tensor":
        """Sum pixels, right ones and their confidence by band and bin, (bands, bins, 3)."""
        import torch

        places = self.bands.long() * BINS + bins_of(self.confidence)
        size = _GROUPS * BINS
        counts = tally.count(2 * places + (self.labels == self.predicted), 2 * size).view(size, 2)
        columns = (counts.sum(dim=1).double(), counts[:, 1].double(), tally.total(places, size, self.confidence))
        return torch.stack(columns, dim=1).view(-1, BINS, 3)[: len(BANDS)]

    def class_gaps(self, scaled: "Tensor", exclusive: bool) -> "Tensor":
        """Sum probability less pixels by class and bin of the class's probability, (C, bins).

        `scaled`: C, H, W float32 in units of 2^-24, 0 where there is no label; `exclusive` makes no difference.
        """
        import torch

        ends = to_device(ends_of_bins(), scaled.device)
        planes = max(1, _AT_ONCE // scaled[0].numel())
        firsts = range(0, len(scaled), planes)
        return torch.cat([_of_planes(scaled, self.labels, first, planes, ends) for first in firsts])


def _of_planes(scaled: "Tensor", labels: "Tensor", first: int, planes: int, ends: "Tensor") -> "Tensor":
    """Sum the gaps of some classes, (k, bins)."""
    import torch

    chosen = scaled[first : first + planes]  # k H W
    index = torch.arange(len(chosen), device=scaled.device).view(-1, 1, 1)  # k 1 1
    gaps = torch.add(chosen, labels == index + first, alpha=-UNIT)  # k H W
    places = torch.bucketize(chosen, ends).add_(index * BINS)  # k H W
    return tally.total(places, len(chosen) * BINS, gaps).view(-1, BINS)
