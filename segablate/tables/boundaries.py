"""Tables of further boundary scores: precision, recall and NSD, every tolerance, and trimaps."""

from math import isqrt

import numpy as np

from segablate.evaluation.results import Evaluation
from segablate.metrics.boundary import (
    BoundaryCounts,
    BoundarySums,
    boundary_f,
    boundary_precision,
    boundary_recall,
    boundary_sums,
    mean_over_images,
    surface_dice,
)
from segablate.metrics.confusion import iou, mean_iou, nanmean, pixel_accuracy
from segablate.metrics.tolerance import Tolerance
from segablate.metrics.trimap import COUNTS, WIDTHS, trimap_counts
from segablate.tables import Column, End, Row, Table

_POOLED = "Pooled: over the boundary pixels of all images. Over images: the mean of the scores of the images."


def within(tolerance: Tolerance) -> str:
    """Return a tolerance as ``@3px`` or ``@0.0075d``."""
    return f"@{tolerance}" + ("" if tolerance.of_diagonal else "px")


def boundary_key(tolerance: Tolerance) -> str:
    """Return the key of a boundary F in the class table."""
    return f"boundary_f_{tolerance}".replace(".", "_")


def boundary_table(run: Evaluation, counts: BoundaryCounts, tolerance: Tolerance) -> Table:
    """Return boundary precision, recall, F and NSD of every class at one tolerance, pooled and over images."""
    scores = _scores(boundary_sums(counts, tolerance))
    rows = tuple(
        {"class": name, **{key: float(values[index]) for key, values in scores.items()}}
        for index, name in enumerate(run.labels.names)
    )
    pixels = np.array([tolerance.pixels(height, width) for height, width in counts.sizes.tolist()])
    largest = f"{pixels.min():.4g}" if pixels.min() == pixels.max() else f"{pixels.min():.4g} to {pixels.max():.4g}"
    key = boundary_key(tolerance).replace("boundary_f", "boundaries")
    title = f"Boundaries within {largest} px" + (f" ({tolerance})" if tolerance.of_diagonal else "")
    return Table(key, title, (Column("class", "class", "text"), *_columns("low")), rows, (_POOLED,))


def curve_table(counts: BoundaryCounts) -> Table:
    """Return the means over classes of the boundary scores at every whole tolerance that was counted."""
    rows = [{"tolerance": pixels, **scores} for pixels, scores in boundary_curve(counts)]
    columns = (Column("tolerance", "tolerance, px", "count"), *_columns(""))
    note = f"Means over the classes with a boundary. {_POOLED} A larger --tolerance extends the curve."
    return Table("boundary_curve", "Boundaries at every tolerance", columns, tuple(rows), (note,))


def boundary_curve(counts: BoundaryCounts) -> list[tuple[int, dict[str, float]]]:
    """Return whole tolerances in pixels up to the smallest reach of an image, and the means over classes at each."""
    curve = []
    for pixels in range(1, isqrt(int(counts.reach.min())) + 1):
        scores = _scores(boundary_sums(counts, Tolerance(pixels)))
        curve.append((pixels, {key: float(nanmean(values)) for key, values in scores.items()}))
    return curve


def trimap_table(run: Evaluation) -> Table:
    """Return mIoU and pixel accuracy within each distance of the label boundaries."""
    counts = trimap_counts(run.statistics[COUNTS])
    scores = mean_iou(counts), pixel_accuracy(counts), counts.labelled.sum(axis=-1)
    over = np.isfinite(iou(counts)).sum(axis=-1)
    rows: list[Row] = [
        {"width": int(width), "miou": float(miou), "accuracy": float(right), "pixels": int(pixels), "classes": int(n)}
        for width, miou, right, pixels, n in zip(run.statistics[WIDTHS][0], *scores, over, strict=True)
    ]
    columns = (
        Column("width", "within, px", "count"),
        Column("miou", "mIoU", "share", digits=2),
        Column("accuracy", "pixel accuracy", "share", digits=2),
        Column("classes", "classes", "count"),
        Column("pixels", "labelled pixels", "count"),
    )
    return Table("trimap", "Near the label boundaries", columns, tuple(rows))


def _scores(sums: BoundarySums) -> dict[str, np.ndarray]:
    """Return the scores of the classes, (C,), by column."""
    pooled = sums.total()
    return {
        "precision": boundary_precision(pooled),
        "recall": boundary_recall(pooled),
        "f": boundary_f(pooled),
        "f_over_images": mean_over_images(boundary_f(sums)),
        "nsd": surface_dice(pooled),
        "nsd_over_images": mean_over_images(surface_dice(sums)),
    }


def _columns(mark: End) -> tuple[Column, ...]:
    titles = {
        "precision": "precision",
        "recall": "recall",
        "f": "F",
        "f_over_images": "F over images",
        "nsd": "NSD",
        "nsd_over_images": "NSD over images",
    }
    return tuple(Column(key, title, "share", mark=mark) for key, title in titles.items())
