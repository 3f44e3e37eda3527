"""Confusion counts and the scores that follow from them: count, merge, score.

Counts are integers per image; every score is a pure function of counts, for one image or for their sum. An undefined
score is nan, never 0 or 1. Pixels labelled void are counted in a row of their own and left out of scores by default;
predictions outside the label set are counted in a column of their own, and are misses for the true class.

Long, Shelhamer and Darrell, CVPR 2015, for pixel accuracy, mean accuracy (here: mean recall), mean IoU and
frequency-weighted IoU.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segablate.kernels.confusion import count_confusion as count_confusion
from segablate.labels import index_type


def column_types(classes: int) -> tuple[type[np.integer], ...]:
    """Return the types of the columns of :class:`Confusion`: images, labels, predictions, pixels."""
    kind = index_type(classes)
    return np.int32, kind, kind, np.int32


_ROWS = 1 << 18
"""Rows of a sparse table that are added at once."""


@dataclass(frozen=True)
class Confusion:
    """Pixels of each image by label and prediction, sparse: only the pairs that occur.

    - `classes`: C; `images`: N.
    - `image`: (K,) int32; `label`, `predicted`: (K,) uint8, or uint16 beyond 255 classes; label C is void, predicted C
      is outside the label set.
    - `pixels`: (K,) int32.
    """

    classes: int
    images: int
    image: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    pixels: np.ndarray

    @classmethod
    def from_dense(cls, tables: Sequence[np.ndarray], classes: int) -> "Confusion":
        """Make sparse counts of one (C+1, C+1) table for each image."""
        kept = [np.nonzero(table) for table in tables]
        image = np.repeat(np.arange(len(tables)), [len(rows) for rows, _ in kept])
        empty = np.zeros(0, np.int64)
        labels, predicted = (np.concatenate([empty, *(at[axis] for at in kept)]) for axis in (0, 1))
        pixels = np.concatenate([empty, *(table[at] for table, at in zip(tables, kept, strict=True))])
        columns = zip((image, labels, predicted, pixels), column_types(classes), strict=True)
        return cls(classes, len(tables), *(column.astype(kind) for column, kind in columns))

    @classmethod
    def joined(cls, parts: Sequence["Confusion"], classes: int) -> "Confusion":
        """Join the counts of these images, in order."""
        starts = np.cumsum([0, *(part.images for part in parts)], dtype=np.int32)
        kinds = zip(("image", "label", "predicted", "pixels"), column_types(classes), strict=True)
        columns = {
            name: np.concatenate([np.zeros(0, kind), *(getattr(part, name) for part in parts)]) for name, kind in kinds
        }
        columns["image"] += np.repeat(starts[:-1], [part.image.size for part in parts])
        return cls(classes, int(starts[-1]), **columns)

    def total(self) -> np.ndarray:
        """Return the (C+1, C+1) int64 table of the whole set."""
        table = np.zeros((self.classes + 1, self.classes + 1), np.int64)
        np.add.at(table, (self.label, self.predicted), self.pixels)
        return table

    def dense(self, image: int) -> np.ndarray:
        """Return the (C+1, C+1) int64 table of one image."""
        chosen = self.image == image
        table = np.zeros((self.classes + 1, self.classes + 1), np.int64)
        table[self.label[chosen], self.predicted[chosen]] = self.pixels[chosen]
        return table

    def subset(self, images: Sequence[int]) -> "Confusion":
        """Return the images at these positions, in that order."""
        rows, image = rows_of(self.image, images)
        columns = (column[rows] for column in (self.label, self.predicted, self.pixels))
        return Confusion(self.classes, len(images), image, *columns)


def sums_by_image(
    shape: tuple[int, int], image: np.ndarray, column: np.ndarray, pixels: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """Sum the pixels of the chosen rows of a sparse table by image and another column: int64 of this shape.

    All columns are (K,); `chosen` is bool. Rows are added in parts, as numpy copies indices to 8 bytes each.
    """
    sums = np.zeros(shape, np.int64)
    for start in range(0, len(image), _ROWS):
        rows = np.flatnonzero(chosen[start : start + _ROWS]) + start
        np.add.at(sums, (image[rows], column[rows]), pixels[rows])
    return sums


def rows_of(image: np.ndarray, images: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a sparse table whose `image` (K,) is in `images`, in that order, and their new numbers."""
    order = np.argsort(image, kind="stable")
    starts, stops = (np.searchsorted(image[order], images, side) for side in ("left", "right"))
    lengths = stops - starts
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return order[np.repeat(starts, lengths) + within], np.repeat(np.arange(len(images)), lengths).astype(np.int32)


