"""Charts of evaluations: boundary scores over tolerances, reliability, and the scores of images."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from segablate.metrics.bands import BANDS
from segablate.metrics.calibration import RELIABILITY, confidence_gaps, expected_error, with_whole
from segablate.metrics.confusion import class_counts, pixel_accuracy
from segablate.metrics.probability_bins import BINS
from segablate.report.charts import Chart, Frame, Series, lines, scatter, span
from segablate.report.grid import Grid, grid_of
from segablate.report.subject import Runs
from segablate.tables import Column, Table
from segablate.tables.boundaries import boundary_curve, curve_table

_SMALL = 275
"""Width of a chart of which four are side by side."""

STYLES = ("a", "b", "c", "d")
"""Styles of the lines of the first runs; further ones share them, and are told apart by their tables."""


def curve(runs: Runs) -> tuple[Chart, Grid, tuple[tuple[str, Grid], ...]] | None:
    """Return boundary scores over the tolerance as a chart, a table, and for several runs all scores of each.

    None without boundary counts, or with one point.
    """
    counted = {letter: run for letter, run in runs.items() if run.boundary is not None}
    if len(counted) < len(runs):
        return None
    points = {letter: boundary_curve(run.boundary) for letter, run in counted.items() if run.boundary is not None}
    if any(len(found) < 2 for found in points.values()):
        return None
    if len(runs) == 1:
        (found,) = points.values()
        kinds = {"f": ("F", "a"), "precision": ("precision", "b"), "recall": ("recall", "c")}
        series = [_series(label, found, key, style) for key, (label, style) in kinds.items()]
    else:
        series = [_series(x, points[x], "f", STYLES[i % 4]) for i, x in enumerate(points)]
    ends = [y for line in series for _, y in line.points]
    reach = max(x for line in series for x, _ in line.points)
    what = "mean over classes, %" if len(runs) == 1 else "F, mean over classes, %"
    frame = Frame((1, reach), span(ends, 0, 100), "tolerance in pixels", what, whole=True)
    chart = lines("Boundary scores over the tolerance", series, frame)
    tables = {x: grid_of(curve_table(run.boundary)) for x, run in counted.items() if run.boundary is not None}
    if len(tables) == 1:
        return chart, next(iter(tables.values())), ()
    folded = tuple((f"All boundary scores of {x}", grid) for x, grid in tables.items())
    return chart, grid_of(_f_table(points)), folded


def _f_table(points: Mapping[str, Sequence[tuple[int, Mapping[str, float]]]]) -> Table:
    """Return the boundary F of several runs side by side."""
    rows = tuple(
        {"tolerance": ats[0][0]} | {x.lower(): means["f"] for x, (_, means) in zip(points, ats, strict=True)}
        for ats in zip(*points.values(), strict=False)
    )
    columns = (
        Column("tolerance", "tolerance, px", "count"),
        *(Column(x.lower(), f"F of {x}", "share", digits=2) for x in points),
    )
    return Table("curve", "Boundary F at every tolerance", columns, rows)


def _series(label: str, curve: Sequence[tuple[int, Mapping[str, float]]], key: str, style: str) -> Series:
    return Series(label, tuple((float(at), 100 * means[key]) for at, means in curve), style, len(curve) < 20)


def reliability(runs: Runs) -> tuple[tuple[Chart, ...], tuple[tuple[str, Grid], ...]] | None:
    """Return a chart for all pixels and for each band of distance, and the bins as tables; None where not counted."""
    if any(RELIABILITY not in run.statistics for run in runs.values()):
        return None
    sums = {x: with_whole(run.statistics[RELIABILITY]).sum(axis=0) for x, run in runs.items()}  # bands+1, bins, 3
    charts, grids = [], []
    for place, band in enumerate(("all labelled pixels", *BANDS)):
        series, bars = [], []
        for i, (x, found) in enumerate(sums.items()):
            bins = found[place]
            error = float(expected_error(confidence_gaps(bins), bins[:, 0].sum()))
            series.append(Series(f"{x}{' · ' if x else ''}ECE {100 * error:.2f} %", _bins(bins), STYLES[i % 4]))
            bars = _shares(bins) if len(sums) == 1 else []
        frame = Frame((0, 1), (0, 1), "confidence", "accuracy", diagonal=True, bars=tuple(bars))
        charts.append(lines(f"Reliability, {band}", series, frame, _SMALL))
    for x, found in sums.items():
        grids.append((f"Bins of confidence{f' of {x}' if x else ''}, all labelled pixels", _bins_grid(found[0])))
    return tuple(charts), tuple(grids)


def _bins(bins: np.ndarray) -> tuple[tuple[float, float], ...]:
    pixels, right, confidence = bins[bins[:, 0] > 0].T
    return tuple(zip((confidence / pixels).tolist(), (right / pixels).tolist(), strict=True))


def _shares(bins: np.ndarray) -> list[tuple[float, float, float]]:
    shares = bins[:, 0] / max(bins[:, 0].sum(), 1)
    return [(i / BINS, (i + 1) / BINS, float(share)) for i, share in enumerate(shares)]


def _bins_grid(bins: np.ndarray) -> Grid:
    whole = max(float(bins[:, 0].sum()), 1.0)
    rows = tuple(
        {
            "bin": f"{i / BINS:.2f} to {(i + 1) / BINS:.2f}",
            "share": float(pixels) / whole,
            "confidence": float(confidence / pixels) if pixels else None,
            "accuracy": float(right / pixels) if pixels else None,
        }
        for i, (pixels, right, confidence) in enumerate(bins.tolist())
    )
    columns = (
        Column("bin", "confidence bin", "text"),
        Column("share", "pixels", "share", digits=2),
        Column("confidence", "mean confidence", "share", digits=2),
        Column("accuracy", "accuracy", "share", digits=2),
    )
    return grid_of(Table("bins", "Bins of confidence", columns, rows))


def image_scores(runs: Runs, scores: np.ndarray, embedded: Collection[int]) -> tuple[Chart, Grid]:
    """Return a dot for each image, and all images as a table; `scores` (R, N) are image-level mIoU.

    One run: mIoU over pixel accuracy. Two or more: the second over the first.
    """
    first = next(iter(runs.values()))
    accuracy = np.stack([pixel_accuracy(class_counts(run.confusion)) for run in runs.values()])
    across, up = (accuracy[0], scores[0]) if len(runs) == 1 else (scores[0], scores[1])
    points = [
        (
            100 * float(across[i]),
            100 * float(up[i]),
            f"{name}: {100 * up[i]:.1f} % over {100 * across[i]:.1f} %",
            f"#image-{i}" if i in embedded else "",
        )
        for i, name in enumerate(first.names)
    ]
    ranges = span([p[0] for p in points], 0, 100), span([p[1] for p in points], 0, 100)
    if len(runs) == 1:
        frame = Frame(ranges[0], ranges[1], "pixel accuracy, %", "mIoU of the image, %")
        title = "mIoU of each image over its pixel accuracy"
    else:
        both = min(r[0] for r in ranges), max(r[1] for r in ranges)
        a, b, *_ = runs
        frame = Frame(both, both, f"mIoU of the image in {a}, %", f"mIoU of the image in {b}, %", diagonal=True)
        title = f"mIoU of each image in {b} over that in {a}"
    links = {i: f"#image-{i}" for i in embedded}
    return scatter(title, points, frame), grid_of(_images_table(runs, scores, accuracy), links)


def _images_table(runs: Runs, scores: np.ndarray, accuracy: np.ndarray) -> Table:
    names = next(iter(runs.values())).names
    letters = [x.lower() or "miou" for x in runs]
    two = len(runs) == 2
    rows = []
    for i, name in enumerate(names):
        row: dict[str, object] = {"image": name}
        row |= {x: float(scores[k, i]) for k, x in enumerate(letters)}
        row |= {"change": float(scores[1, i] - scores[0, i])} if two else {}
        rows.append(row | {f"accuracy_{x}": float(accuracy[k, i]) for k, x in enumerate(letters)})
    columns = (
        Column("image", "image", "text"),
        *(Column(x, f"mIoU {x.upper()}" if len(runs) > 1 else "mIoU", "share") for x in letters),
        *((Column("change", "B − A", "signed_share"),) if two else ()),
        *(
            Column(f"accuracy_{x}", f"pixel accuracy{f' {x.upper()}' if len(runs) > 1 else ''}", "share")
            for x in letters
        ),
    )
    return Table("every_image", "All images", columns, tuple(rows))
