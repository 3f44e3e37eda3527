"""Tables of an ablation: values, agreement with the metrics, gradients and cost, one row per setting."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segablate.ablation.sweep import Ablation
from segablate.errors import counted
from segablate.evaluation.results import Evaluation
from segablate.metrics.boundary import boundary_f, boundary_sums, mean_over_images
from segablate.metrics.confusion import class_counts, nanmean
from segablate.metrics.image_level import image_miou
from segablate.metrics.tolerance import Tolerance
from segablate.objective.knobs import format_settings
from segablate.statistics.bootstrap import Resampling, by_image, resample
from segablate.statistics.correlation import rank_correlation
from segablate.statistics.intervals import Estimate, estimate, estimate_quantiles, p_value
from segablate.statistics.loss_bounds import bounds_of_loss
from segablate.statistics.scores import means
from segablate.tables import Column, Report, Row, Table
from segablate.tables.evaluation import View, head
from segablate.tables.gradients import cost_table, gradients_table
from segablate.tables.sampling import REPLICATES, sampling_note

DENSITY = "fact_points_per_dimension"
FEW_POINTS = 25


@dataclass(frozen=True)
class Agreement:
    """Rank correlations with an image-level score: of the merit of every setting (S,), of minus the raw loss (S,), and
    of the number of classes present (1,), which may confound both."""

    merit: Estimate
    raw: Estimate
    classes: Estimate


def ablation_report(ablation: Ablation, tolerance: Tolerance, per_class: bool = False) -> Report:
    """Return the report of ``segablate ablate``."""
    plan = by_image(ablation.run.images, REPLICATES)
    tables = [values_table(ablation, plan)]
    if ablation.loss.ranks_by:
        tables.append(merit_table(ablation, plan))
    tables.append(agreement_table(ablation, agree(ablation, tolerance, plan), tolerance))
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
        f"{ablation.loss.name} under {counted(len(ablation.settings), 'setting')}: {run.title} on "
        f"{run.facts['dataset']['name']}",
        tuple(facts.items()),
        tuple(tables),
        (*notes(ablation), *run.notes),
        runs=(("", run.title),),
    )


def agree(ablation: Ablation, tolerance: Tolerance, plan: Resampling) -> dict[str, Agreement]:
    """Return Spearman's correlations over images with image-level mIoU, `iou`, and mean boundary F, `boundary`."""
    present = classes_present(ablation.run)
    return {
        name: Agreement(
            *(
                estimate_quantiles(rank_correlation(ranked, target, plan))
                for ranked in (ablation.merit, -ablation.values, present)
            )
        )
        for name, target in image_scores(ablation.run, tolerance).items()
    }


def image_scores(run: Evaluation, tolerance: Tolerance) -> dict[str, np.ndarray]:
    """Return image-level mIoU, `iou`, and mean boundary F, `boundary`, where boundaries were counted, (N,) each."""
    scores = {"iou": image_miou(class_counts(run.confusion))}
    if run.boundary is not None:
        scores["boundary"] = nanmean(boundary_f(boundary_sums(run.boundary, tolerance)))
    return scores


def classes_present(run: Evaluation) -> np.ndarray:
    """Return the number of classes that are labelled in each image, (N, 1)."""
    return (class_counts(run.confusion).labelled > 0).sum(axis=1, keepdims=True).astype(np.float64)


def score_titles(tolerance: Tolerance) -> dict[str, str]:
    """Return the titles of the rank correlations with :func:`image_scores`."""
    return {"iou": "ρ mIoU", "boundary": f"ρ bF @{tolerance}{'' if tolerance.of_diagonal else 'px'}"}