@dataclass(frozen=True)
class ClassCounts:
    """Pixels per class, of each image or of a set: arrays (..., C) int64.

    - `hits`: labelled and predicted as the class.
    - `labelled`: labelled as the class.
    - `predicted`: predicted as the class, on the pixels that the convention counts.
    """

    hits: np.ndarray
    labelled: np.ndarray
    predicted: np.ndarray

    def total(self) -> "ClassCounts":
        """Sum over images: (N, C) to (C,)."""
        return ClassCounts(*(counts.sum(axis=0) for counts in (self.hits, self.labelled, self.predicted)))


def class_counts(confusion: Confusion, *, void_as_error: bool = False) -> ClassCounts:
    """Count per image, (N, C). With `void_as_error`, predictions on void pixels count as false positives."""
    shape = (confusion.images, confusion.classes + 1)
    valid = confusion.label < confusion.classes
    seen = valid | void_as_error
    right = valid & (confusion.label == confusion.predicted)

    def summed(columns: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return sums_by_image(shape, confusion.image, columns, confusion.pixels, chosen)[:, : confusion.classes]

    return ClassCounts(
        summed(confusion.label, right), summed(confusion.label, valid), summed(confusion.predicted, seen)
    )


def recall(counts: ClassCounts) -> np.ndarray:
    """Return hits over labelled pixels, (..., C); nan for a class that is not labelled."""
    return _ratio(counts.hits, counts.labelled)


def precision(counts: ClassCounts) -> np.ndarray:
    """Return hits over predicted pixels, (..., C); nan for a class that is not predicted."""
    return _ratio(counts.hits, counts.predicted)


def iou(counts: ClassCounts) -> np.ndarray:
    """Return intersection over union, (..., C); nan for a class neither labelled nor predicted."""
    return _ratio(counts.hits, counts.labelled + counts.predicted - counts.hits)


def f1(counts: ClassCounts) -> np.ndarray:
    """Return Dice, the harmonic mean of precision and recall, (..., C); nan for a class in neither map."""
    return _ratio(2 * counts.hits, counts.labelled + counts.predicted)


def mean_iou(counts: ClassCounts) -> np.ndarray:
    """Return the mean IoU over the classes labelled or predicted, (...); nan where there is none."""
    return nanmean(iou(counts))


def mean_recall(counts: ClassCounts) -> np.ndarray:
    """Return the mean recall ("mean accuracy", "class average") over the labelled classes, (...)."""
    return nanmean(recall(counts))


def pixel_accuracy(counts: ClassCounts) -> np.ndarray:
    """Return hits over labelled pixels of all classes, (...); nan where nothing is labelled."""
    return _ratio(counts.hits.sum(axis=-1), counts.labelled.sum(axis=-1))


def frequency_weighted_iou(counts: ClassCounts) -> np.ndarray:
    """Return the IoU averaged with the labelled pixels of each class as weights, (...)."""
    weighted = np.where(counts.labelled > 0, counts.labelled * np.nan_to_num(iou(counts)), 0.0)
    return _ratio(weighted.sum(axis=-1), counts.labelled.sum(axis=-1))


def kappa(table: np.ndarray) -> float:
    """Return Cohen's kappa of a (C+1, C+1) table without its void row: agreement beyond that of chance."""
    valid = table[:-1].astype(np.float64)
    total = valid.sum()
    by_chance = (valid.sum(axis=1) * valid[:, :-1].sum(axis=0)).sum() / max(total, 1) ** 2
    agreed = np.trace(valid[:, :-1]) / max(total, 1)
    return float((agreed - by_chance) / (1 - by_chance)) if total and by_chance < 1 else float("nan")


def nanmean(values: np.ndarray) -> np.ndarray:
    """Average over the last axis the values that are not nan; nan where all are."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    below = np.asarray(below, np.float64)
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
