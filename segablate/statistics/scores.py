"""Exact dataset scores as functions of sums over images, which the bootstrap resamples.

A dataset's IoU is a ratio of sums over its images, not a mean of the images' IoUs. With per-image counts x (N, K) the
sums under weights w (B, N) are the matrix product w x, and every score is a formula of :mod:`segablate.metrics` on such
sums.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segablate.metrics import asl_edges
from segablate.metrics.bands import accuracy
from segablate.metrics.boundary import BoundarySums, boundary_f
from segablate.metrics.boundary_iou import boundary_iou
from segablate.metrics.calibration import PROPER, RELIABILITY, confidence_gaps, expected_error, with_whole
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
from segablate.metrics.roc import average_precision, roc_auc
from segablate.statistics.bootstrap import Floats, Statistic
from segablate.statistics.bounds import NOT_NEGATIVE, SHARE, UNBOUNDED, Bounds

_CELLS = 1 << 17
"""Whole numbers that are made float64 at once, 1 MB."""


def region_scores(counts: ClassCounts) -> Statistic:
    """Return the statistic of the region scores, ``iou`` and ``recall`` per class.

    The others are ``miou``, ``mean_recall``, ``pixel_accuracy`` and ``frequency_weighted_iou``. `counts` are per image,
    (N, C).
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

    names = ("miou", "mean_recall", "pixel_accuracy", "frequency_weighted_iou", "iou", "recall")
    return of_sums([counts.hits, counts.labelled, counts.predicted], score, dict.fromkeys(names, SHARE))


def boundary_scores(counts: BoundarySums) -> Statistic:
    """Return the statistic of pooled ``boundary_f`` per class and ``mean_boundary_f``; `counts` per image, (N, C)."""

    def score(*sums: Floats) -> dict[str, Floats]:
        f = boundary_f(BoundarySums(*sums))  # type: ignore[arg-type]
        return {"mean_boundary_f": nanmean(f), "boundary_f": f}

    return of_sums(list(counts), score, dict.fromkeys(("mean_boundary_f", "boundary_f"), SHARE))


def ranking_scores(counts: NDArray) -> Statistic:
    """Return the statistic of ``auc`` and ``average_precision`` of the second class; `counts` are (N, 2, bins)."""

    def score(negatives: Floats, positives: Floats) -> dict[str, Floats]:
        sums = np.stack([negatives, positives], axis=-2)
        return {"auc": roc_auc(sums), "average_precision": average_precision(sums)}

    return of_sums([counts[:, 0], counts[:, 1]], score, dict.fromkeys(("auc", "average_precision"), SHARE))


def band_scores(bands: NDArray) -> Statistic:
    """Return the statistic ``band_accuracy`` (B, bands); `bands` (N, bands, 2) are pixels and those right."""

    def score(pixels: Floats, right: Floats) -> dict[str, Floats]:
        return {"band_accuracy": accuracy(np.stack([pixels, right], axis=-1))}

    return of_sums([bands[..., 0], bands[..., 1]], score, {"band_accuracy": SHARE})


def reliability_scores(sums: NDArray) -> Statistic:
    """Return the statistic ``accuracy`` of each bin of confidence, (B, panels * bins); nan for an empty bin.

    `sums` (N, panels, bins, 3) start with the pixels and those right, see :mod:`segablate.metrics.calibration`.
    """

    def score(pixels: Floats, right: Floats) -> dict[str, Floats]:
        return {"accuracy": accuracy(np.stack([pixels, right], axis=-1))}

    return of_sums([sums[..., place].reshape(len(sums), -1) for place in (0, 1)], score, {"accuracy": SHARE})


def calibration_scores(statistics: Mapping[str, NDArray]) -> Statistic:
    """Return the statistic of ``ece``, ``brier`` and ``nll``, (B, 1 + bands): all labelled pixels, then each band.

    `statistics` are those of :mod:`segablate.metrics.calibration`, per image.
    """
    reliability, proper = with_whole(statistics[RELIABILITY]), with_whole(statistics[PROPER])
    gaps, bands = confidence_gaps(reliability), reliability.shape[1]

    def score(gaps: Floats, pixels: Floats, brier: Floats, nll: Floats) -> dict[str, Floats]:
        defined = np.where(pixels > 0, pixels, np.nan)
        ece = expected_error(gaps.reshape(len(gaps), bands, -1), pixels)
        return {"ece": ece, "brier": brier / defined, "nll": nll / defined}

    columns = [gaps.reshape(len(gaps), -1), reliability[..., 0].sum(axis=-1), proper[..., 0], proper[..., 1]]
    return of_sums(columns, score, {"ece": SHARE, "brier": NOT_NEGATIVE, "nll": NOT_NEGATIVE})


