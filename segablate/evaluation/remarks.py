"""Remarks on the files of each image, kept with its counts until they become notes."""

from dataclasses import replace

import numpy as np

from segablate.datasets.dataset import Dataset
from segablate.datasets.remarks import remark_notes
from segablate.evaluation.results import Evaluation
from segablate.samples import Sample

_STATISTIC = "remarks"


def remarks_of(sample: Sample) -> dict[str, np.ndarray]:
    """Return the remarks of a sample as a statistic of its image."""
    return {_STATISTIC: np.array(int(sample.remarks), np.int32)}


def without_remarks(run: Evaluation, dataset: Dataset) -> tuple[Evaluation, tuple[str, ...]]:
    """Return an evaluation without the statistic, and the notes that it amounts to."""
    statistics = dict(run.statistics)
    remarks = statistics.pop(_STATISTIC, np.zeros(run.images, np.int32))
    return replace(run, statistics=statistics), remark_notes(run.names, remarks.tolist(), dataset.described)
