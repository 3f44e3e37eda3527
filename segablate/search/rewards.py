"""The reward of a proxy: the metric of its evaluation on the hold-out, as the authors define their rewards.

miou, macc and gacc are mean IoU, mean recall and pixel accuracy. fwiou is the frequency-weighted IoU; the authors' is
this times C over the number of classes labelled or predicted. biou and bf1 are those of
:mod:`segablate.metrics.asl_edges`, within 5 pixels and without the edges of class 0.
"""

from collections.abc import Callable, Mapping

import numpy as np

from segablate.datasets.dataset import Dataset
from segablate.errors import DatasetError, counted, shorten
from segablate.evaluation.measures import LabelCount
from segablate.evaluation.results import Evaluation
from segablate.metrics import asl_edges
from segablate.metrics.confusion import (
    ClassCounts,
    class_counts,
    frequency_weighted_iou,
    mean_iou,
    mean_recall,
    pixel_accuracy,
)

FEWEST = 2
"""Fewest images of a hold-out."""

TITLES = {
    "miou": "mIoU",
    "fwiou": "frequency-weighted IoU",
    "biou": "IoU near edges",
    "bf1": "edge F",
    "macc": "mean recall",
    "gacc": "pixel accuracy",
}
"""The metrics as tables name them."""

COMPARED = {
    "miou": "miou",
    "fwiou": "frequency_weighted_iou",
    "biou": "iou_near_edges",
    "bf1": "edge_f",
    "macc": "mean_recall",
    "gacc": "pixel_accuracy",
}
"""The key of each metric among the measures of a comparison."""

_OF_REGIONS: Mapping[str, Callable[[ClassCounts], np.ndarray]] = {
    "miou": mean_iou,
    "fwiou": frequency_weighted_iou,
    "macc": mean_recall,
    "gacc": pixel_accuracy,
}


def counts_of(metric: str) -> tuple[LabelCount, ...]:
    """Return what is to be counted of label maps beside the confusion."""
    return {"biou": (asl_edges.count_near_edges,), "bf1": (asl_edges.count_edges,)}.get(metric, ())


def reward_of(metric: str, run: Evaluation) -> float:
    """Return the reward, 0 to 1; nan where the metric is undefined."""
    if metric == "biou":
        return float(asl_edges.mean_iou_near_edges(run.statistics[asl_edges.NEAR].sum(axis=0)))
    if metric == "bf1":
        return float(asl_edges.mean_edge_f(run.statistics[asl_edges.EDGES].sum(axis=0)))
    return float(_OF_REGIONS[metric](class_counts(run.confusion).total()))


def check_holdout(metric: str, holdout: Dataset) -> tuple[str, ...]:
    """Return notes on what the metric cannot see on a hold-out; DatasetError where it sees nothing.

    Reads the label maps.
    """
    classes = len(holdout.labels)
    if len(holdout) < FEWEST:
        raise DatasetError(
            f"the hold-out has {len(holdout)} of the images of split {holdout.split!r}, but a reward needs at least "
            f"{FEWEST}; pass a larger --holdout"
        )
    pixels, edges = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for index in range(len(holdout)):
        labels = holdout.read(index, image=False).labels
        pixels += np.bincount(labels[labels < classes], minlength=classes)
        edges += asl_edges.count_edges(labels, labels, classes)[asl_edges.EDGES][2] if metric in ("biou", "bf1") else 0
    if not pixels.any():
        raise DatasetError("no pixel of the hold-out has a label; pass another --holdout")
    if metric in ("biou", "bf1") and not edges[1:].any():
        raise DatasetError(f"{metric} is undefined on the hold-out, which has no edge between classes but class 0")
    missing = [name for name, count in zip(holdout.labels.names, pixels, strict=True) if not count]
    if not missing:
        return ()
    return (
        f"{len(missing)} of {counted(classes, 'class', 'classes')} never labelled on the hold-out: "
        f"{shorten(missing, 8)}",
    )
