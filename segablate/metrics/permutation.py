"""Are the classes of predictions in another order than those of the labels?"""

from dataclasses import dataclass

import numpy as np

from segablate.metrics.confusion import ClassCounts, mean_iou

MUCH = 0.3
"""The least IoU with another class that shows that a class stands for that one."""

LITTLE = 0.1
"""The most that its IoU with itself may be, as a share of that with the other."""

GAIN = 0.2
"""The least gain in mIoU, unless the classes concerned just exchange their places."""

RARE = 1e-3
"""Share of the labelled pixels below which a class shows nothing; of many classes, a tenth of an equal share."""

MOST = 1000
"""Classes beyond which no order is looked for: the time grows with their cube."""


@dataclass(frozen=True)
class Permutation:
    """Another order of the classes, in which predictions fit the labels.

    - `moved`: (predicted, meant) class indices of those that differ, in the order of the first.
    - `miou`, `other`: mIoU as counted, and in that order.
    """

    moved: tuple[tuple[int, int], ...]
    miou: float
    other: float


def likelier_order(table: np.ndarray) -> Permutation | None:
    """Return the order of classes in which predictions fit far better; None without overwhelming evidence.

    `table`: labels x predictions (C+1, C+1), void last in both; void is left out. Classes are assigned to one another
    for the highest sum of IoU. Of the classes that move, at least two must have an IoU of :data:`MUCH` or more with the
    other and next to none with themselves; together they must only exchange their places, or raise mIoU by :data:`GAIN`
    and to twice its value or more. Rare classes, and those that are not labelled or not predicted, show nothing.
    """
    valid = table[:-1, :-1].astype(np.float64)
    labelled, predicted = table[:-1].sum(axis=1), valid.sum(axis=0)
    common = labelled > min(RARE, 0.1 / max(len(valid), 1)) * max(int(labelled.sum()), 1)
    if common.sum() < 2 or len(valid) > MOST:
        return None
    ious = valid / np.maximum(labelled[:, None] + predicted[None] - valid, 1)  # label x prediction
    off = np.where(np.eye(len(ious), dtype=bool), 0, ious)
    if (off.max(axis=1)[common] >= MUCH).sum() < 2:  # as of every good prediction, which needs no assignment
        return None
    label_of = _assigned(ious)
    own, other = ious.diagonal(), ious[label_of, np.arange(len(ious))][np.argsort(label_of)]  # by label
    strong = common & (other >= MUCH) & (own <= LITTLE * other)
    moved = {index: int(label) for index, label in enumerate(label_of) if label != index and strong[label]}
    if len(moved) < 2:
        return None
    before = float(mean_iou(ClassCounts(table.diagonal()[:-1], labelled, predicted)))
    hits, seen = valid[label_of, np.arange(len(ious))][np.argsort(label_of)], predicted[np.argsort(label_of)]
    after = float(mean_iou(ClassCounts(hits, labelled, seen)))
    exchanged = set(moved) == set(moved.values()) and after > before
    if not exchanged and (after - before < GAIN or after < 2 * before):
        return None
    return Permutation(tuple(moved.items()), before, after)


def _assigned(ious: np.ndarray) -> np.ndarray:
    """Return the label of each predicted class in the assignment of the highest sum of IoU, (C,).

    Classes for which all assignments are equal keep their own label where it is free.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and rarely needed

    own = 1e-9 * np.eye(len(ious))
    labels, predictions = linear_sum_assignment(ious + own, maximize=True)
    found = np.empty(len(ious), np.int64)
    found[predictions] = labels
    return found
