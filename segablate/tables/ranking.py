"""Rows of the overall table on how well the scores of a two-class run rank its pixels."""

from dataclasses import replace

from segablate.errors import counted, thousands
from segablate.evaluation.results import Evaluation
from segablate.metrics.roc import STATISTIC, average_precision, merged_bins, roc_auc
from segablate.statistics.bootstrap import Distribution, Resampling, resample
from segablate.statistics.scores import ranking_scores

GROUPS = 128
"""Number of merged bins that are resampled: enough for an interval, few enough for thousands of images."""


def ranking_rows(run: Evaluation, plan: Resampling) -> list[tuple[str, Distribution, str]]:
    """Return AUC and average precision with their replicates and pixels; nothing without scores of two classes."""
    if STATISTIC not in run.statistics:
        return []
    counts = run.statistics[STATISTIC]
    (found,) = resample([ranking_scores(merged_bins(counts, GROUPS))], plan)
    total = counts.sum(axis=0, dtype="int64")
    negatives, positives = (int(pixels) for pixels in total.sum(axis=-1))
    first, second = run.labels.names
    over = f"{counted(positives, 'pixel')} of {second}, {thousands(negatives)} of {first}"
    return [
        ("AUC (ROC)", replace(found["auc"], value=roc_auc(total)), over),
        ("average precision", replace(found["average_precision"], value=average_precision(total)), f"of {second}"),
    ]
