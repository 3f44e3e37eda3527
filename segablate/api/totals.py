"""Counts summed over images: what every score of a set follows from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from segablate.evaluation.results import Evaluation
from segablate.metrics.boundary import boundary_sums
from segablate.metrics.confusion import class_counts
from segablate.metrics.tolerance import Tolerance


@dataclass(frozen=True)
class Totals:
    """Counts of a set of images; sums of two sets are those of both, in any order, exactly.

    - `images`: number of images; `labelled_in`: number of images that label each class, (C,) int64.
    - `confusion`: pixels by label and prediction, (C+1, C+1) int64; void is the last label, and the last prediction is
      outside the label set.
    - `boundary`: at each of T tolerances the sums of :class:`segablate.metrics.boundary.BoundarySums`, (T, 4, C) int64.
    - `statistics`: further counts and sums by name, as an evaluation keeps them per image.
    """

    images: int
    confusion: np.ndarray
    labelled_in: np.ndarray
    boundary: np.ndarray
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def none(cls, classes: int, tolerances: int) -> "Totals":
        """Return the counts of no image."""
        table = np.zeros((classes + 1, classes + 1), np.int64)
        return cls(0, table, np.zeros(classes, np.int64), np.zeros((tolerances, 4, classes), np.int64))

    @classmethod
    def of(cls, run: Evaluation, tolerances: Sequence[Tolerance]) -> "Totals":
        """Sum the counts of an evaluation."""
        classes = len(run.labels)
        boundary = np.zeros((len(tolerances), 4, classes), np.int64)
        if run.boundary is not None:
            for place, tolerance in enumerate(tolerances):
                boundary[place] = boundary_sums(run.boundary, tolerance).total()
        return cls(
            run.images,
            run.confusion.total(),
            (class_counts(run.confusion).labelled > 0).sum(axis=0),
            boundary,
            {name: _summed(array) for name, array in run.statistics.items()},
        )

    def __add__(self, other: "Totals") -> "Totals":
        """Return the counts of both sets."""
        names = dict.fromkeys((*self.statistics, *other.statistics))
        statistics = {name: _both(self.statistics.get(name), other.statistics.get(name)) for name in names}
        return Totals(
            self.images + other.images,
            self.confusion + other.confusion,
            self.labelled_in + other.labelled_in,
            self.boundary + other.boundary,
            statistics,
        )


def _summed(array: np.ndarray) -> np.ndarray:
    return array.sum(axis=0, dtype=np.float64 if array.dtype.kind == "f" else np.int64)


def _both(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray:
    found = [array for array in (one, other) if array is not None]
    return found[0] if len(found) == 1 else found[0] + found[1]
