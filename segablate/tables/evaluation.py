"""Tables of an evaluation: overall scores with confidence intervals, losses, and classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np

from segablate.errors import counted, shorten
from segablate.evaluation.results import Evaluation
from segablate.metrics import boundary_iou, error_kinds
from segablate.metrics.boundary import boundary_f, boundary_sums
from segablate.metrics.calibration import RELIABILITY
from segablate.metrics.chance import why_chance
from segablate.metrics.confusion import (
    ClassCounts,
    class_counts,
    f1,
    iou,
    precision,
    recall,
)
from segablate.metrics.probability_bins import BINS
from segablate.metrics.tolerance import Tolerance
from segablate.metrics.trimap import COUNTS as TRIMAP
from segablate.statistics.bootstrap import Distribution, by_image, resample
from segablate.statistics.intervals import estimate
from segablate.statistics.loss_bounds import bounds_of_objective
from segablate.statistics.scores import boundary_iou_scores, boundary_scores, means, of_set, region_scores
from segablate.tables import Column, Headline, Report, Table, as_interval, as_number
from segablate.tables.boundaries import boundary_key, boundary_table, curve_table, trimap_table, within
from segablate.tables.calibration import calibration_table, class_wise_errors, set_error
from segablate.tables.class_order import order_notes
from segablate.tables.error_kinds import errors_table
from segablate.tables.image_level import image_level_table, worst_images_table
from segablate.tables.ranking import ranking_rows
from segablate.tables.sampling import REPLICATES, sampling_note
from segablate.tables.thresholds import threshold_table


@dataclass(frozen=True)
class View:
    """Options of the report: the void convention, the boundary tolerances, and further tables.

    `details`: boundary scores per class, and the worst images; `curve`: boundary scores at every whole tolerance.
    """

    void_as_error: bool = False
    tolerances: tuple[Tolerance, ...] = ()
    details: bool = False
    curve: bool = False


def evaluation_report(run: Evaluation, view: View) -> Report:
    """Return the report of ``segablate evaluate``."""
    tables = [overall_table(run, view)]
    tables += [losses_table(run)] if run.values else []
    tables += [calibration_table(run, REPLICATES)] if RELIABILITY in run.statistics else []
    tables += [classes_table(run, view), *filter(None, [threshold_table(run)])]
    tables += [image_level_table(run, view.tolerances, REPLICATES, void_as_error=view.void_as_error)]
    tables += _further_tables(run, view)
    title = f"{run.title} on {run.facts['dataset']['name']}"
    said = headline(run, tables[0])
    return Report(title, head(run, view), tuple(tables), notes(run, view), said, (("", run.title),))


def headline(run: Evaluation, overall: Table) -> Headline:
    """Return mIoU with its interval, the first row of :func:`overall_table`."""
    value, (low, high) = as_number(overall.rows[0]["value"]), as_interval(overall.rows[0]["interval"])
    interval = f"95 % CI {100 * low:.2f} to {100 * high:.2f}" if isfinite(low + high) else "no 95 % CI"
    found = f"{100 * value:.2f} %" if isfinite(value) else "undefined"
    on = f"{run.facts['dataset']['name']}, {counted(run.images, 'image')}"
    return Headline(f"mIoU {found} ({interval}): {run.title} on {on}", "mIoU", run.title, value, low, high)


def _further_tables(run: Evaluation, view: View) -> list[Table]:
    """Return the tables that were asked for beyond the default."""
    tables = [errors_table(run)] if error_kinds.STATISTIC in run.statistics else []
    if run.boundary is not None and view.details:
        tables += [boundary_table(run, run.boundary, tolerance) for tolerance in view.tolerances]
    if run.boundary is not None and view.curve:
        tables.append(curve_table(run.boundary))
    if TRIMAP in run.statistics:
        tables.append(trimap_table(run))
    return [*tables, worst_images_table(run, void_as_error=view.void_as_error)] if view.details else tables


def head(run: Evaluation, view: View) -> tuple[tuple[str, str], ...]:
    """Return the facts of what was run, for the head of the report."""
    checkpoint = {key: str(value) for key, value in run.facts["checkpoint"].items() if key not in ("name", "files")}
    dataset = run.facts["dataset"]
    void = "count as false positives" if view.void_as_error else "are ignored"
    facts = {
        "checkpoint": run.title,
        **checkpoint,
        "dataset": f"{dataset['name']}, split {dataset['split']}, {counted(run.images, 'image')}",
        "convention": f"counts over the whole set; void pixels {void}; classes in neither map are left out of means",
    }
    return tuple(facts.items())


def overall_table(run: Evaluation, view: View) -> Table:
    """Return the scores of the set with their confidence intervals."""
    scores, defined = _overall_scores(run, view)
    regions, classes, pixels = scores[0], defined[0], int(run.confusion.total()[:-1].sum())
    rows = [
        _overall_row("mIoU", regions["miou"], f"{counted(classes['iou'], 'class', 'classes')} labelled or predicted"),
        _overall_row(
            "mean recall", regions["mean_recall"], f"{counted(classes['recall'], 'class', 'classes')} labelled"
        ),
        _overall_row("pixel accuracy", regions["pixel_accuracy"], counted(pixels, "pixel")),
        _overall_row("frequency-weighted IoU", regions["frequency_weighted_iou"], "classes by labelled pixels"),
    ]
    for place, tolerance in enumerate(view.tolerances if run.boundary else (), start=1):
        over = f"{counted(defined[place]['boundary_f'], 'class', 'classes')} with a boundary"
        rows.append(_overall_row(f"boundary F {within(tolerance)}", scores[place]["mean_boundary_f"], over))
    if boundary_iou.STATISTIC in run.statistics:
        over = f"{counted(defined[-1]['boundary_iou'], 'class', 'classes')} with a boundary"
        rows.append(_overall_row(_band(run), scores[-1]["mean_boundary_iou"], over))
    rows += [_overall_row(*row) for row in ranking_rows(run, by_image(run.images, REPLICATES))]
    if RELIABILITY in run.statistics:
        rows.append(_overall_row("ECE (lower is better)", set_error(run, REPLICATES), f"{BINS} confidence bins"))
    columns = (
        Column("measure", "measure", "text"),
        Column("value", "value", "share", digits=2),
        Column("interval", "95 % CI", "interval", digits=1),
        Column("over", "over", "text"),
    )
    return Table("overall", "Overall", columns, tuple(rows), (sampling_note(run.images),))


def _overall_scores(run: Evaluation, view: View) -> tuple[list[dict[str, Distribution]], list[dict[str, int]]]:
    """Return the scores of the set: of regions, of boundaries at each tolerance, and boundary IoU where it was counted.

    The numbers beside them are of classes: in how many each score per class is defined.
    """
    statistics = [region_scores(class_counts(run.confusion, void_as_error=view.void_as_error))]
    if run.boundary is not None:
        statistics += [boundary_scores(boundary_sums(run.boundary, tolerance)) for tolerance in view.tolerances]
    if boundary_iou.STATISTIC in run.statistics:
        statistics.append(boundary_iou_scores(run.statistics[boundary_iou.STATISTIC]))
    values = [statistic(np.ones((1, run.images))) for statistic in statistics]
    defined = [{name: int(np.isfinite(value).sum()) for name, value in scores.items()} for scores in values]
    return resample([of_set(statistic) for statistic in statistics], by_image(run.images, REPLICATES)), defined


def losses_table(run: Evaluation) -> Table:
    """Return the mean of each loss over the images where it is defined."""
    plan = by_image(run.images, REPLICATES)
    rows, notes = [], []
    for name, values in run.values.items():
        scores = estimate(resample([means(values, bounds=bounds_of_objective(name))], plan)[0]["mean"])
        interval = (float(scores.percentile.low), float(scores.percentile.high))
        defined = int(np.isfinite(values).sum())
        rows.append({"loss": name, "mean": float(scores.value), "interval": interval, "images": defined})
        if infinite := int(np.isinf(values).sum()):
            notes.append(f"{name} is infinite in {counted(infinite, 'image')}, which its mean leaves out.")
    columns = (
        Column("loss", "loss", "text"),
        Column("mean", "mean", "number"),
        Column("interval", "95 % CI", "number_interval"),
        Column("images", "images", "count"),
    )
    return Table("losses", "Losses, means over the images where they are defined", columns, tuple(rows), tuple(notes))


def classes_table(run: Evaluation, view: View) -> Table:
    """Return IoU, recall, precision, F1, boundary F and support of every class."""
    per_image = class_counts(run.confusion, void_as_error=view.void_as_error)
    counts = per_image.total()
    boundaries = [boundary_f(boundary_sums(run.boundary, t).total()) for t in view.tolerances if run.boundary]
    scores = {"iou": iou(counts), "recall": recall(counts), "precision": precision(counts), "f1": f1(counts)}
    scores |= {"class_wise_ece": class_wise_errors(run)} if RELIABILITY in run.statistics else {}
    scores |= {boundary_key(t): f for t, f in zip(view.tolerances, boundaries, strict=False)}
    bands = run.statistics.get(boundary_iou.STATISTIC)
    scores |= {"boundary_iou": boundary_iou.boundary_iou(bands.sum(axis=0))} if bands is not None else {}
    share = counts.labelled / max(int(counts.labelled.sum()), 1)
    rows = tuple(
        {
            **({"colour": run.labels.colours[index]} if run.labels.colours else {}),
            "class": name,
            **{key: float(values[index]) for key, values in scores.items()},
            "share": float(share[index]),
            "pixels": int(counts.labelled[index]),
            "images": int((per_image.labelled[:, index] > 0).sum()),
        }
        for index, name in enumerate(run.labels.names)
    )
    columns = (
        *((Column("colour", "", "swatch"),) if run.labels.colours else ()),
        Column("class", "class", "text"),
        Column("iou", "IoU", "share", mark="low", bar=True),
        Column("recall", "recall", "share", mark="low"),
        Column("precision", "precision", "share", mark="low"),
        Column("f1", "F1", "share", mark="low", wide=True),
        *(
            Column(boundary_key(t), f"bF {within(t)}", "share", mark="low")
            for t, _ in zip(view.tolerances, boundaries, strict=False)
        ),
        *(
            (Column("boundary_iou", _band(run).replace("boundary", "b"), "share", mark="low"),)
            if bands is not None
            else ()
        ),
        *((Column("class_wise_ece", "ECE", "share", digits=2, wide=True),) if RELIABILITY in run.statistics else ()),
        Column("share", "pixels", "share"),
        Column("pixels", "pixel count", "count", wide=True),
        Column("images", "images", "count"),
    )
    return Table("classes", "Classes", columns, rows)


def notes(run: Evaluation, view: View) -> tuple[str, ...]:
    """Return notes needed to read the numbers, and those of the run."""
    table = run.confusion.total()
    counts = class_counts(run.confusion, void_as_error=view.void_as_error).total()
    return (
        *_about_absent(run, counts),
        *_about_outside(table),
        *_about_void(table, view),
        *_about_chance(table, run.facts["checkpoint"]),
        *order_notes(run, table),
        *run.notes,
        *_about_skipped(run),
    )


def _about_absent(run: Evaluation, counts: ClassCounts) -> list[str]:
    classes, absent = len(run.labels), [n for n, c in zip(run.labels.names, counts.labelled, strict=True) if c == 0]
    if not absent:
        return []
    over = int(np.isfinite(iou(counts)).sum())
    be, them = ("is", "it") if len(absent) == 1 else ("are", "them")
    return [
        f"{len(absent)} of {counted(classes, 'class', 'classes')} {be} never labelled here ({shorten(absent)}): recall "
        f"is undefined for {them}, and mIoU is over {counted(over, 'class', 'classes')}"
    ]


def _about_outside(table: np.ndarray) -> list[str]:
    outside, labelled = int(table[:-1, -1].sum()), int(table[:-1].sum())
    if not outside:
        return []
    share = outside / max(labelled, 1)
    return [f"{counted(outside, 'labelled pixel')} ({100 * share:.2f} %) predicted outside the label set: misses"]


def _about_void(table: np.ndarray, view: View) -> list[str]:
    void = table[-1].sum() / max(int(table.sum()), 1)
    if not void:
        return []
    role = "predictions there count as false positives" if view.void_as_error else "ignored"
    return [f"{100 * void:.2f} % of all pixels are void: {role}"]


def _about_chance(table: np.ndarray, checkpoint: Mapping[str, object]) -> list[str]:
    """Return a note where a constant map, or chance, does as well, with what is usually wrong then.

    `checkpoint`: its facts, which state preprocessing of a network, and an encoding of label maps in files.
    """
    reason = why_chance(table)
    return [f"mIoU is near chance: {reason}; check {_usually_wrong(checkpoint)}"] if reason else []


def _usually_wrong(checkpoint: Mapping[str, object]) -> str:
    if "preprocessing" in checkpoint:
        return (
            "channel order, scale, mean and std (segablate checkpoints probe tries the usual ones), the order of the "
            "classes, and that the weights belong to this network"
        )
    coding = "the coding of the values (?encoding=, ?shift=-1 or ?map= reads another), "
    if checkpoint.get("encoding") in (None, "colours"):
        coding = "the colours of the classes, " if "encoding" in checkpoint else ""  # else scores
    return f"{coding}the order of the classes, and that the predictions are of this split, neither resized nor cropped"


def _about_skipped(run: Evaluation) -> list[str]:
    if not run.skipped:
        return []
    names = shorten([skipped.name for skipped in run.skipped], 5)
    return [f"{counted(len(run.skipped), 'image')} skipped ({names}); first: {run.skipped[0].reason}"]


def _overall_row(measure: str, distribution: Distribution, over: str) -> dict[str, object]:
    found = estimate(distribution)
    interval = (float(found.percentile.low), float(found.percentile.high))
    return {"measure": measure, "value": float(found.value), "interval": interval, "over": over}


def _band(run: Evaluation) -> str:
    """Return the name of boundary IoU with its width."""
    return f"boundary IoU {within(Tolerance.parse(run.facts['measures']['boundary_iou']))}"
