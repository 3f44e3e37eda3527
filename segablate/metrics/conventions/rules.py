"""Rules of which conventions are composed: IoU over the set or by image, absent classes, refusals."""

import numpy as np

from segablate.errors import counted
from segablate.metrics.confusion import ClassCounts, Confusion, counts_where, iou, nanmean, recall
from segablate.metrics.conventions.convention import Rule


def of_set(score: Rule, absent: float = np.nan) -> Rule:
    """Return the rule of a score of each class over the whole set, (C,); `absent` replaces an undefined one."""

    def rule(counts: ClassCounts) -> np.ndarray:
        values = score(counts.total())
        return np.where(np.isnan(values), absent, values)

    return rule


def mean_defined(rule: Rule) -> Rule:
    """Average over the classes where a score is defined."""
    return lambda counts: nanmean(rule(counts))


def mean_all(rule: Rule) -> Rule:
    """Average over all classes: nan as soon as one is undefined."""
    return lambda counts: np.asarray(np.mean(rule(counts)))


def mean_labelled(rule: Rule) -> Rule:
    """Average over the classes that are labelled anywhere."""
    return lambda counts: nanmean(np.where(counts.total().labelled > 0, rule(counts), np.nan))


def mean_foreground(rule: Rule) -> Rule:
    """Average over all classes but the first: nan as soon as one of them is undefined, or where there is none."""
    return lambda counts: np.asarray(np.mean(rule(counts)[1:]) if counts.hits.shape[-1] > 1 else np.nan)


def complete_iou(counts: ClassCounts) -> np.ndarray:
    """Return IoU, (..., C), with 1 for a class that is neither labelled nor predicted."""
    return np.where(np.isnan(iou(counts)), 1.0, iou(counts))


def softened_iou(counts: ClassCounts, eps: float = 1e-6) -> np.ndarray:
    """Return IoU, (..., C), with `eps` added to numerator and denominator."""
    return (counts.hits + eps) / (counts.labelled + counts.predicted - counts.hits + eps)


def over_images(cells: Rule) -> Rule:
    """Average each class's score in one image over the images where it is defined, (C,)."""
    return lambda counts: nanmean(cells(counts).T)


def mean_of_images(cells: Rule) -> Rule:
    """Average over the classes of an image, then over images; images without a class are left out."""
    return lambda counts: nanmean(nanmean(cells(counts)))


def mean_of_cells(cells: Rule) -> Rule:
    """Average over all pairs of an image and a class where the score is defined."""
    return lambda counts: nanmean(cells(counts).reshape(-1))


def right_of_predicted(counts: ClassCounts) -> np.ndarray:
    """Return hits over predicted pixels: those predicted outside the classes are in neither."""
    total = counts.total()
    return _share(total.hits.sum(), total.predicted.sum())


def right_of_labelled(counts: ClassCounts) -> np.ndarray:
    """Return hits over labelled pixels, "pixel accuracy"."""
    total = counts.total()
    return _share(total.hits.sum(), total.labelled.sum())


def mean_labelled_or_none(rule: Rule) -> Rule:
    """Average over the classes that are labelled anywhere, 0 where none is."""
    return lambda counts: np.nan_to_num(mean_labelled(rule)(counts))


def right_or_none(counts: ClassCounts) -> np.ndarray:
    """Return hits over labelled pixels, 0 where nothing is labelled."""
    return np.nan_to_num(right_of_labelled(counts))


def binary_accuracy(counts: ClassCounts) -> np.ndarray:
    """Return true positives and true negatives over all pairs of a pixel and a class."""
    total = counts.total()
    pixels = total.labelled.sum() * total.labelled.size
    wrong = (total.labelled + total.predicted - 2 * total.hits).sum()
    return _share(pixels - wrong, pixels)


def within_classes(confusion: Confusion) -> ClassCounts:
    """Count per image, (N, C), without the pixels that are predicted outside the classes."""

    def chosen(rows: Confusion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inside = (rows.label < rows.classes) & (rows.predicted < rows.classes)
        return inside & (rows.label == rows.predicted), inside, inside

    return counts_where(chosen, confusion).without_last()


mean_recall = mean_defined(of_set(recall))
"""Mean recall over the labelled classes, "mean accuracy"."""


def refuses_outside(confusion: Confusion) -> str:
    """Refuse predictions outside the classes on labelled pixels."""
    return _outside(confusion, confusion.label < confusion.classes)


def refuses_outside_anywhere(confusion: Confusion) -> str:
    """Refuse predictions outside the classes, also on void pixels."""
    return _outside(confusion, confusion.label <= confusion.classes)


def refuses_void(confusion: Confusion) -> str:
    """Refuse void pixels, as the tool has no label to ignore, and predictions outside the classes."""
    void = int(confusion.pixels[confusion.label == confusion.classes].sum())
    if void:
        return f"it has no label to ignore, and {_pixels_are(void)} void: it stops with an error"
    return refuses_outside(confusion)


def refuses_unlabelled(confusion: Confusion) -> str:
    """Refuse a set without a labelled pixel, and predictions outside the classes, also on void."""
    if not (confusion.label < confusion.classes).any():
        return "no image has a labelled pixel: it stops with an error"
    return refuses_outside_anywhere(confusion)


def _outside(confusion: Confusion, looked_at: np.ndarray) -> str:
    outside = int(confusion.pixels[looked_at & (confusion.predicted == confusion.classes)].sum())
    if not outside:
        return ""
    return f"{_pixels_are(outside)} predicted outside the classes: it stops with an error or miscounts them"


def _pixels_are(number: int) -> str:
    return f"{counted(number, 'pixel')} {'is' if number == 1 else 'are'}"


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(part / whole if whole else np.nan)
