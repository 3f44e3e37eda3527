"""Tables of the gradients and the cost of the settings of an ablation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from segablate.ablation.gradients import WITHIN
from segablate.ablation.sweep import Ablation
from segablate.metrics.boundary import mean_over_images
from segablate.tables import Column, Row, Table


def gradients_table(ablation: Ablation) -> Table:
    """Return norm, direction and distribution of the gradient at the logits, with two references."""
    probed, names = ablation.run.probed, (*ablation.run.labels.names, "void")
    pixels = mean_over_images(probed["pixels_on_class"])
    within_all = mean_over_images(probed["pixels_within"])
    even = {"setting": "uniform over pixels", **_distribution(within_all, pixels, pixels, names)}
    entropy = {
        "setting": "cross entropy",
        "norm": float(mean_over_images(probed["ce_norm"])),
        "cosine": 1.0,
        **_distribution(mean_over_images(probed["ce_within"]), mean_over_images(probed["ce_on_class"]), pixels, names),
    }
    norm, cosine, within, on_class = (
        mean_over_images(probed[name]) for name in ("norm", "cosine", "within", "on_class")
    )
    rows: list[Row] = [
        {
            "setting": setting.text,
            "norm": float(norm[s]),
            "cosine": float(cosine[s]),
            **_distribution(within[s], on_class[s], pixels, names),
        }
        for s, setting in enumerate(ablation.settings)
    ]
    columns = (
        Column("setting", "setting", "prose"),
        Column("norm", "norm", "number"),
        Column("cosine", "cosine with CE", "signed_number", digits=2),
        *(Column(f"within_{limit}", f"≤ {limit}px", "share", digits=0) for limit in WITHIN),
        Column("most", "largest per pixel", "text"),
        *(Column(f"on_class_{c}", name, "share", wide=True) for c, name in enumerate(names)),
    )
    note = (
        "Means over images. Shares of the absolute gradient of the loss: within that distance of a label boundary, and "
        "on the pixels of a class; largest per pixel: the class with the largest ratio of its share to its pixels."
    )
    rows += [entropy, even]
    sections = (len(ablation.settings),)
    some = ablation.gradient_note
    notes = (some, note) if some else (note,)
    return Table("gradients", "Gradient at the logits", columns, tuple(rows), notes, sections, baseline=0)


def _distribution(
    within: np.ndarray, on_class: np.ndarray, pixels: np.ndarray, names: Sequence[str]
) -> dict[str, object]:
    """Return the shares of one row: near boundaries, on each class (and void), and the largest ratio to its pixels."""
    ratio = np.divide(on_class, pixels, out=np.full(len(names), np.nan), where=pixels > 0)
    most = int(np.nanargmax(ratio)) if np.isfinite(ratio).any() else None
    return {
        **{f"within_{limit}": float(share) for limit, share in zip(WITHIN, within, strict=True)},
        "most": None if most is None or on_class is pixels else f"{names[most]} ({ratio[most]:.1f}×)",
        **{f"on_class_{c}": float(share) for c, share in enumerate(on_class)},
    }


def cost_table(ablation: Ablation) -> Table:
    """Return time and peak memory on one image as ratios to cross entropy."""
    entropy = {kind: found[0] for kind, found in ablation.costs.items()}
    rows = []
    for s, setting in enumerate(ablation.settings):
        row: dict[str, Any] = {"setting": setting.text}
        for kind, found in ablation.costs.items():
            cost = found[s + 1]
            row[f"{kind}_time"] = cost.seconds / max(entropy[kind].seconds, 1e-9)
            row[f"{kind}_memory"] = cost.peak_bytes / max(entropy[kind].peak_bytes, 1)
            row[f"{kind}_seconds"], row[f"{kind}_bytes"] = cost.seconds, cost.peak_bytes
        rows.append(row)
    titles = {"forward": "forward", "both": "forward + backward"}
    columns = (
        Column("setting", "setting", "prose"),
        *(Column(f"{kind}_time", f"time, {title}", "ratio", digits=1) for kind, title in titles.items()),
        *(Column(f"{kind}_memory", f"memory, {title}", "ratio", digits=1) for kind, title in titles.items()),
        *(Column(f"{kind}_seconds", f"time, {title}", "seconds", wide=True) for kind, title in titles.items()),
        *(Column(f"{kind}_bytes", f"peak, {title}", "bytes", wide=True) for kind, title in titles.items()),
    )
    note = (
        f"Measured on one image. Cross entropy: {1e3 * entropy['forward'].seconds:.1f} ms forward, "
        f"{1e3 * entropy['both'].seconds:.1f} ms forward + backward."
    )
    return Table("cost", "Cost relative to cross entropy", columns, tuple(rows), (note,), baseline=0)
