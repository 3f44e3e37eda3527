"""The conventions with boundaries of their own: counted only when named before an evaluation.

Each keeps, per image, sums (T, K, C) for T distances and C classes, which are saved in a run as the statistic
:attr:`BoundaryConvention.statistic`; scores are functions of those sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import hypot

import numpy as np

from segablate.errors import KnobError
from segablate.labels import ignore_index
from segablate.metrics.confusion import nanmean
from segablate.metrics.conventions.boundary_sets import inner_band, inner_edge, matches, one_sided, rounded_up
from segablate.metrics.tolerance import Tolerance

DAVIS_SHARE = 0.008
GSCNN_SHARES = (0.0005, 0.001875, 0.00375, 0.005)
BAND_SHARE = 0.02

Count = Callable[[np.ndarray, np.ndarray, int, Sequence[Tolerance]], np.ndarray]
"""(labels and predictions (H, W), number of classes, tolerances) -> sums (T, K, C) int64."""

Score = Callable[[np.ndarray], np.ndarray]
"""Sums of each image (N, T, K, C) -> a score of each distance and class, (T, C)."""


@dataclass(frozen=True)
class BoundaryConvention:
    """The boundary rule of one tool.

    - `name`, `tool`, `differs`: as in :class:`Convention`.
    - `measure`: the tool's name for its score.
    - `distances`: the text of its T distances, from the tolerances given.
    - `count`, `score`: see :data:`Count` and :data:`Score`.
    """

    name: str
    tool: str
    differs: str
    measure: str
    distances: Callable[[Sequence[str]], Sequence[str]]
    count: Count
    score: Score

    @property
    def statistic(self) -> str:
        """Return the name of the sums in a saved run."""
        return f"boundary_of_{self.name.replace('-', '_')}"


def count_boundary_conventions(
    labels: np.ndarray, predicted: np.ndarray, classes: int, *, names: Sequence[str], tolerances: Sequence[Tolerance]
) -> dict[str, np.ndarray]:
    """Count one image under each of the conventions `names`, by their :attr:`BoundaryConvention.statistic`."""
    chosen = [convention for convention in BOUNDARIES if convention.name in names]
    return {convention.statistic: convention.count(labels, predicted, classes, tolerances) for convention in chosen}


def count_davis(
    labels: np.ndarray, predicted: np.ndarray, classes: int, _: Sequence[Tolerance], *, shares: Sequence[float]
) -> np.ndarray:
    """Match one-sided boundaries of each class within `shares` of the diagonal, rounded up; sums (T, 4, C).

    Both masks are 0 on void, whose edge thus becomes a boundary.
    """
    within = [rounded_up(share, labels.shape) for share in shares]
    masks = _masks(labels, predicted, classes)
    return np.stack([matches(one_sided(predicted), one_sided(label), within) for predicted, label in masks], axis=-1)


def count_monai(labels: np.ndarray, predicted: np.ndarray, classes: int, tolerances: Sequence[Tolerance]) -> np.ndarray:
    """Match inner edges of each class within the tolerances; sums (T, 4, C). Both masks are 0 on void.

    Raises KnobError without a tolerance: MONAI has no default.
    """
    if not tolerances:
        raise KnobError("monai-nsd matches within a tolerance and has no default; give one, as in --tolerance 3")
    within = [tolerance.pixels(*labels.shape) for tolerance in tolerances]
    masks = _masks(labels, predicted, classes)
    return np.stack([matches(inner_edge(predicted), inner_edge(label), within) for predicted, label in masks], axis=-1)


def count_band_overlap(labels: np.ndarray, predicted: np.ndarray, classes: int, _: Sequence[Tolerance]) -> np.ndarray:
    """Count intersection and union of each class's inner bands, in pixels that are not void; sums (1, 2, C).

    The bands are 0.02 of the diagonal wide, rounded, and are computed in the maps as they are, void included.
    """
    width = max(1, round(BAND_SHARE * hypot(*labels.shape)))
    valid = labels != ignore_index(classes)
    sums = np.zeros((1, 2, classes), np.int64)
    for index in range(classes):
        ours, theirs = (inner_band(values == index, width) & valid for values in (predicted, labels))
        sums[0, :, index] = np.sum(ours & theirs), np.sum(ours | theirs)
    return sums


def davis_f(sums: np.ndarray) -> np.ndarray:
    """Average F over images, (T, C); F of an image is 1 where neither map has a boundary, never left out."""
    matched_predicted, predicted, matched_labelled, labelled = np.moveaxis(sums.astype(np.float64), 2, 0)  # N T C each
    precision = np.divide(matched_predicted, predicted, out=np.ones_like(predicted), where=predicted > 0)
    recall = np.divide(matched_labelled, labelled, out=np.ones_like(labelled), where=labelled > 0)
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0).mean(axis=0)


def monai_nsd(sums: np.ndarray) -> np.ndarray:
    """Average matched over all boundary pixels of both maps over the images where there are any, (T, C)."""
    matched, present = sums[:, :, [0, 2]].sum(axis=2), sums[:, :, [1, 3]].sum(axis=2)
    return nanmean(np.moveaxis(_ratio(matched, present), 0, -1))


def band_iou(sums: np.ndarray) -> np.ndarray:
    """Return intersection over union of the bands, pooled over images, (1, C)."""
    pooled = sums.sum(axis=0)
    return _ratio(pooled[:, 0], pooled[:, 1])


def _masks(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the predicted and the labelled mask of each class, 0 on void."""
    valid = labels != ignore_index(classes)
    return [((predicted == index) & valid, labels == index) for index in range(classes)]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _fixed(*distances: str) -> Callable[[Sequence[str]], Sequence[str]]:
    return lambda _: distances


def _asked_for(tolerances: Sequence[str]) -> Sequence[str]:
    return [text if text.endswith("d") else f"{text} px" for text in tolerances]


BOUNDARIES: tuple[BoundaryConvention, ...] = (
    BoundaryConvention(
        "davis",
        "DAVIS 2017, f_measure",
        "one-sided boundary, void zeroed so that its edge counts, distance rounded up, mean over images, absent 1",
        "F",
        _fixed("0.008d"),
        partial(count_davis, shares=(DAVIS_SHARE,)),
        davis_f,
    ),
    BoundaryConvention(
        "gscnn",
        "Gated-SCNN, eval_mask_boundary",
        "as davis, at four distances of its own",
        "F",
        _fixed(*(f"{share:g}d" for share in GSCNN_SHARES)),
        partial(count_davis, shares=GSCNN_SHARES),
        davis_f,
    ),
    BoundaryConvention(
        "monai-nsd",
        "MONAI 1.6, SurfaceDiceMetric, all classes",
        "inner edge with the image frame, void zeroed, hits of both maps over both, mean over images",
        "NSD",
        _asked_for,
        count_monai,
        monai_nsd,
    ),
    BoundaryConvention(
        "boundary-iou-api",
        "boundary-iou-api, mask_to_boundary on every class",
        "inner bands of 0.02 of the diagonal, the image frame counts, pooled over images",
        "boundary IoU",
        _fixed("0.02d"),
        count_band_overlap,
        band_iou,
    ),
)
