"""What the settings of an ablation cost and where their gradients go, as tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from segablate.ablation.gradients import WITHIN
from segablate.ablation.sweep import Ablation
from segablate.metrics.boundary import mean_over_images
from segablate.tables import Column, Row, Table


def gradients_table(ablation: Ablation) -> Table:
    """The gradient at the logits: size, direction, and where it goes; above, what it is held against."""
    probed, names = ablation.run.probed, (*ablation.run.labels.names, "void")
    lie = mean_over_images(probed["pixels_on_class"])
    even = {"setting": "all pixels alike", **_goes(mean_over_images(probed["pixels_within"]), lie, lie, names)}
    entropy = {
        "setting": "cross entropy",
        "norm": float(mean_over_images(probed["ce_norm"])),
        "cosine": 1.0,
        **_goes(mean_over_images(probed["ce_within"]), mean_over_images(probed["ce_on_class"]), lie, names),
    }
    norm, cosine, within, on_class = (
        mean_over_images(probed[name]) for name in ("norm", "cosine", "within", "on_class")
    )
    rows: list[Row] = [
        {
            "setting": setting.text,
            "norm": float(norm[s]),
            "cosine": float(cosine[s]),
            **_goes(within[s], on_class[s], lie, names),
        }
        for s, setting in enumerate(ablation.settings)
    ]
    columns = (
        Column("setting", "setting", "prose"),
        Column("norm", "norm", "number"),
        Column("cosine", "cosine with CE", "signed_number", digits=2),
        *(Column(f"within_{limit}", f"≤ {limit}px", "share", digits=0) for limit in WITHIN),
        Column("most", "most on, against its pixels", "text"),
        *(Column(f"on_class_{c}", name, "share", wide=True) for c, name in enumerate(names)),
    )
    note = (
        "Means over images. Shares are of the absolute gradient of the term: within so many pixels of a label "
        "boundary, and on the pixels of a class, of which that with most for its number of pixels is named."
    )
    rows += [entropy, even]
    sections = (len(ablation.settings),)
    return Table("gradients", "Gradient at the logits", columns, tuple(rows), (note,), sections, baseline=0)


def _goes(within: np.ndarray, on_class: np.ndarray, lie: np.ndarray, names: Sequence[str]) -> dict[str, object]:
    """The shares of one row: near boundaries, on each class (and void), and where there is most for its pixels."""
    ratio = np.divide(on_class, lie, out=np.full(len(names), np.nan), where=lie > 0)
    most = int(np.nanargmax(ratio)) if np.isfinite(ratio).any() else None
    return {
        **{f"within_{limit}": float(share) for limit, share in zip(WITHIN, within, strict=True)},
        "most": None if most is None or on_class is lie else f"{names[most]} ({ratio[most]:.1f}×)",
        **{f"on_class_{c}": float(share) for c, share in enumerate(on_class)},
    }


def cost_table(ablation: Ablation) -> Table:
    """Time and peak memory of one image as ratios to cross entropy."""
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
    titles = {"forward": "forward", "both": "and backward"}
    columns = (
        Column("setting", "setting", "prose"),
        *(Column(f"{kind}_time", f"time, {title}", "ratio", digits=1) for kind, title in titles.items()),
        *(Column(f"{kind}_memory", f"memory, {title}", "ratio", digits=1) for kind, title in titles.items()),
        *(Column(f"{kind}_seconds", f"time, {title}", "seconds", wide=True) for kind, title in titles.items()),
        *(Column(f"{kind}_bytes", f"peak, {title}", "bytes", wide=True) for kind, title in titles.items()),
    )
    note = (
        f"On one image, after the sweep. Cross entropy: {1e3 * entropy['forward'].seconds:.1f} ms forward, "
        f"{1e3 * entropy['both'].seconds:.1f} ms with backward."
    )
    return Table("cost", "Cost, as a multiple of cross entropy", columns, tuple(rows), (note,), baseline=0)
