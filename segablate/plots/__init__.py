"""Plots of results, with matplotlib (the extra ``plot``)."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from warnings import catch_warnings, filterwarnings

import numpy as np

from segablate import __version__
from segablate.comparison import Comparison, PairedDifferences
from segablate.comparison.trainings import TrainingsComparison
from segablate.errors import RunError, UsageError
from segablate.evaluation.results import Evaluation
from segablate.extras import require
from segablate.files import refuse_foreign, write_atomically
from segablate.metrics.bands import BANDS
from segablate.metrics.boundary import boundary_sums
from segablate.metrics.calibration import RELIABILITY, confidence_gaps, expected_error, with_whole
from segablate.metrics.probability_bins import BINS
from segablate.metrics.tolerance import Tolerance
from segablate.render.cells import one_line
from segablate.render.layout import shorten_middle
from segablate.statistics.bootstrap import by_image, resample
from segablate.statistics.intervals import estimate
from segablate.statistics.scores import boundary_scores, reliability_scores
from segablate.tables import Report
from segablate.tables.boundaries import boundary_curve
from segablate.tables.sampling import REPLICATES

BLUE = "#3b6ea8"
SUFFIXES = (".png", ".svg", ".pdf")
_MARK = "plotted by segablate "
"""What every plot states as its origin, by which one of an earlier call is told from other files."""

LONGEST_LABEL = 40
"""Characters of the name of a class, a run or a setting; of longer ones the middle is left out."""


def draw_differences(comparison: Comparison, path: Path) -> None:
    """Draw a forest plot: the IoU of each class in every later run minus that in the first, with its 95 % CI.

    One panel per run; classes sorted by the first difference, zero marked. Markers of differences that are significant
    after Holm's correction are filled. Raises MissingExtra without matplotlib and UsageError for another file type.
    """
    pairs = [pair for pair in comparison.pairs if pair.a == 0]
    order = [index for index in np.argsort(pairs[0].iou.change.value) if not np.isnan(pairs[0].iou.change.value[index])]
    figure, axes = _figure(path, (3.5 + 3.5 * len(pairs), 1.4 + 0.3 * len(order)), len(pairs))
    axes = np.atleast_1d(axes)
    for axis, pair in zip(axes, pairs, strict=True):
        _forest(axis, pair, order)
        names = [plain_label(comparison.classes[i]) for i in order] if axis is axes[0] else []
        axis.set_yticks(np.arange(len(order)), names)
        axis.set_title(
            f"{plain_label(comparison.names[pair.b])}\n− {plain_label(comparison.names[0])}", fontsize=9, loc="left"
        )
        axis.set_xlabel("difference in IoU, points")
    _legend(figure, axes[0])
    finish(figure, path)


def _forest(axis: Any, pair: PairedDifferences, order: list[int]) -> None:
    change, rows = pair.iou.change, np.arange(len(order))
    value, low, high = (100 * ends[order] for ends in (change.value, change.percentile.low, change.percentile.high))
    significant = pair.iou_holm[order] < 0.05
    axis.axvline(0, color="0.6", linewidth=1)
    axis.hlines(rows, low, high, color=BLUE, linewidth=2)
    axis.scatter(value[significant], rows[significant], color=BLUE, zorder=3, label="significant (Holm)")
    hollow = {"facecolor": "white", "edgecolor": BLUE, "label": "not significant"}
    axis.scatter(value[~significant], rows[~significant], zorder=3, **hollow)


def draw_reliability(run: Evaluation, path: Path) -> None:
    """Draw reliability diagrams, accuracy over confidence with its 95 % CI, of all pixels and of each band.

    Bars are the share of pixels. Raises as :func:`draw_differences`; the run must have calibration counts.
    """
    counts = with_whole(run.statistics[RELIABILITY])
    panels, ends = counts.sum(axis=0), _reliability_ends(counts)
    figure, axes = _figure(path, (2.8 * len(panels), 3.1), len(panels))
    for axis, sums, title, of_panel in zip(axes, panels, ("all labelled pixels", *BANDS), ends, strict=True):
        _reliability(axis, sums, of_panel)
        error = float(expected_error(confidence_gaps(sums), sums[:, 0].sum()))
        axis.set_title(f"{title}\nECE {100 * error:.2f} %", fontsize=9, loc="left")
        axis.set_xlabel("confidence")
    axes[0].set_ylabel("accuracy, 95 % CI; bars: share of pixels")
    finish(figure, path)


def _reliability_ends(counts: np.ndarray) -> np.ndarray:
    """Return the ends of the 95 % CI of the accuracy in each bin, (panels, 2, bins)."""
    found = estimate(resample([reliability_scores(counts)], by_image(len(counts), REPLICATES))[0]["accuracy"])
    ends = [end.reshape(counts.shape[1:3]) for end in (found.percentile.low, found.percentile.high)]
    return np.stack(ends, axis=1)


def _reliability(axis: Any, sums: np.ndarray, ends: np.ndarray) -> None:
    there = sums[:, 0] > 0
    (pixels, right, confidence), (low, high) = sums[there].T, ends[:, there]
    axis.bar((np.arange(BINS) + 0.5) / BINS, sums[:, 0] / max(pixels.sum(), 1), 1 / BINS, color="0.85")
    axis.plot((0, 1), (0, 1), color="0.6", linewidth=1, linestyle="--")
    axis.vlines(confidence / pixels, low, high, color=BLUE, alpha=0.5, linewidth=3)
    axis.plot(confidence / pixels, right / pixels, color=BLUE, marker="o", markersize=3)
    axis.set(xlim=(0, 1), ylim=(0, 1.02))


def draw_curve(run: Evaluation, path: Path) -> None:
    """Draw boundary F with its 95 % CI, precision and recall, means over classes, over the tolerance.

    F also as mean over images.

    Raises as :func:`draw_differences`, and RunError for a run without boundary counts.
    """
    if run.boundary is None:
        raise RunError("--plot needs boundary counts, but the run has none; evaluate again with --tolerance")
    curve = boundary_curve(run.boundary)
    figure, axis = _figure(path, (5.0, 3.4))
    lines = {"f": ("F", "-", BLUE), "f_over_images": ("F over images", "--", BLUE)}
    lines |= {"precision": ("precision", "-.", "0.5"), "recall": ("recall", ":", "0.5")}
    for key, (label, style, colour) in lines.items():
        pixels, scores = [at for at, _ in curve], [100 * means[key] for _, means in curve]
        axis.plot(pixels, scores, style, color=colour, marker="." if len(curve) < 20 else "", label=label)
    low, high = _curve_ends(run, [at for at, _ in curve])
    axis.fill_between([at for at, _ in curve], low, high, color=BLUE, alpha=0.15, linewidth=0, label="95 % CI of F")
    axis.set_xlabel("tolerance in pixels")
    axis.set_ylabel("mean over classes, %")
    _legend(figure, axis)
    axis.set_title(plain_label(run.title), fontsize=9, loc="left")
    finish(figure, path)


def _curve_ends(run: Evaluation, pixels: Sequence[int]) -> np.ndarray:
    """Return the ends, in percent, of the 95 % CI of the mean boundary F at each tolerance, (2, tolerances)."""
    assert run.boundary is not None
    statistics = [boundary_scores(boundary_sums(run.boundary, Tolerance(at))) for at in pixels]
    found = [estimate(each["mean_boundary_f"]) for each in resample(statistics, by_image(run.images, REPLICATES))]
    return 100 * np.array([[each.percentile.low, each.percentile.high] for each in found], float).T


def draw_ablation(report: Report, path: Path) -> None:
    """Draw value, rank correlation and cost of every setting; raises as :func:`draw_differences`."""
    tables = {table.name: table for table in report.tables}
    settings = [plain_label(str(row["setting"])) for row in tables["values"].rows]
    merit = next((table for table in report.tables if "merit" in table.rows[0]), None)
    panels = [
        (merit.name, "merit", merit.name) if merit else ("values", "term", "loss"),
        ("agreement", "iou", "ρ with mIoU"),
    ]
    panels += [("cost", "both_time", "time relative to cross entropy")] if "cost" in tables else []
    figure, axes = _figure(path, (3.2 * len(panels) + 1.5, 1.2 + 0.3 * len(settings)), len(panels))
    rows = np.arange(len(settings))[::-1]
    for axis, (name, key, title) in zip(axes, panels, strict=True):
        found = tables[name].rows[: len(settings)]
        values = np.array([np.nan if row.get(key) is None else row[key] for row in found], float)
        ends = {"iou": "iou_interval", "term": "interval", "merit": "interval"}.get(key)
        if ends:
            low, high = np.array([row[ends] for row in found], float).T
            axis.hlines(rows, low, high, color=BLUE, linewidth=2)
        axis.axvline(values[0], color="0.7", linewidth=1, linestyle="--")
        axis.scatter(values, rows, color=BLUE, zorder=3)
        axis.set_yticks(rows, settings if axis is axes[0] else [""] * len(settings))
        axis.set_xlabel(title)
    figure.suptitle(plain_label(report.title), fontsize=9, x=0.01, ha="left")
    finish(figure, path)


def draw_trainings(comparison: TrainingsComparison, path: Path) -> None:
    """Draw settings × seeds: a dot for each training, and the difference from the baseline with its 95 % CI.

    Two panels, mIoU of each training and the difference of the mean; settings in the order of the table. Raises as
    :func:`draw_differences`.
    """
    settings, rows = comparison.settings, np.arange(len(comparison.settings))[::-1]
    scores, results = 100 * comparison.scores["miou"], comparison.results["miou"].settings
    figure, axes = _figure(path, (8.5, 1.3 + 0.32 * len(settings)), 2)
    for row, of_setting in zip(rows, scores, strict=True):
        axes[0].scatter(of_setting, np.full(len(of_setting), row), s=14, facecolor="white", edgecolor=BLUE, zorder=3)
    means = np.array([100 * found.mean for found in results])
    axes[0].scatter(means, rows, marker="|", s=160, color=BLUE, zorder=2)
    axes[0].set_yticks(rows, [plain_label(name) for name in settings])
    axes[0].set(ylim=(-0.5, len(settings) - 0.5), xlabel="mIoU of each training, %")
    low, high = (100 * np.array([getattr(found, end) for found in results[1:]]) for end in ("low", "high"))
    axes[1].axvline(0, color="0.6", linewidth=1)
    axes[1].hlines(rows[1:], low, high, color=BLUE, linewidth=2)
    axes[1].scatter(100 * np.array([found.difference for found in results[1:]]), rows[1:], color=BLUE, zorder=3)
    axes[1].set(yticks=[], ylim=axes[0].get_ylim(), xlabel=f"difference from {settings[0]}, points, 95 % CI")
    finish(figure, path)


def _legend(figure: Any, axis: Any) -> None:
    """Put the legend of an axis under the panels, where it covers nothing."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, loc="outside lower center", ncols=min(len(labels), 3))


