"""Confusion counts and the scores that follow from them: count, merge, score.

Counts are integers per image; every score is a pure function of counts, for one image or for their sum. An undefined
score is nan, never 0 or 1. Pixels labelled void are counted in a row of their own and left out of scores by default;
predictions outside the label set are counted in a column of their own, and are misses for the true class.

Long, Shelhamer and Darrell, CVPR 2015, for pixel accuracy, mean accuracy (here: mean recall), mean IoU and
frequency-weighted IoU.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segablate.kernels.confusion import count_confusion as count_confusion
from segablate.labels import index_type
from segablate.metrics.rows import Columns, add_by_image, in_blocks, rows_near, rows_of

COLUMNS = ("image", "label", "predicted", "pixels")
"""The columns of :class:`Confusion`."""


def column_types(classes: int) -> dict[str, type[np.integer]]:
    """Return the types of the columns of :class:`Confusion`."""
    kind = index_type(classes)
    return {"image": np.int32, "label": kind, "predicted": kind, "pixels": np.int32}


@dataclass(frozen=True)
class Confusion:
    """Pixels of each image by label and prediction, sparse: only the pairs that occur.

    - `classes`: C; `images`: N.
    - `rows`: the columns `image`, `label`, `predicted` and `pixels`, (K,) each, or packed.
    """

    classes: int
    images: int
    rows: Columns

    @property
    def image(self) -> np.ndarray:
        """The number of the image of each row, (K,) int32."""
        return self.rows["image"]

    @property
    def label(self) -> np.ndarray:
        """The label, (K,) uint8, or uint16 beyond 255 classes; C is void."""
        return self.rows["label"]

    @property
    def predicted(self) -> np.ndarray:
        """The prediction, (K,) as `label`; C is outside the label set."""
        return self.rows["predicted"]

    @property
    def pixels(self) -> np.ndarray:
        """The number of pixels, (K,) int32."""
        return self.rows["pixels"]

    @classmethod
    def from_dense(cls, tables: Sequence[np.ndarray], classes: int) -> "Confusion":
        """Make sparse counts of one (C+1, C+1) table for each image."""
        kept = [np.nonzero(table) for table in tables]
        image = np.repeat(np.arange(len(tables)), [len(rows) for rows, _ in kept])
        empty = np.zeros(0, np.int64)
        labels, predicted = (np.concatenate([empty, *(at[axis] for at in kept)]) for axis in (0, 1))
        pixels = np.concatenate([empty, *(table[at] for table, at in zip(tables, kept, strict=True))])
        columns = zip(column_types(classes).items(), (image, labels, predicted, pixels), strict=True)
        return cls(classes, len(tables), {name: column.astype(kind) for (name, kind), column in columns})

    @classmethod
    def joined(cls, parts: Sequence["Confusion"], classes: int) -> "Confusion":
        """Join the counts of these images, in order."""
        starts = np.cumsum([0, *(part.images for part in parts)], dtype=np.int32)
        columns = {
            name: np.concatenate([np.zeros(0, kind), *(part.rows[name] for part in parts)])
            for name, kind in column_types(classes).items()
        }
        columns["image"] += np.repeat(starts[:-1], [part.image.size for part in parts])
        return cls(classes, int(starts[-1]), columns)

    def blocks(self) -> Iterator["Confusion"]:
        """Yield the counts with some of their rows at a time."""
        return (replace(self, rows=rows) for rows in in_blocks(self.rows))

    def total(self) -> np.ndarray:
        """Return the (C+1, C+1) int64 table of the whole set."""
        table = np.zeros((self.classes + 1, self.classes + 1), np.int64)
        for part in self.blocks():
            np.add.at(table, (part.label, part.predicted), part.pixels)
        return table

    def dense(self, image: int) -> np.ndarray:
        """Return the (C+1, C+1) int64 table of one image."""
        rows = rows_near(self.rows, [image])
        chosen = rows["image"] == image
        table = np.zeros((self.classes + 1, self.classes + 1), np.int64)
        table[rows["label"][chosen], rows["predicted"][chosen]] = rows["pixels"][chosen]
        return table

    def subset(self, images: Sequence[int]) -> "Confusion":
        """Return the images at these positions, in that order."""
        return Confusion(self.classes, len(images), rows_of(self.rows, images))


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

    def without_last(self) -> "ClassCounts":
        """Leave out the last class: (..., C+1) to (..., C)."""
        return ClassCounts(*(counts[..., :-1] for counts in (self.hits, self.labelled, self.predicted)))


Choice = Callable[[Confusion], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""The rows, (K,) bool each, that are hits, that count as labelled and that count as predicted."""


def class_counts(confusion: Confusion, *, void_as_error: bool = False) -> ClassCounts:
    """Count per image, (N, C). With `void_as_error`, predictions on void pixels count as false positives."""

    def chosen(rows: Confusion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        valid = rows.label < rows.classes
        return valid & (rows.label == rows.predicted), valid, valid | void_as_error

    return counts_where(chosen, confusion).without_last()


def counts_where(choose: Choice, confusion: Confusion) -> ClassCounts:
    """Count the chosen rows per image, (N, C+1): labels by label, of which the last is void, others by prediction."""
    sums = [np.zeros((confusion.images, confusion.classes + 1), np.int64) for _ in range(3)]
    for rows in confusion.blocks():
        for counts, column, chosen in zip(sums, (rows.label, rows.label, rows.predicted), choose(rows), strict=True):
            add_by_image(counts, rows.image, column, rows.pixels, chosen)
    return ClassCounts(*sums)


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
