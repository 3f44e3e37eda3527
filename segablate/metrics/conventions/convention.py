"""Conventions as objects: the rules by which one tool computes a mean IoU from pixel counts, and when it refuses."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import NamedTuple

import numpy as np

from segablate.metrics.confusion import ClassCounts, Confusion, class_counts

Rule = Callable[[ClassCounts], np.ndarray]
"""Counts of each image (N, C) -> a score of each class, (C,), or of the set, ()."""

Refusal = Callable[[Confusion], str]
"""Counts -> the reason why a tool reports no score for these pixels; empty where it reports one."""


def takes_all(_: Confusion) -> str:
    """Refuse nothing: the tool reports a score for any labels and predictions."""
    return ""


@dataclass(frozen=True)
class Convention:
    """The rule of one tool for confusion counts.

    - `name`: as on the command line; `tool`: the tool, its version and the function that is meant.
    - `differs`: one sentence on what makes its number differ from ours.
    - `iou`: of each class, as the tool reports it; `miou`: the mean that it reports.
    - `mean_recall`, `pixel_accuracy`: where the tool reports them under any name.
    - `refusal`: see :data:`Refusal`; `counts`: what is counted of each image, by default on labelled pixels.
    """

    name: str
    tool: str
    differs: str
    iou: Rule
    miou: Rule
    mean_recall: Rule | None = None
    pixel_accuracy: Rule | None = None
    refusal: Refusal = takes_all
    counts: Callable[[Confusion], ClassCounts] = class_counts


class Scores(NamedTuple):
    """Scores that a tool reports for a set: (C,) IoU of the classes, and its means; nan where it reports none.

    `refusal` is the reason why there is no score at all, else empty.
    """

    iou: np.ndarray
    miou: float
    mean_recall: float
    pixel_accuracy: float
    refusal: str


def scores_under(convention: Convention, confusion: Confusion) -> Scores:
    """Compute the scores of a set, from the counts of its images, as the tool of the convention reports them."""
    refusal = convention.refusal(confusion)
    if refusal:
        return Scores(np.full(confusion.classes, np.nan), nan, nan, nan, refusal)
    counts = convention.counts(confusion)
    rules = convention.miou, convention.mean_recall, convention.pixel_accuracy
    miou, mean_recall, pixel_accuracy = (float(rule(counts)) if rule else nan for rule in rules)
    return Scores(convention.iou(counts), miou, mean_recall, pixel_accuracy, "")