def plain_label(text: str, longest: int = LONGEST_LABEL) -> str:
    """A name as it is, in one line and not too long: matplotlib would typeset what stands between two dollars."""
    return shorten_middle(one_line(text), longest).replace("$", r"\$")


def require_drawing(path: Path) -> None:
    """Raise before the work what drawing would raise after it: UsageError, Unwritable or MissingExtra."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot {path} must end in {', '.join(SUFFIXES)}")
    refuse_foreign(path, _MARK.encode(), "plot")
    require("matplotlib", "plot", "--plot")


def _figure(path: Path, size: tuple[float, float], panels: int = 1) -> tuple[Any, Any]:
    require_drawing(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, panels)
    for axis in np.atleast_1d(axes):
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def finish(figure: Any, path: Path) -> None:
    """Write the figure, whole or not at all. UsageError where it cannot be written."""
    picture, form = BytesIO(), path.suffix[1:].lower()
    stated = {"Software" if form == "png" else "Creator": f"{_MARK}{__version__}"}
    with catch_warnings():
        filterwarnings("ignore", "Glyph .* missing from font")  # a character of a name, drawn as a box
        figure.savefig(picture, dpi=150, format=form, metadata=stated)
    try:
        write_atomically(path, picture.getvalue())
    except OSError as error:
        raise UsageError(f"--plot {path} cannot be written: {error.strerror or error}; choose another file") from None
