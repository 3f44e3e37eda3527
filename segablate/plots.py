"""Pictures of results, with matplotlib (the extra ``plot``)."""

from pathlib import Path
from typing import Any

import numpy as np

from segablate.comparison import Pair
from segablate.errors import MissingExtra, UsageError

SUFFIXES = (".png", ".svg", ".pdf")


def draw_differences(pair: Pair, path: Path) -> None:
    """A forest plot: the difference of the IoU of each class with its 95 % interval, sorted, zero marked.

    Classes whose difference is shown after Holm's correction are filled. Raises MissingExtra without matplotlib and
    UsageError for a file that is no PNG, SVG or PDF.
    """
    change, names = pair.classes.change, pair.a.labels.names
    order = [index for index in np.argsort(change.value) if not np.isnan(change.value[index])]
    value, low, high = (
        100 * np.asarray(x)[order] for x in (change.value, change.percentile.low, change.percentile.high)
    )
    shown = pair.holm[order] < 0.05
    figure, axes = _figure(path, (7, 1.2 + 0.3 * len(order)))
    rows = np.arange(len(order))
    axes.axvline(0, color="0.6", linewidth=1)
    axes.hlines(rows, low, high, color="#3b6ea8", linewidth=2)
    axes.scatter(value[shown], rows[shown], color="#3b6ea8", zorder=3, label="shown (Holm)")
    axes.scatter(value[~shown], rows[~shown], facecolor="white", edgecolor="#3b6ea8", zorder=3, label="not shown")
    axes.set_yticks(rows, [names[index] for index in order])
    axes.set_xlabel("difference of IoU, B − A, in points, with 95 % interval")
    axes.set_title(f"B = {pair.b.title}\nA = {pair.a.title}", fontsize=9, loc="left")
    figure.legend(frameon=False, fontsize=8, loc="outside upper right", ncols=2)
    finish(figure, path)


def _figure(path: Path, size: tuple[float, float]) -> tuple[Any, Any]:
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot {path} must end in {', '.join(SUFFIXES)}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "plot", "--plot") from None
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def finish(figure: Any, path: Path) -> None:
    """Write the picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