def values_table(ablation: Ablation, plan: Resampling) -> Table:
    """Return the table of mean losses, their differences from the baseline, the pixel term and the objective."""
    values, probed = np.where(np.isfinite(ablation.values), ablation.values, np.nan), ablation.run.probed
    bounds = bounds_of_loss(ablation.loss.bounds)
    own = estimate(resample([means(values, bounds=bounds)], plan)[0]["mean"])
    against = resample([means(values - values[:, :1], bounds=bounds - bounds)], plan)[0]["mean"]
    change = estimate(against)
    p, _ = p_value(against, change)
    summed = len(ablation.objective.terms) > 1
    pixel, objective = float(np.mean(probed["pixel"])), mean_over_images(probed["objective"])
    rows = [
        {
            "setting": setting.text,
            "term": float(own.value[s]),
            "interval": interval_at(own, s),
            "change": float(change.value[s]) if s else None,
            "change_interval": interval_at(change, s) if s else None,
            "p": float(p[s]) if s else None,
            **({"over_images": ablation.over_images[s]} if ablation.over_images else {}),
            **({"pixel": pixel, "objective": float(objective[s])} if summed else {}),
            "images": int(np.isfinite(values[:, s]).sum()),
            "undefined": int(np.isnan(values[:, s]).sum()),
        }
        for s, setting in enumerate(ablation.settings)
    ]
    columns = (
        Column("setting", "setting", "prose"),
        Column("term", "loss", "number"),
        Column("interval", "95 % CI", "number_interval"),
        *((Column("over_images", "over the set", "number"),) if ablation.over_images else ()),
        Column("change", "− baseline", "signed_number"),
        Column("change_interval", "95 % CI", "signed_number_interval"),
        Column("p", "p", "p", wide=True),
        *(
            (Column("pixel", "pixel term", "number", wide=True), Column("objective", "objective", "number"))
            if summed
            else ()
        ),
        Column("images", "images", "count", wide=True),
        Column("undefined", "undefined", "count", wide=True),
    )
    undefined = int(np.isnan(values).sum(axis=0).max())
    beside = f"; without {ablation.loss.name}, the pixel term alone, {pixel:.4g}" if summed else ""
    note = (
        f"Means over the images where the loss is defined (undefined in {undefined or 'none'}); differences are "
        f"paired. {sampling_note(len(values))} Objective: {ablation.objective}{beside}."
        + (" Over the set: computed from sums over all images." if ablation.over_images else "")
    )
    return Table("values", "Value", columns, tuple(rows), (note,), baseline=0)


def merit_table(ablation: Ablation, plan: Resampling) -> Table:
    """Return the table of the fact by which settings may be compared where the raw loss may not."""
    name, merit = ablation.loss.ranks_by, ablation.merit
    own = estimate(resample([means(merit)], plan)[0]["mean"])
    change = estimate(resample([means(merit - merit[:, :1])], plan)[0]["mean"])
    others = [key for key in ablation.run.probed if key.startswith("fact_") and key != f"fact_{name}"]
    rows = [
        {
            "setting": setting.text,
            "merit": float(own.value[s]),
            "interval": interval_at(own, s),
            "change": float(change.value[s]) if s else None,
            "change_interval": interval_at(change, s) if s else None,
            **{key: float(mean_over_images(ablation.run.probed[key])[s]) for key in others},
        }
        for s, setting in enumerate(ablation.settings)
    ]
    columns = (
        Column("setting", "setting", "prose"),
        Column("merit", name, "number"),
        Column("interval", "95 % CI", "number_interval"),
        Column("change", "− baseline", "signed_number"),
        Column("change_interval", "95 % CI", "signed_number_interval"),
        *(Column(key, key.removeprefix("fact_").replace("_", " "), "number", wide=key != DENSITY) for key in others),
    )
    return Table(name, f"Comparable between settings: {name}", columns, tuple(rows), baseline=0)


