"""Exact dataset scores as functions of sums over images: what the bootstrap resamples.

A dataset's IoU is a ratio of sums over its images, not a mean of the images' IoUs. With per-image counts x (N, K) the
sums under weights w (B, N) are the matrix product w x, and every score below is a formula on such sums. H, L and P are
the pixels of a class that are hit (true positives), labelled as it, and predicted as it where labelled as anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segablate.statistics.bootstrap import Floats, Statistic

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Regions:
    """Pixels of N images by class, each (N, C): hit, labelled, and predicted among the pixels that are not void."""

    hits: Counts
    labelled: Counts
    predicted: Counts


@dataclass(frozen=True)
class Boundaries:
    """Boundary pixels of N images by class, each (N, C): predicted and labelled, and those of either with a match."""

    predicted_matched: Counts
    predicted: Counts
    labelled_matched: Counts
    labelled: Counts


def region_scores(counts: Regions) -> Statistic:
    """``iou`` and ``recall`` per class; ``miou``, ``mean_recall`` and ``pixel_accuracy``.

    IoU = H / (L + P - H), recall = H / L; means are over the classes where these are defined; pixel accuracy =
    sum H / sum L over classes.
    """

    def score(hits: Floats, labelled: Floats, predicted: Floats) -> dict[str, Floats]:
        iou, recall = ratio(hits, labelled + predicted - hits), ratio(hits, labelled)
        accuracy = ratio(hits.sum(axis=-1), labelled.sum(axis=-1))
        return {
            "miou": defined_mean(iou),
            "mean_recall": defined_mean(recall),
            "pixel_accuracy": accuracy,
            "iou": iou,
            "recall": recall,
        }

    return of_sums([counts.hits, counts.labelled, counts.predicted], score)


def boundary_scores(counts: Boundaries) -> Statistic:
    """``boundary_f`` per class and ``mean_boundary_f``, from hits pooled over images.

    F = 2 p r / (p + r) with p, r the matched shares of predicted and labelled boundary pixels. A class without
    boundary in both is nan; with a boundary in one alone, or without any match, it is 0.
    """

    def score(predicted_matched: Floats, predicted: Floats, labelled_matched: Floats, labelled: Floats):
        # p r (a + b) = 2 m n with m, n the matched and a, b all pixels: free of 0 / 0 where one side has no boundary
        both = labelled_matched * predicted + predicted_matched * labelled
        f = ratio(2.0 * predicted_matched * labelled_matched, both)
        f = np.where((both == 0) & (predicted + labelled > 0), 0.0, f)
        return {"mean_boundary_f": defined_mean(f), "boundary_f": f}

    return of_sums([counts.predicted_matched, counts.predicted, counts.labelled_matched, counts.labelled], score)


def means(values: Floats, pixels: Floats | None = None) -> Statistic:
    """``mean`` over images of ``values`` (N,) or (N, Q); a nan value is undefined and takes no part.

    ``pixels`` (N,) weights the images, for the mean over pixels of values which are means over the pixels of an image.
    """
    defined = ~np.isnan(values)
    weight = np.where(defined, 1.0 if pixels is None else np.asarray(pixels).reshape(-1, *[1] * (values.ndim - 1)), 0.0)
    weighted = np.where(defined, values, 0.0) * weight

    def mean(weights: Floats) -> dict[str, Floats]:
        return {"mean": ratio(weights @ weighted, weights @ weight)}

    return mean


def of_sums(columns: Sequence[NDArray], score: Callable[..., dict[str, Floats]]) -> Statistic:
    """The statistic that applies ``score`` to the weighted sums (B, C) of ``columns``, each (N, C)."""
    stacked = np.concatenate(columns, axis=1).astype(np.float64)
    ends = np.cumsum([column.shape[1] for column in columns])[:-1]

    def sums(weights: Floats) -> dict[str, Floats]:
        return score(*np.split(weights @ stacked, ends, axis=1))

    return sums


def ratio(above: Floats, below: Floats) -> Floats:
    """above / below, nan where below is 0."""
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below != 0)


def defined_mean(scores: Floats) -> Floats:
    """The mean over classes (B, C) -> (B,) of the scores that are not nan."""
    defined = ~np.isnan(scores)
    return ratio(np.where(defined, scores, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))
