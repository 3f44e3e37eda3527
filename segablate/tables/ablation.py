"""An ablation as tables: values, agreement with the metrics, gradients and cost, a row for each setting."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from segablate.ablation import Ablation
from segablate.errors import thousands
from segablate.gradients import WITHIN
from segablate.knobs import format_settings
from segablate.metrics.boundary import boundary_f, boundary_sums
from segablate.metrics.confusion import class_counts, mean_iou, nanmean
from segablate.metrics.tolerance import Tolerance
from segablate.statistics.bootstrap import Plan, by_image, resample
from segablate.statistics.correlation import rank_correlation
from segablate.statistics.intervals import Estimate, estimate, p_value
from segablate.statistics.scores import means
from segablate.tables import Column, Report, Row, Table
from segablate.tables.evaluation import View, head

REPLICATES = 2_000
FEW_POINTS = 25


@dataclass(frozen=True)
class Agreement:
    """Rank correlations over images of every setting (S,) with the metrics, and of what may confound them."""

    iou: Estimate
    boundary: Estimate | None
    raw_iou: Estimate
    classes_present: float


def ablation_report(ablation: Ablation, tolerance: Tolerance, per_class: bool = False) -> Report:
    """The whole page of ``segablate ablate``."""
    plan = by_image(ablation.run.images, REPLICATES)
    agreement = agree(ablation, tolerance, plan)
    tables = [values_table(ablation, plan), agreement_table(ablation, agreement, tolerance)]
    if "norm" in ablation.run.probed:
        tables.append(gradients_table(ablation))
    if ablation.costs:
        tables.append(cost_table(ablation))
    if per_class and "per_class" in ablation.run.probed:
        tables.append(per_class_table(ablation))
    run = ablation.run
    facts = {**dict(head(run, View())), "objective": str(ablation.objective), "baseline": _defaults(ablation)}
    facts.pop("convention")
    return Report(
        f"{ablation.term.name} under {len(ablation.settings)} settings: {run.title} on {run.facts['dataset']['name']}",
        tuple(facts.items()),
        tuple(tables),
        (*notes(ablation, agreement), *run.notes),
    )


def agree(ablation: Ablation, tolerance: Tolerance, plan: Plan) -> Agreement:
    """Spearman's correlation over images of the merit of each setting with mIoU and boundary F of the image."""
    counts = class_counts(ablation.run.confusion)
    target = mean_iou(counts)
    boundary = ablation.run.boundary
    f = None if boundary is None else nanmean(boundary_f(boundary_sums(boundary, tolerance)))
    present = (counts.labelled > 0).sum(axis=1).astype(np.float64)
    return Agreement(
        estimate(rank_correlation(ablation.merit, target, plan)),
        None if f is None else estimate(rank_correlation(ablation.merit, f, plan)),
        estimate(rank_correlation(-ablation.values, target, plan)),
        float(rank_correlation(present[:, None], target, plan).value[0]),
    )


def values_table(ablation: Ablation, plan: Plan) -> Table:
    """Mean of the term, its difference from the baseline, and pixel term and objective."""
    values, probed = ablation.values, ablation.run.probed
    own = estimate(resample([means(values)], plan)[0]["mean"])
    against = resample([means(values - values[:, :1])], plan)[0]["mean"]
    change = estimate(against)
    p, _ = p_value(against, change)
    gain = probed.get(f"fact_{ablation.term.ranks_by}")
    pixel = float(np.mean(probed["pixel"]))
    rows = [
        {
            "setting": setting.text,
            "term": float(own.value[s]),
            "interval": _interval(own, s),
            **({"gain": _nanmean(gain[:, s])} if gain is not None else {}),
            "change": float(change.value[s]) if s else None,
            "change_interval": _interval(change, s) if s else None,
            "p": float(p[s]) if s else None,
            "pixel": pixel,
            "objective": _nanmean(probed["objective"][:, s]),
            "images": int(np.isfinite(values[:, s]).sum()),
            "undefined": int(np.isnan(values[:, s]).sum()),
        }
        for s, setting in enumerate(ablation.settings)
    ]
    columns = (
        Column("setting", "setting", "text"),
        Column("term", "term", "number"),
        Column("interval", "95 % interval", "number_interval"),
        *((Column("gain", f"{ablation.term.ranks_by} G", "number"),) if gain is not None else ()),
        Column("change", "− baseline", "signed_number"),
        Column("change_interval", "95 % interval", "signed_number_interval"),
        Column("p", "p", "p", wide=True),
        Column("pixel", "pixel term", "number", wide=True),
        Column("objective", "objective", "number"),
        Column("images", "images", "count", wide=True),
        Column("undefined", "undefined", "count"),
    )
    note = (
        f"Means over the images where the term is defined; differences are paired. Intervals: {thousands(REPLICATES)} "
        f"draws of the images. Objective: {ablation.objective}."
    )
    return Table("values", "Value", columns, tuple(rows), (note,), baseline=0)


