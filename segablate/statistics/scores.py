"""Exact dataset scores as functions of sums over images: what the bootstrap resamples.

A dataset's IoU is a ratio of sums over its images, not a mean of the images' IoUs. With per-image counts x (N, K) the
sums under weights w (B, N) are the matrix product w x, and every score is a formula of :mod:`segablate.metrics` on such
sums.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from segablate.metrics.boundary import BoundarySums, boundary_f
from segablate.metrics.boundary_iou import boundary_iou
from segablate.metrics.confusion import (
    ClassCounts,
    frequency_weighted_iou,
    iou,
    mean_iou,
    mean_recall,
    nanmean,
    pixel_accuracy,
    recall,
)
from segablate.statistics.bootstrap import Floats, Statistic


def region_scores(counts: ClassCounts) -> Statistic:
    """Per class ``iou`` and ``recall``; ``miou``, ``mean_recall``, ``pixel_accuracy`` and ``frequency_weighted_iou``.

    `counts` are per image, (N, C).
    """

    def score(hits: Floats, labelled: Floats, predicted: Floats) -> dict[str, Floats]:
        sums = ClassCounts(hits, labelled, predicted)
        return {
            "miou": mean_iou(sums),
            "mean_recall": mean_recall(sums),
            "pixel_accuracy": pixel_accuracy(sums),
            "frequency_weighted_iou": frequency_weighted_iou(sums),
            "iou": iou(sums),
            "recall": recall(sums),
        }

    return of_sums([counts.hits, counts.labelled, counts.predicted], score)


def boundary_scores(counts: BoundarySums) -> Statistic:
    """``boundary_f`` per class and ``mean_boundary_f``, pooled over images; `counts` are per image, (N, C)."""

    def score(*sums: Floats) -> dict[str, Floats]:
        f = boundary_f(BoundarySums(*sums))  # type: ignore[arg-type]
        return {"mean_boundary_f": nanmean(f), "boundary_f": f}

    return of_sums(list(counts), score)


def boundary_iou_scores(counts: NDArray) -> Statistic:
    """``boundary_iou`` per class and ``mean_boundary_iou``, pooled over images; `counts` are per image, (N, 3, C)."""

    def score(*sums: Floats) -> dict[str, Floats]:
        scores = boundary_iou(np.stack(sums, axis=-2))
        return {"mean_boundary_iou": nanmean(scores), "boundary_iou": scores}

    return of_sums(list(np.moveaxis(counts, 1, 0)), score)


def means(values: Floats, pixels: Floats | None = None) -> Statistic:
    """``mean`` over images of ``values`` (N,) or (N, Q); a nan value is undefined and takes no part.

    ``pixels`` (N,) weights the images, for the mean over pixels of values which are means over the pixels of an image.
    """
    defined = ~np.isnan(values)
    weight = np.where(defined, 1.0 if pixels is None else np.asarray(pixels).reshape(-1, *[1] * (values.ndim - 1)), 0.0)
    weighted = np.where(defined, values, 0.0) * weight

    def mean(weights: Floats) -> dict[str, Floats]:
        above, below = weights @ weighted, weights @ weight
        return {"mean": np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below != 0)}

    return mean


def of_sums(columns: Sequence[NDArray], score: Callable[..., dict[str, Floats]]) -> Statistic:
    """The statistic that applies ``score`` to the weighted sums (B, C) of ``columns``, each (N, C)."""
    stacked = np.concatenate(columns, axis=1).astype(np.float64)
    ends = np.cumsum([column.shape[1] for column in columns])[:-1]

    def sums(weights: Floats) -> dict[str, Floats]:
        return score(*np.split(weights @ stacked, ends, axis=1))

    return sums
