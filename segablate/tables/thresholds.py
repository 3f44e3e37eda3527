"""The table of a two-class run over thresholds of the probability of the second class."""

import math

import numpy as np

from segablate.evaluation.results import Evaluation
from segablate.metrics.roc import STATISTIC
from segablate.metrics.thresholds import at_thresholds, best_threshold
from segablate.tables import Column, Table

USUAL = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def threshold_table(run: Evaluation) -> Table | None:
    """Return Dice, IoU, recall, precision and specificity over thresholds, and the best; None without scores."""
    if STATISTIC not in run.statistics:
        return None
    counts = run.statistics[STATISTIC].sum(axis=0, dtype="int64")
    best = best_threshold(counts)
    if math.isnan(best):
        return None
    thresholds = np.array(sorted({*USUAL, best}))
    found = at_thresholds(counts, thresholds)
    rows = tuple(
        {
            "threshold": float(f"{threshold:.4g}"),
            "which": "best on these images" if threshold == best else "",
            "dice": float(found.dice[row]),
            "iou": float(found.iou[row]),
            "recall": float(found.recall[row]),
            "precision": float(found.precision[row]),
            "specificity": float(found.specificity[row]),
        }
        for row, threshold in enumerate(thresholds.tolist())
    )
    columns = (
        Column("threshold", "threshold", "number"),
        Column("which", "", "text"),
        Column("dice", "Dice", "share", digits=2, best="high"),
        Column("iou", "IoU", "share", digits=2),
        Column("recall", "recall", "share", digits=2),
        Column("precision", "precision", "share", digits=2),
        Column("specificity", "specificity", "share", digits=2, wide=True),
    )
    dice = 100 * float(found.dice[int(np.flatnonzero(thresholds == best)[0])])
    note = (
        f"The best Dice, {dice:.2f} at threshold {best:.4g}, was chosen on the very images it is measured on, and is "
        f"too high for others. Choose the threshold on a validation split, and state it: --threshold {best:.4g}."
    )
    return Table("thresholds", f"Thresholds of the probability of {run.labels.names[1]}", columns, rows, (note,))
