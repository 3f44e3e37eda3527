"""Changes between two runs: by confusion, by image, and by distance from the label boundary."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segablate.evaluation.results import Evaluation
from segablate.metrics.bands import STATISTIC
from segablate.metrics.confusion import class_counts, pixel_accuracy
from segablate.metrics.image_level import image_miou
from segablate.statistics.bootstrap import Floats
from segablate.statistics.paired import Difference


@dataclass(frozen=True)
class ConfusionChange:
    """Pixels of one label that are predicted as another, in both runs.

    - `label`, `predicted`: class indices; C is void as a label, "no class" as a prediction.
    - `pixels`: in the first and in the second run; `labelled`: all pixels of the label.
    """

    label: int
    predicted: int
    pixels: tuple[int, int]
    labelled: int

    @property
    def change(self) -> int:
        """Pixels in the second run − pixels in the first."""
        return self.pixels[1] - self.pixels[0]

    @property
    def share(self) -> float:
        """The change as a share of the label's pixels."""
        return self.change / self.labelled


@dataclass(frozen=True)
class BandChanges:
    """The difference of two runs by distance from the label boundary, see :mod:`segablate.metrics.bands`.

    - `pixels` (bands,): labelled pixels; `right` (2, bands): those predicted right in the first and second run.
    - `accuracy`: the paired difference of pixel accuracy, fields (bands,).
    """

    pixels: NDArray[np.int64]
    right: NDArray[np.int64]
    accuracy: Difference


@dataclass(frozen=True)
class ImageChange:
    """Image-level mIoU and pixel accuracy of one image in the first and in the second run.

    See :func:`segablate.metrics.image_level.image_miou`.
    """

    name: str
    miou: tuple[float, float]
    pixel_accuracy: tuple[float, float]


def changed_confusions(
    a: Evaluation, b: Evaluation, *, void_as_error: bool, limit: int = 10
) -> tuple[ConfusionChange, ...]:
    """Return the confusions whose pixels changed most, the largest change first, without unchanged ones and hits."""
    tables = np.stack([a.confusion.total(), b.confusion.total()])
    labelled = tables[0].sum(axis=1)
    change = np.abs(tables[1] - tables[0])
    np.fill_diagonal(change[:-1], 0)
    if void_as_error:
        change[-1, -1] = 0  # void predicted as no class is a false positive of no class
    else:
        change[-1] = 0
    order = np.argsort(-change, axis=None, kind="stable")[:limit]
    places = zip(*(axis.tolist() for axis in np.unravel_index(order, change.shape)), strict=True)
    return tuple(
        ConfusionChange(i, j, (int(tables[0, i, j]), int(tables[1, i, j])), int(labelled[i]))
        for i, j in places
        if change[i, j]
    )


def changed_bands(a: Evaluation, b: Evaluation, accuracy: Difference) -> BandChanges:
    """Return the changes by band of two runs with that statistic; `accuracy`: the paired difference, (bands,)."""
    counts = np.stack([run.statistics[STATISTIC].sum(axis=0) for run in (a, b)])
    return BandChanges(counts[0, :, 0], counts[..., 1], accuracy)


def image_scores(run: Evaluation, *, void_as_error: bool) -> tuple[Floats, Floats]:
    """Return image-level mIoU and pixel accuracy, (N,) each."""
    counts = class_counts(run.confusion, void_as_error=void_as_error)
    return image_miou(counts), pixel_accuracy(counts)


def changed_images(
    a: Evaluation, b: Evaluation, *, void_as_error: bool, limit: int = 5
) -> tuple[tuple[ImageChange, ...], tuple[ImageChange, ...]]:
    """Return the images whose mIoU rose most and those whose mIoU fell most, each the largest change first."""
    miou, accuracy = (
        np.stack(scores)
        for scores in zip(*(image_scores(run, void_as_error=void_as_error) for run in (a, b)), strict=True)
    )
    change = np.nan_to_num(miou[1] - miou[0])
    order = np.argsort(change, kind="stable")

    def described(places: np.ndarray) -> tuple[ImageChange, ...]:
        return tuple(
            ImageChange(
                a.names[i], (float(miou[0, i]), float(miou[1, i])), (float(accuracy[0, i]), float(accuracy[1, i]))
            )
            for i in places[:limit].tolist()
        )

    return described(order[::-1][change[order[::-1]] > 0]), described(order[change[order] < 0])
