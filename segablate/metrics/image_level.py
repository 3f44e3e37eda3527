"""Image-level scores: the mean over images, its mean over classes, and means over the worst images.

Wang et al., Revisiting Evaluation Metrics for Semantic Segmentation: Optimization and Evaluation of Fine-grained
Intersection over Union, NeurIPS 2023 (datasets and benchmarks). A cell is one class in one image that labels it; all
scores here are of cells (N, C), nan where the image does not label the class.
"""

import numpy as np
from numpy.typing import NDArray

from segablate.metrics.confusion import ClassCounts, iou, nanmean

Cells = NDArray[np.float64]

TENTHS = range(10, 110, 10)


def of_labelled(cells: Cells, counts: ClassCounts) -> Cells:
    """Return scores, (..., C), of the classes that are labelled; nan for the others, also where they are predicted."""
    return np.where(counts.labelled > 0, cells, np.nan)


def labelled_iou(counts: ClassCounts) -> Cells:
    """Return IoU, (..., C), of the classes that are labelled; nan for the others, also where they are predicted."""
    return of_labelled(iou(counts), counts)


def of_images(cells: Cells) -> Cells:
    """Average over the classes of each image, (N,); nan where there is none. Their mean over images is mIoU^I."""
    return nanmean(cells)


def image_miou(counts: ClassCounts) -> Cells:
    """Return image-level mIoU, (N,): the mean IoU over the classes that the image labels; nan where it labels none.

    The only mIoU of an image in the program. Averaged over the classes labelled or predicted, as that of a set is, it
    would fall by half where a single pixel of an image of one class is predicted as another.
    """
    return of_images(labelled_iou(counts))


def of_classes(cells: Cells) -> Cells:
    """Average over the images of each class, (C,); nan where there is none. Their mean over classes is mIoU^C."""
    return nanmean(cells.T)


def worst_images(cells: Cells, percent: int) -> float:
    """Average over the lowest `percent` of the images, at least one: mIoU^I of the worst images; nan without images."""
    return float(_lowest(of_images(cells)[:, None], percent)[0])


def worst_cells(cells: Cells, percent: int) -> float:
    """Average over the lowest `percent` of images of each class, at least one, then over classes."""
    return float(nanmean(_lowest(cells, percent)))


def tenths_of_images(cells: Cells) -> float:
    """Average :func:`worst_images` over 10, 20 ... 100 %: low scores weigh more than in the plain mean."""
    return float(np.mean([worst_images(cells, percent) for percent in TENTHS]))


def tenths_of_cells(cells: Cells) -> float:
    """Average :func:`worst_cells` over 10, 20 ... 100 %."""
    return float(np.mean([worst_cells(cells, percent) for percent in TENTHS]))


def _lowest(values: Cells, percent: int) -> Cells:
    """Average the lowest `percent` of each column without nan, rounded down but at least one; (N, K) to (K,)."""
    kept = np.maximum(1, (~np.isnan(values)).sum(axis=0) * percent // 100)
    ordered = np.sort(values, axis=0)  # nan comes last
    return nanmean(np.where(np.arange(len(values))[:, None] < kept, ordered, np.nan).T)
