"""Table of calibration: over all labelled pixels, and by distance from the label boundary."""

import numpy as np

from segablate.evaluation.results import Evaluation
from segablate.metrics.bands import BANDS
from segablate.metrics.bands import STATISTIC as BAND_COUNTS
from segablate.metrics.calibration import (
    CLASS_GAPS,
    RELIABILITY,
    accuracy_and_confidence,
    expected_error,
    with_whole,
)
from segablate.metrics.confusion import nanmean
from segablate.metrics.probability_bins import BINS
from segablate.statistics.bootstrap import Distribution, by_image, resample
from segablate.statistics.intervals import estimate
from segablate.statistics.scores import calibration_scores
from segablate.tables import Column, Table

WHOLE = "all labelled pixels"


def calibration_table(run: Evaluation, replicates: int) -> Table:
    """Return accuracy, confidence, ECE, Brier score and NLL; the first row is over all labelled pixels."""
    sums = with_whole(run.statistics[RELIABILITY]).sum(axis=(0, 2))
    accuracy, confidence = accuracy_and_confidence(sums)
    scores = resample([calibration_scores(run.statistics)], by_image(run.images, replicates))[0]
    rows = tuple(
        {
            "distance": distance,
            "pixels": int(sums[place, 0]),
            "accuracy": float(accuracy[place]),
            "confidence": float(confidence[place]),
            **{key: value for name in scores for key, value in _with_interval(name, scores[name], place).items()},
        }
        for place, distance in enumerate((WHOLE, *BANDS))
    )
    columns = (
        Column("distance", "distance from the label boundary", "text"),
        Column("pixels", "pixels", "count", wide=True),
        Column("accuracy", "accuracy", "share", digits=2),
        Column("confidence", "confidence", "share", digits=2),
        Column("ece", "ECE", "share", digits=2),
        Column("ece_interval", "95 % CI", "interval", digits=2),
        Column("brier", "Brier", "number"),
        Column("brier_interval", "95 % CI", "number_interval", wide=True),
        Column("nll", "NLL", "number"),
        Column("nll_interval", "95 % CI", "number_interval", wide=True),
    )
    return Table("calibration", "Calibration; lower is better", columns, rows, _notes(run), (1,))


def class_wise_errors(run: Evaluation) -> np.ndarray:
    """Return the ECE of the probability of each class over all labelled pixels, (C,)."""
    gaps = run.statistics[CLASS_GAPS].sum(axis=0, dtype=np.float64)
    return expected_error(gaps, run.statistics[BAND_COUNTS][..., 0].sum())


def set_error(run: Evaluation, replicates: int) -> Distribution:
    """Return the ECE over all labelled pixels of the set."""
    return _entry(resample([calibration_scores(run.statistics)], by_image(run.images, replicates))[0]["ece"], 0)


def _entry(distribution: Distribution, place: int) -> Distribution:
    """Return the distribution of one of several scores."""
    return Distribution(
        distribution.value[place],
        distribution.replicates[:, place],
        distribution.jackknife[:, place],
        distribution.support[place],
        distribution.bounds,
    )


def _with_interval(name: str, distribution: Distribution, place: int) -> dict[str, object]:
    found = estimate(_entry(distribution, place))
    ends = (float(found.percentile.low), float(found.percentile.high))
    return {name: float(found.value), f"{name}_interval": ends}


def _notes(run: Evaluation) -> tuple[str, ...]:
    mean = float(nanmean(class_wise_errors(run)))
    inference = str(run.facts["checkpoint"].get("inference", ""))
    averaged = (
        ("Scores are averages over windows or flips, whose calibration differs from that of a single pass.",)
        if "averaged" in inference
        else ()
    )
    return (
        f"ECE in {BINS} equal bins of the probability of the predicted class. Class-wise ECE, mean over classes: "
        f"{100 * mean:.2f} %.",
        *averaged,
    )
