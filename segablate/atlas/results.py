"""The results of an atlas: per-image values, gradients and scores of all losses, and numbers made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from segablate.ablation.gradients import MEASURED, WITHIN
from segablate.atlas.clusters import SAME, Similarity, similarity
from segablate.atlas.cosines import cosines
from segablate.evaluation.results import Evaluation
from segablate.losses import Loss
from segablate.metrics.confusion import class_counts

if TYPE_CHECKING:
    from segablate.ablation.cost import Cost

ENTROPY = "ce"
"""The loss with which the others are compared."""

RARE = 0.05
"""Share of the labelled pixels that the rare classes have together, at most."""

NEAR = WITHIN.index(3)
"""The distance from a boundary, of :data:`segablate.ablation.gradients.WITHIN`, of which tables report the share."""


@dataclass(frozen=True)
class Atlas:
    """L losses at their published settings on N images.

    - `run`: the evaluation, with the values of the losses that are quick, and in `probed` the arrays of
      :class:`segablate.atlas.probe.AtlasProbe`.
    - `costs`: of forward and backward on one image; `few`: the losses that are too slow for every image, with the
      seconds of the processor for one image and the number of images.
    - `same`: the cosine from which on two losses count as the same.
    """

    run: Evaluation
    losses: tuple[Loss, ...]
    costs: "Mapping[str, Cost]"
    few: Mapping[str, tuple[float, int]]
    same: float = SAME

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the losses."""
        return tuple(loss.name for loss in self.losses)

    @cached_property
    def values(self) -> np.ndarray:
        """Return the values, (N, L); nan where a loss is undefined or was not measured."""
        probed = self.run.probed["value"]
        columns = [self.run.values.get(name, probed[:, place]) for place, name in enumerate(self.names)]
        return np.stack(columns, axis=1)

    @cached_property
    def measured(self) -> np.ndarray:
        """Return the images whose gradients were measured, (N,) bool."""
        return self.run.probed[MEASURED].astype(bool)

    @cached_property
    def similarity(self) -> Similarity | None:
        """Return mean cosines, tree and clusters; None where fewer than two losses have a gradient."""
        return similarity(self.names, cosines(self.run.probed["gram"][self.measured]), self.same)

    @cached_property
    def rare(self) -> tuple[int, ...]:
        """Return the rare classes: the least labelled that have at most :data:`RARE` of the pixels together."""
        return rare_classes(class_counts(self.run.confusion).labelled.sum(axis=0))

    @cached_property
    def at_boundaries(self) -> np.ndarray:
        """Return the share of each gradient within 3 pixels of a label boundary, (M, L) on M images."""
        return self.run.probed["within"][self.measured][:, :, NEAR]

    @cached_property
    def on_rare(self) -> np.ndarray:
        """Return the share of each gradient on rare classes, (M, L); nan without such classes."""
        return self._rare_share(self.run.probed["on_class"][self.measured])

    @cached_property
    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of the pixels near boundaries and on rare classes, (M,) each."""
        probed = self.run.probed
        near = probed["pixels_within"][self.measured][:, NEAR]
        return near, self._rare_share(probed["pixels_on_class"][self.measured])

    def _rare_share(self, on_class: np.ndarray) -> np.ndarray:
        chosen = on_class[..., list(self.rare)]
        return chosen.sum(axis=-1) if self.rare else np.full(on_class.shape[:-1], np.nan)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Return all per-image arrays, with the names of images and losses, for saving."""
        names = {"names": np.array(self.run.names, dtype=str), "losses": np.array(self.names, dtype=str)}
        return {**names, **self.run.probed, "value": self.values}


def rare_classes(pixels: np.ndarray, share: float = RARE) -> tuple[int, ...]:
    """Return the classes with the fewest labelled pixels (C,) that together have at most this share of them.

    In ascending order of their pixels; classes without a pixel do not count.
    """
    order = [int(place) for place in np.argsort(pixels, kind="stable") if pixels[place] > 0]
    sums = np.cumsum(pixels[order])
    return tuple(place for place, total in zip(order, sums, strict=True) if total <= share * pixels.sum())
