"""The figure of a search: the curves of a surrogate."""

from pathlib import Path

import numpy as np

from segablate.plots import BLUE, finish, require_drawing
from segablate.search.curves import curve_names, curves_at
from segablate.search.running import Found

_STYLES = {"identity": ("0.6", ":"), "published": ("0.35", "--"), "found": (BLUE, "-")}


def draw_surrogates(found: Found, path: Path) -> None:
    """Draw the curves found beside the published ones and identity, one panel a curve.

    Raises MissingExtra without matplotlib and UsageError for another file type.
    """
    require_drawing(path)
    from matplotlib.figure import Figure

    names, at = curve_names(found.search.metric), np.linspace(0, 1, 501)
    figure = Figure(figsize=(2.9 * len(names) + 0.4, 3.3), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(names)))
    values = curves_at(found, at.tolist())
    for place, (axis, name) in enumerate(zip(axes, names, strict=True)):
        for which, (colour, style) in _STYLES.items():
            axis.plot(at, values[which][place], style, color=colour, label=which)
        axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability", aspect="equal")
        axis.set_title(name, fontsize=9, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("h")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, loc="outside lower center", ncols=len(labels))
    finish(figure, path)
