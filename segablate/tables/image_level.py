"""Tables of image-level scores: means over images and classes, the worst shares, and the worst images."""

import numpy as np

from segablate.errors import counted
from segablate.evaluation.results import Evaluation
from segablate.metrics.boundary import boundary_f, boundary_sums
from segablate.metrics.confusion import class_counts, pixel_accuracy
from segablate.metrics.image_level import (
    Cells,
    image_miou,
    labelled_iou,
    of_images,
    tenths_of_cells,
    tenths_of_images,
    worst_cells,
    worst_images,
)
from segablate.metrics.tolerance import Tolerance
from segablate.statistics.bootstrap import by_image, resample
from segablate.statistics.bounds import SHARE
from segablate.statistics.intervals import Estimate, estimate
from segablate.statistics.scores import class_means, means
from segablate.tables import Column, Row, Table
from segablate.tables.boundaries import within

WORST = (10, 5)
"""Shares of the images, in percent, whose means are printed."""

_WORST_IMAGES = 8


def image_level_table(
    run: Evaluation, tolerances: tuple[Tolerance, ...], replicates: int, *, void_as_error: bool
) -> Table:
    """Return mIoU^I, mIoU^C and boundary F averaged over images, with their intervals and worst shares."""
    cells = labelled_iou(class_counts(run.confusion, void_as_error=void_as_error))
    rows = [_of_images("mIoU over images (mIoU^I)", cells, replicates)]
    rows.append(_of_classes("mIoU over images in classes (mIoU^C)", cells, replicates))
    if run.boundary is not None:
        for tolerance in tolerances:
            f = np.where(np.isnan(cells), np.nan, boundary_f(boundary_sums(run.boundary, tolerance)))
            rows.append(_of_classes(f"boundary F {within(tolerance)} over images in classes", f, replicates))
    columns = (
        Column("measure", "measure", "text"),
        Column("value", "value", "share", digits=2),
        Column("interval", "95 % CI", "interval", digits=1),
        *(Column(f"worst_{percent}", f"worst {percent}%", "share", digits=2) for percent in WORST),
        Column("tenths", "mean of tenths", "share", digits=2, wide=True),
        Column("over", "over", "text"),
    )
    note = "A class counts in the images that label it. Worst: mean over that share of the images, at least one."
    return Table("image_level", "Image-level scores", columns, tuple(rows), (note,))


def worst_images_table(run: Evaluation, *, void_as_error: bool) -> Table:
    """Return the images with the lowest mean IoU over the classes that they label."""
    counts = class_counts(run.confusion, void_as_error=void_as_error)
    cells = labelled_iou(counts)
    scores, accuracies = image_miou(counts), pixel_accuracy(counts)
    order = [place for place in np.argsort(scores, kind="stable")[:_WORST_IMAGES] if not np.isnan(scores[place])]
    rows = []
    for place in order:
        worst = int(np.nanargmin(cells[place]))
        own = {"worst_class": run.labels.names[worst], "worst_iou": float(cells[place, worst])}
        means = {"miou": float(scores[place]), "pixel_accuracy": float(accuracies[place])}
        rows.append({"image": run.names[place], **means, **own})
    columns = (
        Column("image", "image", "text"),
        Column("miou", "mIoU", "share"),
        Column("pixel_accuracy", "pixel accuracy", "share"),
        Column("worst_class", "worst class", "text"),
        Column("worst_iou", "its IoU", "share"),
    )
    return Table("worst_images", "Images with the lowest mIoU", columns, tuple(rows))


def _of_images(measure: str, cells: Cells, replicates: int) -> Row:
    scores = of_images(cells)
    found = estimate(resample([means(scores, bounds=SHARE)], by_image(len(cells), replicates))[0]["mean"])
    worst = {f"worst_{percent}": worst_images(cells, percent) for percent in WORST}
    over = counted(int(np.isfinite(scores).sum()), "image")
    return {"measure": measure, **_value(found), **worst, "tenths": tenths_of_images(cells), "over": over}


def _of_classes(measure: str, cells: Cells, replicates: int) -> Row:
    found = estimate(resample([class_means(cells)], by_image(len(cells), replicates))[0]["mean"])
    worst = {f"worst_{percent}": worst_cells(cells, percent) for percent in WORST}
    over = counted(int(np.isfinite(cells).any(axis=0).sum()), "class", "classes")
    return {"measure": measure, **_value(found), **worst, "tenths": tenths_of_cells(cells), "over": over}


def _value(found: Estimate) -> Row:
    return {"value": float(found.value), "interval": (float(found.percentile.low), float(found.percentile.high))}
