"""Is an agreement of label maps better than chance?"""

import numpy as np

from segablate.metrics.confusion import ClassCounts, kappa, mean_iou

CHANCE = 0.05
"""Cohen's kappa below which agreement counts as chance: independent maps of a few thousand pixels reach 0.03."""


def why_chance(table: np.ndarray) -> str:
    """Return why a table of label x prediction, void last in both, is no better than chance; empty where it is.

    A constant map does as well where mIoU is no higher than that of always predicting the most frequent class; chance,
    where Cohen's kappa, the agreement beyond that of independent maps with the same shares of classes, is below
    :data:`CHANCE`. Void is left out. With a single labelled class it is empty: a constant map is perfect there.
    """
    labelled, predicted = table[:-1].sum(axis=1), table[:-1, :-1].sum(axis=0)
    classes = int((labelled > 0).sum())
    if classes < 2:
        return ""
    score = float(mean_iou(ClassCounts(table.diagonal()[:-1], labelled, predicted)))
    constant, agreement = float(labelled.max() / labelled.sum() / classes), kappa(table)
    if score <= constant * (1 + 1e-9):
        return f"always predicting the most frequent of {classes} classes has {100 * constant:.1f} %"
    if agreement < CHANCE:
        return f"agreement with the labels is that of independent maps (Cohen's kappa {agreement:.2f})"
    return ""
