"""Remarks on the files of each image, kept with its counts until they become notes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segablate.datasets.dataset import Dataset
from segablate.datasets.remarks import remark_notes
from segablate.errors import counted, shorten
from segablate.evaluation.results import Evaluation
from segablate.samples import Sample

_STATISTIC = "remarks"

FOREIGN = "foreign"
"""The commonest values of a prediction that are no classes, and their pixels."""

INFINITE = "infinite"
"""The number of pixels with an infinite score."""


def remarks_of(sample: Sample) -> dict[str, np.ndarray]:
    """Return the remarks of a sample as a statistic of its image."""
    return {_STATISTIC: np.array(int(sample.remarks), np.int32)}


def without_remarks(run: Evaluation, dataset: Dataset) -> tuple[Evaluation, tuple[str, ...]]:
    """Return an evaluation without the statistic, and the notes that it amounts to."""
    statistics = dict(run.statistics)
    remarks = statistics.pop(_STATISTIC, np.zeros(run.images, np.int32))
    infinite = statistics.pop(INFINITE, np.zeros(run.images, np.int64))
    foreign = statistics.pop(FOREIGN, np.zeros((run.images, 1, 2), np.int64))
    notes = remark_notes(run.names, remarks.tolist(), dataset.described)
    whole = replace(run, statistics=statistics)
    return whole, (*notes, *_about_infinite(run.names, infinite), *_about_foreign(whole, foreign))


def _about_infinite(names: Sequence[str], pixels: np.ndarray) -> tuple[str, ...]:
    """Return a note on infinite scores, from the number of their pixels in each image."""
    concerned = [name for name, count in zip(names, pixels, strict=True) if count]
    if not concerned:
        return ()
    where = f"{counted(int(pixels.sum()), 'pixel')} of {counted(len(concerned), 'image')} ({shorten(concerned)})"
    return (f"scores are infinite at {where}, and are measured there as large finite ones, from 10 000",)


def _about_foreign(run: Evaluation, foreign: np.ndarray) -> tuple[str, ...]:
    """Return a note on the commonest value of predictions that is no class.

    `foreign`: the values of each image and their pixels, N, K, 2.
    """
    values = np.unique(foreign[foreign[..., 1] > 0][:, 0])
    if not len(values):
        return ()
    sums = [int(foreign[foreign[..., 0] == value][:, 1].sum()) for value in values]
    value, pixels = int(values[int(np.argmax(sums))]), max(sums)
    images = int(((foreign[..., 0] == value) & (foreign[..., 1] > 0)).any(axis=1).sum())
    kind = "void" if value in (run.labels.void or ()) else "no class"
    rest = len(values) - 1
    others = f", as {'is' if rest == 1 else 'are'} {counted(rest, 'other value')}" if rest else ""
    return (
        f"predictions: value {run.labels.show_code(value)} at {counted(pixels, 'labelled pixel')} of "
        f"{counted(images, 'image')} is {kind}{others}; each such pixel is a miss",
    )
