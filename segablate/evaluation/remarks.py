"""Remarks on the files and the scores of each image, kept with its counts until they become notes."""

from dataclasses import replace

import numpy as np

from segablate.datasets.dataset import Dataset
from segablate.datasets.remarks import remark_notes
from segablate.errors import counted
from segablate.evaluation.results import Evaluation
from segablate.samples import Sample

_STATISTIC = "remarks"
INFINITE = "infinite"
"""Statistic of an image: the number of its pixels at which a score is infinite."""


def remarks_of(sample: Sample) -> dict[str, np.ndarray]:
    """Return the remarks of a sample as a statistic of its image."""
    return {_STATISTIC: np.array(int(sample.remarks), np.int32)}


def without_remarks(run: Evaluation, dataset: Dataset) -> tuple[Evaluation, tuple[str, ...]]:
    """Return an evaluation without these statistics, and the notes that they amount to."""
    statistics = dict(run.statistics)
    remarks = statistics.pop(_STATISTIC, np.zeros(run.images, np.int32))
    infinite = statistics.pop(INFINITE, np.zeros(run.images, np.int64))
    notes = (*remark_notes(run.names, remarks.tolist(), dataset.described), *_infinite_note(infinite))
    return replace(run, statistics=statistics), notes


def _infinite_note(pixels: np.ndarray) -> list[str]:
    """Return a note on infinite scores, which make losses and calibration infinite or undefined."""
    images = int(np.count_nonzero(pixels))
    if not images:
        return []
    where = f"{counted(int(pixels.sum()), 'pixel')} of {counted(images, 'image')}"
    return [f"scores are infinite at {where}: losses and calibration may be infinite or undefined"]
