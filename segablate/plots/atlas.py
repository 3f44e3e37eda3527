"""The figure of an atlas: a heat map of the cosines with its tree, and beside it the columns of its table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segablate.ablation.gradients import WITHIN
from segablate.atlas.clusters import Similarity
from segablate.atlas.results import NEAR, Atlas
from segablate.errors import UsageError
from segablate.plots import BLUE, finish, plain_label, require_drawing
from segablate.tables import Report, Row, as_interval, as_number
from segablate.tables.atlas import EVEN

_ROW, _CELL, _TREE, _PANEL = 0.27, 0.34, 1.1, 1.05
"""Inches: the height of a row, and the widths of a cell, the tree and a panel."""

_BRANCH = "0.45"


def draw_atlas(atlas: Atlas, report: Report, path: Path) -> None:
    """Draw tree, heat map, and for each loss the shares of its gradient, the correlation with mIoU and the time.

    Losses without a gradient have no row. Raises UsageError where fewer than two have one, or for another file type,
    and MissingExtra without matplotlib.
    """
    require_drawing(path)
    found = atlas.similarity
    if found is None:
        raise UsageError(
            "--plot draws cosines, but fewer than two losses have a gradient here; name others by --losses"
        )
    from matplotlib.figure import Figure

    count, names = len(found.names), [found.names[place] for place in found.order]
    widths = [_TREE, _CELL * count, _PANEL, _PANEL, _PANEL, _PANEL]
    figure = Figure(figsize=(sum(widths) + 1.4, 1.7 + _ROW * count), layout="constrained")
    axes = figure.subplots(1, len(widths), width_ratios=widths)
    _tree(axes[0], found)
    _heat_map(axes[1], found, names)
    _panels(axes[2:], {str(row["loss"]): row for row in report.tables[0].rows}, names)
    figure.suptitle(plain_label(report.title, 90), fontsize=10, x=0.01, ha="left")
    finish(figure, path)


def _tree(axis: Any, found: Similarity) -> None:
    """Draw the merges from right to left, at 1 − average cosine, with the height at which clusters are cut."""
    from scipy.cluster.hierarchy import dendrogram

    drawn = dendrogram(found.merges, no_plot=True)
    for across, up in zip(drawn["dcoord"], drawn["icoord"], strict=True):
        axis.plot(across, [(place - 5) / 10 for place in up], color=_BRANCH, linewidth=1.2)
    cut = 1 - found.bound
    axis.axvline(cut, color=BLUE, linewidth=1, linestyle="--")
    axis.set(ylim=(len(found.names) - 0.5, -0.5), xlim=(max(1.02 * found.merges[:, 2].max(), 2 * cut), 0), yticks=[])
    axis.set_xlabel("1 − average\ncosine\n(dashed: the cut)", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _heat_map(axis: Any, found: Similarity, names: Sequence[str]) -> None:
    order = list(found.order)
    cosine = found.cosine[np.ix_(order, order)]
    axis.imshow(cosine, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for row, column in np.ndindex(*cosine.shape):
        value = float(cosine[row, column])
        text = _short(value)
        axis.text(
            column, row, text, ha="center", va="center", fontsize=6.5, color="white" if abs(value) > 0.6 else "0.15"
        )
    labels = [plain_label(name, 20) for name in names]
    axis.set_yticks(range(len(names)), labels, fontsize=8)
    axis.set_xticks(range(len(names)), labels, fontsize=8, rotation=60, ha="left", rotation_mode="anchor")
    axis.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axis.spines[:].set_visible(False)
    axis.set_xlabel("cosine of the gradients at the logits\n(framed: clusters)", fontsize=8)
    _frames(axis, found)


def _short(cosine: float) -> str:
    """Return a cosine in as little room as it needs: .95, -.10, 1."""
    text = f"{cosine:.2f}".removesuffix(".00")
    return "0" if text in ("0", "-0") else text.replace("0.", ".", 1)


def _frames(axis: Any, found: Similarity) -> None:
    """Frame the clusters of several losses."""
    start = 0
    for members in found.clusters:
        if len(members) > 1:
            corner, side = start - 0.5, len(members)
            axis.add_patch(_square(corner, side))
        start += len(members)


def _square(corner: float, side: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((corner, corner), side, side, fill=False, edgecolor="black", linewidth=1.6, zorder=3)


def _panels(axes: Any, rows: Mapping[str, Row], names: Sequence[str]) -> None:
    places = np.arange(len(names))
    found = [rows[name] for name in names]
    near, rare, rho, time = (
        np.array([as_number(row.get(key)) for row in found]) for key in ("near", "rare", "iou", "time")
    )
    for axis, shares, key, title in (
        (axes[0], near, "near", f"gradient ≤ {WITHIN[NEAR]} px\nof a boundary, %"),
        (axes[1], rare, "rare", "gradient on\nrare classes, %"),
    ):
        axis.barh(places, 100 * shares, color=BLUE, height=0.6)
        axis.axvline(100 * as_number(rows[EVEN].get(key)), color="0.3", linewidth=1, linestyle=":")
        axis.set_xlabel(f"{title}\n(dotted: pixels)", fontsize=8)
    low, high = np.array([as_interval(row.get("iou_interval")) for row in found]).T
    axes[2].axvline(0, color="0.6", linewidth=1)
    axes[2].hlines(places, low, high, color=BLUE, linewidth=2)
    axes[2].scatter(rho, places, color=BLUE, s=18, zorder=3)
    axes[2].set_xlim(-1.05, 1.05)
    axes[2].set_xlabel("ρ of −loss with\nmIoU, 95 % CI", fontsize=8)
    axes[3].scatter(time, places, color=BLUE, s=18)
    axes[3].set_xscale("log")
    axes[3].grid(axis="x", color="0.9")
    axes[3].set_xlabel("time × that of\ncross entropy", fontsize=8)
    for axis in axes:
        axis.set(ylim=(len(names) - 0.5, -0.5), yticks=[])
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right", "left"]].set_visible(False)
