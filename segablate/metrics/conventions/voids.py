"""Two readings of void that papers use: predictions on void as errors, and void as a class of its own."""

import numpy as np

from segablate.metrics.confusion import ClassCounts, Confusion, class_counts, counts_where, iou
from segablate.metrics.conventions.convention import Convention, Rule
from segablate.metrics.conventions.rules import mean_defined, mean_recall, of_set, right_of_labelled


def void_as_error(confusion: Confusion) -> ClassCounts:
    """Count per image, (N, C), with predictions on void pixels as false positives of the class predicted."""
    return class_counts(confusion, void_as_error=True)


def void_as_class(confusion: Confusion) -> ClassCounts:
    """Count per image, (N, C+1): void is the last class, and what is predicted outside the label set predicts it."""

    def chosen(rows: Confusion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        every = np.ones(rows.label.shape, bool)
        return rows.label == rows.predicted, every, every

    return counts_where(chosen, confusion)


def _without_void(rule: Rule) -> Rule:
    """Return the scores of the classes alone, (C,), from a rule that has void as the last one."""
    return lambda counts: rule(counts)[:-1]


VOIDS = (
    Convention(
        "void-as-error",
        "this program with --void-as-error; the CamVid script of ESPNet, among others",
        "predictions on void pixels count as false positives of the class predicted",
        of_set(iou),
        mean_defined(of_set(iou)),
        mean_recall,
        right_of_labelled,
        counts=void_as_error,
    ),
    Convention(
        "void-as-class",
        "scripts that do not leave out the void class",
        "void is one more class in the means; what is predicted outside the label set is taken for a prediction of it",
        _without_void(of_set(iou)),
        mean_defined(of_set(iou)),
        mean_recall,
        right_of_labelled,
        counts=void_as_class,
    ),
)
