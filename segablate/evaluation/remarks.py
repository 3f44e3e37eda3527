"""Remarks on the files of each image, kept with its counts until they become notes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from segablate.datasets.dataset import Dataset
from segablate.datasets.remarks import remark_notes
from segablate.errors import counted, shorten
from segablate.evaluation.results import Evaluation
from segablate.metrics.calibration import RELIABILITY
from segablate.samples import Sample

_STATISTIC = "remarks"

FOREIGN = "foreign"
"""The commonest values of a prediction that are no classes, and their pixels."""

INFINITE, NARROWED = "infinite", "narrowed"
"""The numbers of pixels with an infinite score, and with one of 64 bits that is beyond the range of 32."""

NOTHING, DIVIDED = "nothing", "divided"
"""The numbers of labelled pixels whose stated probabilities are all 0, and whose sum is neither 0 nor 1."""

_SAID = {
    INFINITE: "scores are infinite at {}, and are measured there as large finite ones, from 10 000",
    NARROWED: "scores are beyond the range of float32 at {}: all of such a pixel are limited to ±10 000, and the "
    "highest, if it is beyond that, is 5 000 higher",
    NOTHING: "probabilities are all 0 at {}: the first output is predicted there, and calibration and losses take all "
    "outputs for equally probable; if nothing is predicted there, correct the files or the network",
    DIVIDED: "probabilities do not add up to 1 at {}: calibration divides them by their sum",
}
"""The notes on scores, by statistic; {} is where."""


def remarks_of(sample: Sample) -> dict[str, np.ndarray]:
    """Return the remarks of a sample as a statistic of its image."""
    return {_STATISTIC: np.array(int(sample.remarks), np.int32)}


def without_remarks(run: Evaluation, dataset: Dataset) -> tuple[Evaluation, tuple[str, ...]]:
    """Return an evaluation without the statistic, and the notes that it amounts to."""
    statistics = dict(run.statistics)
    remarks = statistics.pop(_STATISTIC, np.zeros(run.images, np.int32))
    foreign = statistics.pop(FOREIGN, np.zeros((run.images, 1, 3), np.int64))
    scores = {name: statistics.pop(name) for name in _SAID if name in statistics}
    if RELIABILITY not in statistics:
        scores.pop(DIVIDED, None)  # nothing was divided
    notes = remark_notes(run.names, remarks.tolist(), dataset.described)
    whole = replace(run, statistics=statistics)
    return whole, (*notes, *_about_scores(run.names, scores), *_about_foreign(whole, foreign))


def _about_scores(names: Sequence[str], pixels: Mapping[str, np.ndarray]) -> list[str]:
    """Return notes on the scores, from the numbers of pixels in each image, by the name of the statistic."""
    notes = []
    for statistic, counts in pixels.items():
        concerned = [name for name, count in zip(names, counts, strict=True) if count]
        if concerned:
            what = "pixel" if statistic in (INFINITE, NARROWED) else "labelled pixel"
            where = f"{counted(int(counts.sum()), what)} of {counted(len(concerned), 'image')} ({shorten(concerned)})"
            notes.append(_SAID[statistic].format(where))
    return notes


def _about_foreign(run: Evaluation, foreign: np.ndarray) -> tuple[str, ...]:
    """Return a note on the commonest value of predictions that is no class.

    `foreign`: the values of each image, in two parts, and their pixels, N, K, 3.
    """
    sums, images = Counter[int](), Counter[int]()
    for upper, lower, pixels in foreign[foreign[..., 2] > 0].tolist():
        sums[upper << 32 | lower] += pixels
        images[upper << 32 | lower] += 1
    if not sums:
        return ()
    value = max(sorted(sums), key=sums.__getitem__)
    kind = "void" if value in (run.labels.void or ()) else "no class"
    rest = len(sums) - 1
    others = f", as {'is' if rest == 1 else 'are'} {counted(rest, 'other value')}" if rest else ""
    return (
        f"predictions: value {run.labels.show_code(value)} at {counted(sums[value], 'labelled pixel')} of "
        f"{counted(images[value], 'image')} is {kind}{others}; each such pixel is a miss",
    )