def agreement_table(ablation: Ablation, agreement: Agreement, tolerance: Tolerance) -> Table:
    """Does a setting see what the metrics see? Rank correlations over images."""
    rows = [
        {
            "setting": setting.text,
            "iou": float(agreement.iou.value[s]),
            "iou_interval": _interval(agreement.iou, s),
            **(
                {
                    "boundary": float(agreement.boundary.value[s]),
                    "boundary_interval": _interval(agreement.boundary, s),
                }
                if agreement.boundary
                else {}
            ),
            **({"raw": float(agreement.raw_iou.value[s])} if ablation.term.ranks_by else {}),
        }
        for s, setting in enumerate(ablation.settings)
    ]
    unit = "" if tolerance.of_diagonal else "px"
    columns = (
        Column("setting", "setting", "text"),
        Column("iou", "ρ mIoU", "signed_number", digits=2, best="high"),
        Column("iou_interval", "95 % interval", "signed_number_interval", digits=2),
        *(
            (
                Column("boundary", f"ρ bF @{tolerance}{unit}", "signed_number", digits=2, best="high"),
                Column("boundary_interval", "95 % interval", "signed_number_interval", digits=2),
            )
            if agreement.boundary
            else ()
        ),
        *((Column("raw", "ρ mIoU, raw term", "signed_number", digits=2),) if ablation.term.ranks_by else ()),
    )
    merit = f"the {ablation.term.ranks_by} G" if ablation.term.ranks_by else "minus the term"
    note = (
        f"Spearman's rank correlation over images of {merit} with the image's score: +1 where both rank the images "
        f"alike. For comparison, the number of classes present alone: {agreement.classes_present:+.2f} with mIoU."
    )
    name = "Does it see what the metric sees?"
    return Table("agreement", name, columns, tuple(rows), (note,), baseline=0)


def gradients_table(ablation: Ablation) -> Table:
    """The gradient at the logits: size, direction, and where it goes."""
    probed, names = ablation.run.probed, ablation.run.labels.names
    counts = class_counts(ablation.run.confusion)
    share = counts.total().labelled / max(int(counts.labelled.sum()), 1)
    rows = []
    for s, setting in enumerate(ablation.settings):
        within = [_nanmean(probed["within"][:, s, i]) for i in range(len(WITHIN))]
        on_class = np.array([_nanmean(probed["on_class"][:, s, c]) for c in range(len(names))])
        ratio = np.divide(on_class, share, out=np.full(len(names), np.nan), where=share > 0)
        most = int(np.nanargmax(ratio)) if np.isfinite(ratio).any() else None
        rows.append(
            {
                "setting": setting.text,
                "norm": _nanmean(probed["norm"][:, s]),
                "cosine": _nanmean(probed["cosine"][:, s]),
                **{f"within_{limit}": value for limit, value in zip(WITHIN, within, strict=True)},
                "most": None if most is None else f"{names[most]} ({ratio[most]:.1f}×)",
                **{f"on_{name}": float(value) for name, value in zip(names, on_class, strict=True)},
            }
        )
    columns = (
        Column("setting", "setting", "text"),
        Column("norm", "norm", "number"),
        Column("cosine", "cosine with CE", "signed_number", digits=2),
        *(Column(f"within_{limit}", f"≤ {limit}px", "share", digits=0) for limit in WITHIN),
        Column("most", "most on, against its pixels", "text"),
        *(Column(f"on_{name}", name, "share", wide=True) for name in names),
    )
    pixels = ", ".join(f"{name} {value:.1%}" for name, value in zip(names, share, strict=True))
    note = (
        "Means over images. Shares are of the absolute gradient: within so many pixels of a label boundary, and on "
        f"the pixels of a class. Pixels of the classes: {pixels}."
    )
    return Table("gradients", "Gradient at the logits", columns, tuple(rows), (note,), baseline=0)


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
        Column("setting", "setting", "text"),
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


def per_class_table(ablation: Ablation) -> Table:
    """What each class contributes, mean over the images where it does."""
    parts, names = ablation.run.probed["per_class"], ablation.run.labels.names
    rows: list[Row] = []
    for s, setting in enumerate(ablation.settings):
        means_of = {f"class_{c}": _nanmean(parts[:, s, c]) for c in range(len(names))}
        rows.append({"setting": setting.text, **means_of})
    columns = (
        Column("setting", "setting", "text"),
        *(Column(f"class_{c}", name, "number", digits=3) for c, name in enumerate(names)),
    )
    return Table("per_class", "By class", columns, tuple(rows), baseline=0)


def notes(ablation: Ablation, agreement: Agreement) -> tuple[str, ...]:
    """What must not be concluded, and what was thin."""
    turned = {name for setting in ablation.settings for name in setting.values}
    found = [
        f"raw values under different {name} are not comparable: {reason}"
        for name, reason in ablation.term.incomparable.items()
        if name in turned
    ]
    found += [f"{ablation.term.name} departs from a rule by design: {why}" for why in ablation.term.exceptions.values()]
    points = ablation.run.probed.get("fact_points_per_dimension")
    if points is not None and np.nanmin(points) < FEW_POINTS:
        few = [s.text for s, column in zip(ablation.settings, points.T, strict=True) if np.nanmin(column) < FEW_POINTS]
        found.append(
            f"fewer than {FEW_POINTS} points for each dimension, so the regression fits noise: {'; '.join(few)}"
        )
    undefined = np.isnan(ablation.values).sum(axis=0)
    if undefined.any():
        found.append(
            f"images where the term is undefined are left out, not counted as 0 (up to {int(undefined.max())})"
        )
    return tuple(found)


def _defaults(ablation: Ablation) -> str:
    """The published default, knob by knob."""
    knobs = ablation.term.knobs
    return format_settings(knobs, {name: knob.default for name, knob in knobs.items()}) or "it has no knobs"


def _interval(found: Estimate, place: int) -> tuple[float, float]:
    return float(found.percentile.low[place]), float(found.percentile.high[place])


def _nanmean(values: np.ndarray) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if defined.size else float("nan")
