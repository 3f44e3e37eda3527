"""Boundary precision, recall and F-score per class at any tolerance, from counts kept per image.

count (:func:`count_boundaries`, or :func:`count_boundaries_on_device`, one image) -> merge (:func:`merge`) -> sum at a
tolerance (:func:`boundary_sums`) -> score (:func:`boundary_f`). Boundaries and matches are defined in
:mod:`segablate.kernels.boundary_reference`. The score per class is that of Csurka et al., What is a good evaluation
measure for semantic segmentation?, BMVC 2013, with boundaries on which void has no effect.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segablate.errors import KnobError, RunError
from segablate.kernels.boundary import boundary_distances
from segablate.kernels.boundary_reference import LABELLED, PREDICTED, BoundaryDistances
from segablate.kernels.maps import Map
from segablate.labels import index_type
from segablate.metrics.rows import Columns, add_by_image, in_blocks, rows_of
from segablate.metrics.tolerance import Tolerance

if TYPE_CHECKING:
    from torch import Tensor

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class BoundaryCounts:
    """Boundary pixels of N images by image, side, class and squared distance to the other map, sparse.

    ``sizes`` (N, 2) holds height and width, ``reach`` (N,) the largest squared distance counted, ``classes`` the
    number of classes; ``rows`` the columns of :func:`column_types`, (K,) each, or packed: ``image``; ``side``, 0 for
    predicted boundary pixels and 1 for labelled ones; ``class_index``; ``squared``, in squared pixels, 2^31 - 1 beyond
    the reach; ``pixels``.
    """

    sizes: NDArray[np.int32]
    reach: NDArray[np.int32]
    classes: int
    rows: Columns

    def arrays(self) -> Iterator[tuple[str, NDArray[np.integer]]]:
        """Yield the fields and columns by name, one array at a time; :meth:`from_arrays` reads them back."""
        yield from (("sizes", self.sizes), ("reach", self.reach), ("classes", np.asarray(self.classes)))
        yield from ((name, self.rows[name]) for name in column_types(self.classes))

    def to_arrays(self) -> dict[str, NDArray[np.integer]]:
        """Return what :meth:`arrays` yields."""
        return dict(self.arrays())

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.integer]]) -> "BoundaryCounts":
        """Read counts from saved arrays; raises :class:`RunError` for missing arrays and columns that do not fit."""
        missing = [name for name in ("sizes", "reach", "classes", *column_types(1)) if name not in arrays]
        if missing:
            raise RunError(f"boundary counts lack {', '.join(missing)}; evaluate again")
        classes = int(arrays["classes"])
        kinds = column_types(classes)
        for name in ("side", "class_index"):
            given = np.asarray(arrays[name])
            if (given < 0).any() or (given > np.iinfo(kinds[name]).max).any():
                raise RunError("boundary counts are damaged: a side or class is out of range; evaluate again")
        sizes, reach = (np.asarray(arrays[name], np.int32) for name in ("sizes", "reach"))
        counts = cls(sizes, reach, classes, {name: np.asarray(arrays[name], kind) for name, kind in kinds.items()})
        _check(counts)
        return counts

    def blocks(self) -> Iterator["BoundaryCounts"]:
        """Yield the counts with some of their rows at a time."""
        return (replace(self, rows=rows) for rows in in_blocks(self.rows))

    def subset(self, images: Sequence[int]) -> "BoundaryCounts":
        """Return the images at these positions, in that order."""
        return BoundaryCounts(self.sizes[images], self.reach[images], self.classes, rows_of(self.rows, images))

    def answers(self, tolerance: Tolerance) -> bool:
        """Return whether distances were counted far enough for this tolerance in every image."""
        return not _beyond(self, tolerance).size


def column_types(classes: int) -> dict[str, type[np.integer]]:
    """Return the types of the columns of :class:`BoundaryCounts`."""
    narrow = {"side": np.uint8, "class_index": index_type(classes)}
    return {"image": np.int32, **narrow, "squared": np.int32, "pixels": np.int32}


def count_boundaries(
    labels: Map,
    predicted: Map,
    classes: int,
    tolerances: Sequence[Tolerance],
    label_boundary: Map | None = None,
) -> BoundaryCounts:
    """Count one image, for every tolerance up to the largest of ``tolerances``.

    ``labels`` and ``predicted`` are (H, W) class indices of :func:`segablate.labels.index_type`; predictions of
    ``classes`` and above are outside the label set. ``label_boundary``: see :func:`boundary_distances`.
    """
    reach = _reach(labels.shape, tolerances)
    distances = boundary_distances(labels, predicted, classes, reach, label_boundary)
    return _counts(distances, labels.shape, reach, classes)


def count_boundaries_on_device(
    labels: "Tensor", predicted: "Tensor", classes: int, tolerances: Sequence[Tolerance]
) -> BoundaryCounts:
    """Count as :func:`count_boundaries` does, of tensors on a GPU; only the counts are copied to the host."""
    from segablate.kernels.boundary_device import boundary_distances_on_device

    reach = _reach(labels.shape, tolerances)
    return _counts(boundary_distances_on_device(labels, predicted, classes, reach), labels.shape, reach, classes)


def boundary_tables(
    labels: "Tensor", predicted: "Tensor", classes: int, tolerances: Sequence[Tolerance]
) -> "Tensor | None":
    """Count a batch, N, H, W each, on a GPU: one table for each image, of which :func:`counts_of_table` makes counts.

    None where a tolerance is too large for it.
    """
    from segablate.kernels import boundary_dense

    reach = _reach(labels.shape[1:], tolerances)
    within = reach <= boundary_dense.REACH
    return boundary_dense.boundary_tables(labels, predicted, classes, reach) if within else None


def counts_of_table(table: NDArray[np.int64], size: Sequence[int], tolerances: Sequence[Tolerance]) -> BoundaryCounts:
    """Return the counts of one image, of this height and width, from its table on the host."""
    from segablate.kernels import boundary_dense

    reach = _reach(size, tolerances)
    return _counts(boundary_dense.unpacked(table, reach), size, reach, table.shape[1])


def _reach(size: Sequence[int], tolerances: Sequence[Tolerance]) -> int:
    """Return the largest squared distance that a tolerance matches in an image of this height and width."""
    height, width = size
    return max(tolerance.squared(height, width) for tolerance in tolerances)


def _counts(distances: BoundaryDistances, size: Sequence[int], reach: int, classes: int) -> BoundaryCounts:
    """Make the counts of one image."""
    columns = {"image": np.zeros(distances.pixels.size, np.int32), **distances._asdict()}
    rows = {name: columns[name].astype(kind, copy=False) for name, kind in column_types(classes).items()}
    return BoundaryCounts(np.array([size], np.int32), np.array([reach], np.int32), classes, rows)


def merge(parts: Sequence[BoundaryCounts]) -> BoundaryCounts:
    """Concatenate the images of ``parts``, one or more of the same classes, in order."""
    (classes,) = {part.classes for part in parts}
    rows = {name: np.concatenate([part.rows[name] for part in parts]) for name in column_types(classes)}
    starts = np.cumsum([0, *(len(part.sizes) for part in parts[:-1])], dtype=np.int32)
    rows["image"] += np.repeat(starts, [part.rows["image"].size for part in parts])
    sizes, reach = np.concatenate([part.sizes for part in parts]), np.concatenate([part.reach for part in parts])
    return BoundaryCounts(sizes, reach, classes, rows)


class BoundarySums(NamedTuple):
    """Boundary pixels at one tolerance: (N, C) per image and class, (C,) pooled, or sums under any image weights."""

    matched_predicted: Counts
    predicted: Counts
    matched_labelled: Counts
    labelled: Counts

    def total(self) -> "BoundarySums":
        """Sum over images: (C,) each."""
        return BoundarySums(*(sums.sum(axis=0) for sums in self))


def boundary_sums(counts: BoundaryCounts, tolerance: Tolerance) -> BoundarySums:
    """Sum the matched and present boundary pixels of each image and class at ``tolerance``, int64 (N, C) each.

    Raises :class:`KnobError` for a tolerance beyond what was counted.
    """
    _check_within(counts, tolerance)
    squared = _squared(counts, tolerance)
    sums = [np.zeros((len(counts.sizes), counts.classes), np.int64) for _ in range(4)]
    for block in counts.blocks():
        rows = block.rows
        matched = rows["squared"] <= squared[rows["image"]]
        sides = rows["side"] == PREDICTED, rows["side"] == LABELLED
        for of_class, chosen in zip(sums, (sides[0] & matched, sides[0], sides[1] & matched, sides[1]), strict=True):
            add_by_image(of_class, rows["image"], rows["class_index"], rows["pixels"], chosen)
    return BoundarySums(*sums)


def boundary_precision(sums: BoundarySums) -> Scores:
    """Return the share of predicted boundary pixels that match; nan for a class without predicted boundary."""
    return _share(sums.matched_predicted, sums.predicted)


def boundary_recall(sums: BoundarySums) -> Scores:
    """Return the share of labelled boundary pixels that match; nan for a class without labelled boundary."""
    return _share(sums.matched_labelled, sums.labelled)


def boundary_f(sums: BoundarySums) -> Scores:
    """Return the harmonic mean of precision and recall, ``2PR / (P + R)``.

    0 for a class with boundary in only one of the maps, nan for a class with boundary in neither.
    """
    precision, recall = np.nan_to_num(boundary_precision(sums)), np.nan_to_num(boundary_recall(sums))
    harmonic = np.nan_to_num(_share(2 * precision * recall, precision + recall))
    return np.where((sums.predicted > 0) | (sums.labelled > 0), harmonic, np.nan)


def surface_dice(sums: BoundarySums) -> Scores:
    """Return matched over all boundary pixels of both maps, "NSD"; nan for a class with boundary in neither.

    Nikolov et al., Clinically applicable segmentation of head and neck anatomy for radiotherapy, JMIR 2021.
    """
    matched = sums.matched_predicted + sums.matched_labelled
    return _share(matched, sums.predicted + sums.labelled)


def mean_over_images(scores: Scores) -> Scores:
    """Average over the images where the score is defined, (N, C) to (C,); nan where there is none."""
    defined = ~np.isnan(scores)
    return _share(np.where(defined, scores, 0.0).sum(axis=0), defined.sum(axis=0))


def _share(part: NDArray, whole: NDArray) -> Scores:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def _squared(counts: BoundaryCounts, tolerance: Tolerance) -> Counts:
    """Return the largest squared distance that matches in each image, (N,)."""
    return np.array([tolerance.squared(height, width) for height, width in counts.sizes.tolist()], np.int64)


def _beyond(counts: BoundaryCounts, tolerance: Tolerance) -> Counts:
    """Return the images whose distances were not counted up to the tolerance."""
    return np.flatnonzero(_squared(counts, tolerance) > counts.reach)


def _check_within(counts: BoundaryCounts, tolerance: Tolerance) -> None:
    over = _beyond(counts, tolerance)
    if over.size:
        height, width = counts.sizes[over[0]].tolist()
        raise KnobError(
            f"tolerance {tolerance} ({tolerance.pixels(height, width):.4g} px at {height}x{width}) is beyond the "
            f"{counts.reach[over[0]] ** 0.5:.4g} px up to which boundary distances were counted; evaluate again with "
            f"--tolerance {tolerance}"
        )


def _check(counts: BoundaryCounts) -> None:
    rows = counts.rows
    whole = len({column.shape for column in rows.values()}) == 1 and counts.sizes.shape == (counts.reach.size, 2)
    inside = whole and bool(
        np.all((rows["image"] >= 0) & (rows["image"] < len(counts.sizes)) & (rows["class_index"] < counts.classes))
    )
    if not inside:
        raise RunError("boundary counts are damaged: their columns do not fit together; evaluate again")