def boundary_iou_scores(counts: NDArray) -> Statistic:
    """Return the statistic of pooled ``boundary_iou`` per class and ``mean_boundary_iou``; `counts` are (N, 3, C)."""

    def score(*sums: Floats) -> dict[str, Floats]:
        scores = boundary_iou(np.stack(sums, axis=-2))
        return {"mean_boundary_iou": nanmean(scores), "boundary_iou": scores}

    return of_sums(list(np.moveaxis(counts, 1, 0)), score, dict.fromkeys(("mean_boundary_iou", "boundary_iou"), SHARE))


def near_edge_scores(counts: NDArray) -> Statistic:
    """Return the statistic ``iou_near_edges`` (B,); `counts` are (N, 3, C), see :mod:`segablate.metrics.asl_edges`."""

    def score(*sums: Floats) -> dict[str, Floats]:
        return {"iou_near_edges": asl_edges.mean_iou_near_edges(np.stack(sums, axis=-2))}

    return of_sums(list(np.moveaxis(counts, 1, 0)), score, {"iou_near_edges": SHARE})


def edge_scores(counts: NDArray) -> Statistic:
    """Return the statistic ``edge_f`` (B,); `counts` are (N, 4, C), see :mod:`segablate.metrics.asl_edges`."""

    def score(*sums: Floats) -> dict[str, Floats]:
        return {"edge_f": asl_edges.mean_edge_f(np.stack(sums, axis=-2))}

    return of_sums(list(np.moveaxis(counts, 1, 0)), score, {"edge_f": SHARE})


def means(values: Floats, pixels: Floats | None = None, bounds: Bounds = UNBOUNDED) -> Statistic:
    """Return the statistic ``mean`` over images of ``values`` (N,) or (N, Q); values that are not finite are left out.

    ``pixels`` (N,) weights the images: the mean over pixels of values that are means over the pixels of an image.
    ``bounds`` are those of the values.
    """
    defined = np.isfinite(values)
    weight = np.where(defined, 1 if pixels is None else np.asarray(pixels).reshape(-1, *[1] * (values.ndim - 1)), 0)
    weighted = np.where(defined, values, 0.0) * weight
    weight = weight.astype(_narrowest(weight))

    def mean(weights: Floats) -> dict[str, Floats]:
        above, below = weights @ weighted, _weighted(weights, weight)
        return {"mean": np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below != 0)}

    return Statistic(mean, {"mean": bounds})


def class_means(cells: Floats) -> Statistic:
    """Return the statistic ``mean`` over classes of their means over the images where ``cells`` (N, C) is defined.

    Cells are shares, such as the IoU of a class in an image.
    """
    of_classes = means(cells, bounds=SHARE)
    return Statistic(lambda weights: {"mean": nanmean(of_classes(weights)["mean"])}, of_classes.bounds)


def of_set(statistic: Statistic) -> Statistic:
    """Return the statistic without its scores per class, of which replicates and jackknife values would fill memory."""

    def scores(weights: Floats) -> dict[str, Floats]:
        return {name: score for name, score in statistic(weights).items() if score.ndim == 1}

    return Statistic(scores, statistic.bounds)


def of_sums(
    columns: Sequence[NDArray], score: Callable[..., dict[str, Floats]], bounds: Mapping[str, Bounds]
) -> Statistic:
    """Return the statistic that applies ``score`` to the weighted sums (B, C) of ``columns``, each (N, C).

    ``bounds`` are those of the scores by their names. Whole numbers are kept in the smallest type that holds them, as
    there may be many images.
    """
    kind = np.result_type(*map(_narrowest, columns))
    stacked = np.concatenate([column.astype(kind) for column in columns], axis=1)
    ends = np.cumsum([column.shape[1] for column in columns])[:-1]

    def sums(weights: Floats) -> dict[str, Floats]:
        return score(*np.split(_weighted(weights, stacked), ends, axis=1))

    return Statistic(sums, bounds)


def _narrowest(column: NDArray) -> np.dtype:
    """Return the smallest type of whole numbers that holds a column of them; float64 for others."""
    if column.dtype.kind not in "iu":
        return np.dtype(np.float64)
    return np.result_type(np.min_scalar_type(column.min(initial=0)), np.min_scalar_type(column.max(initial=0)))


def _weighted(weights: Floats, stacked: NDArray) -> Floats:
    """Return weights @ stacked; whole numbers become float64 some rows at a time, as their sums are exact anyway."""
    if stacked.dtype == np.float64 or not isinstance(weights, np.ndarray):  # those of influences are only multiplied
        return weights @ stacked.astype(np.float64, copy=False)
    sums = np.zeros((len(weights), *stacked.shape[1:]))
    step = max(1, _CELLS // max(1, stacked[:1].size))
    for start in range(0, len(stacked), step):
        rows = slice(start, start + step)
        sums += weights[:, rows] @ stacked[rows].astype(np.float64)
    return sums