def agreement_table(ablation: Ablation, agreement: Mapping[str, Agreement], tolerance: Tolerance) -> Table:
    """Return the table of rank correlations over images with mIoU and boundary F."""
    titles = score_titles(tolerance)
    ranked = bool(ablation.loss.ranks_by)
    rows: list[Row] = [{"setting": setting.text} for setting in ablation.settings]
    rows.append({"setting": "number of classes present"})
    columns = [Column("setting", "setting", "prose")]
    for name, found in agreement.items():
        estimates = [(found.merit, s) for s in range(len(ablation.settings))] + [(found.classes, 0)]
        for s, (row, (each, place)) in enumerate(zip(rows, estimates, strict=True)):
            raw = float(found.raw.value[s]) if ranked and s < len(ablation.settings) else None
            more = {name: float(each.value[place]), f"{name}_interval": interval_at(each, place)}
            rows[s] = {**row, **more, **({f"{name}_raw": raw} if ranked else {})}
        columns.append(Column(name, titles[name], "signed_number", digits=2, best="high"))
        columns.append(Column(f"{name}_interval", "95 % CI", "signed_number_interval", digits=2))
        if ranked:
            columns.append(Column(f"{name}_raw", "ρ of −loss", "signed_number", digits=2))
    merit = f"the {ablation.loss.ranks_by}, and of minus the raw loss," if ranked else "minus the loss"
    note = (
        f"Spearman's rank correlation over images of {merit} with the image-level score: +1 where both rank the images "
        f"alike. The number of classes present is a confounder: image-level scores are means over classes, mIoU over "
        f"those that the image labels."
    )
    title = "Rank correlation with the metrics"
    count = len(ablation.settings)
    return Table("agreement", title, tuple(columns), tuple(rows), (note,), sections=(count,), baseline=0)


def per_class_table(ablation: Ablation) -> Table:
    """Return the table of each class's contribution, a mean over the images where it is defined."""
    parts, names = mean_over_images(ablation.run.probed["per_class"]), ablation.run.labels.names
    rows: list[Row] = []
    for s, setting in enumerate(ablation.settings):
        means_of = {f"class_{c}": float(value) for c, value in enumerate(parts[s])}
        rows.append({"setting": setting.text, **means_of})
    columns = (
        Column("setting", "setting", "prose"),
        *(Column(f"class_{c}", name, "number", digits=3) for c, name in enumerate(names)),
    )
    return Table("per_class", "By class", columns, tuple(rows), baseline=0)


def notes(ablation: Ablation) -> tuple[str, ...]:
    """Return notes on the limits of the conclusions."""
    turned = {name for setting in ablation.settings for name in setting.values}
    found = [
        f"raw values under different {name} are not comparable: {reason}"
        for name, reason in ablation.loss.incomparable.items()
        if name in turned
    ]
    found += [f"{ablation.loss.name}, by design: {why}" for why in ablation.loss.exceptions.values()]
    points = ablation.run.probed.get(DENSITY)
    if points is not None and np.nanmin(points) < FEW_POINTS:
        few = [s.text for s, column in zip(ablation.settings, points.T, strict=True) if np.nanmin(column) < FEW_POINTS]
        found.append(f"fewer than {FEW_POINTS} points per dimension, so the regression fits noise: {'; '.join(few)}")
    idle = [setting.text for s, setting in enumerate(ablation.settings) if s and _same(ablation, s)]
    if idle:
        found.append(f"same value as the baseline on every image: {'; '.join(idle)}")
    found.append(
        "a smaller value does not mean a better setting: each is a different function of the same predictions, and "
        "only training with it reveals its effect on a network"
    )
    return tuple(found)


def _same(ablation: Ablation, s: int) -> bool:
    return bool(np.array_equal(ablation.values[:, s], ablation.values[:, 0], equal_nan=True))


def _defaults(ablation: Ablation) -> str:
    """Return the published value of every hyperparameter."""
    knobs = ablation.loss.knobs
    return format_settings(knobs, {name: knob.default for name, knob in knobs.items()}) or "no hyperparameters"


def interval_at(found: Estimate, place: int) -> tuple[float, float]:
    """Return the 95 % CI of the score in a place."""
    return float(found.percentile.low[place]), float(found.percentile.high[place])
