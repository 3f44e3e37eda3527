"""Scores image by image: the mean over images, the mean over classes of it, and what the worst images are like.

Wang et al., Revisiting Evaluation Metrics for Semantic Segmentation: Optimization and Evaluation of Fine-grained
Intersection over Union, NeurIPS 2023 (datasets and benchmarks). A cell is one class in one image that labels it; all
scores here are of cells (N, C), nan where the image does not label the class.
"""

import numpy as np
from numpy.typing import NDArray

from segablate.metrics.confusion import ClassCounts, iou, nanmean

Cells = NDArray[np.float64]

TENTHS = range(10, 110, 10)


def labelled_iou(counts: ClassCounts) -> Cells:
    """IoU, (..., C), of the classes that are labelled; nan for the others, also where they are predicted."""
    return np.where(counts.labelled > 0, iou(counts), np.nan)


def of_images(cells: Cells) -> Cells:
    """Each image's mean over its classes, (N,); nan where there is none. Their mean over images is mIoU^I."""
    return nanmean(cells)


def of_classes(cells: Cells) -> Cells:
    """Each class's mean over its images, (C,); nan where there is none. Their mean over classes is mIoU^C."""
    return nanmean(cells.T)


def worst_images(cells: Cells, percent: int) -> float:
    """Mean over the lowest `percent` of the images, at least one: mIoU^I of the worst images. nan without images."""
    return float(_lowest(of_images(cells)[:, None], percent)[0])


def worst_cells(cells: Cells, percent: int) -> float:
    """For each class the mean over its lowest `percent` of images, at least one; then the mean over classes."""
    return float(nanmean(_lowest(cells, percent)))


def tenths_of_images(cells: Cells) -> float:
    """:func:`worst_images` averaged over 10, 20 ... 100 %: low scores weigh more than in the plain mean."""
    return float(np.mean([worst_images(cells, percent) for percent in TENTHS]))


def tenths_of_cells(cells: Cells) -> float:
    """:func:`worst_cells` averaged over 10, 20 ... 100 %."""
    return float(np.mean([worst_cells(cells, percent) for percent in TENTHS]))


def _lowest(values: Cells, percent: int) -> Cells:
    """Mean of each column's lowest `percent` of what is not nan, rounded down but at least one; (N, K) to (K,)."""
    kept = np.maximum(1, (~np.isnan(values)).sum(axis=0) * percent // 100)
    ordered = np.sort(values, axis=0)  # nan comes last
    return nanmean(np.where(np.arange(len(values))[:, None] < kept, ordered, np.nan).T)
