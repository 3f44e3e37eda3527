"""Tables of a run under the conventions of other tools: all side by side, or one in detail."""

from collections.abc import Sequence
from math import isnan, nan

import numpy as np

from segablate.errors import RunError, counted
from segablate.evaluation.results import Evaluation
from segablate.metrics.confusion import nanmean
from segablate.metrics.conventions import (
    BOUNDARIES,
    OURS,
    REGIONS,
    VOIDS,
    BoundaryConvention,
    Convention,
    Scores,
    scores_under,
)
from segablate.tables import Column, Headline, Report, Row, Table, as_number

_NOT_COUNTED = "has boundaries of its own, which were not counted; evaluate again with --boundary-as {}"


def conventions_report(run: Evaluation) -> Report:
    """Return every convention on one run: ours, the others by descending mIoU, then those without a number."""
    facts = _head(run)
    title = f"{run.title} on {run.facts['dataset']['name']} under every convention"
    note = "All from the same counts. –: the tool reports no such number, or none for this run; see the last column."
    tables = regions_table(run), boundaries_table(run)
    return Report(title, facts, tables, (note, *run.notes), _headline_of_all(run, tables[0]), (("", run.title),))


def regions_table(run: Evaluation) -> Table:
    """Return the conventions for confusion counts, with the difference of their mIoU from ours.

    Ours and the other readings of void come first, then the tools.
    """
    ours = scores_under(OURS, run.confusion)
    found = [(convention, scores_under(convention, run.confusion)) for convention in REGIONS]
    found.sort(key=lambda pair: (bool(pair[1].refusal), isnan(pair[1].miou), -np.nan_to_num(pair[1].miou)))
    own = [(OURS, ours), *((convention, scores_under(convention, run.confusion)) for convention in VOIDS)]
    rows = [_region_row(convention, scores, ours) for convention, scores in (*own, *found)]
    defined = sum(not isnan(scores.miou) for _, scores in found)
    columns = (
        Column("convention", "convention", "prose"),
        Column("miou", "mIoU", "share", digits=2),
        Column("difference", "− ours", "signed_share", digits=2),
        Column("mean_recall", "mean recall", "share", digits=2),
        Column("pixel_accuracy", "pixel accuracy", "share", digits=2),
        Column("tool", "tool", "prose", wide=True),
        Column("differs", "difference in definition", "prose"),
    )
    first = len(own)
    sections = (first, first + defined) if defined < len(found) else (first,)
    return Table("conventions", "mIoU under every convention", columns, tuple(rows), sections=sections)


def boundaries_table(run: Evaluation) -> Table:
    """Return the conventions with boundaries of their own; a dash for those that were not counted."""
    rows = [row for convention in BOUNDARIES for row in _boundary_rows(convention, run)]
    columns = (
        Column("convention", "convention", "prose"),
        Column("measure", "measure", "text"),
        Column("distance", "distance", "text"),
        Column("mean", "mean over classes", "share", digits=2),
        Column("tool", "tool", "prose", wide=True),
        Column("differs", "difference in definition", "prose"),
    )
    return Table("boundary_conventions", "Boundaries under other tools' conventions", columns, tuple(rows))


def convention_report(run: Evaluation, convention: Convention | BoundaryConvention) -> Report:
    """Return a run as the tool of one convention would report it: means and classes, beside ours.

    Raises RunError where the tool has boundaries of its own and the run did not count them.
    """
    dataset = run.facts["dataset"]["name"]
    facts = (*_head(run), ("convention", f"{convention.name}: {convention.tool}"))
    if isinstance(convention, Convention):
        tables, notes = _region_tables(run, convention)
        headline = _headline(run, convention, tables[0])
    else:
        tables, notes = _boundary_tables(run, convention), ()
        headline = _boundary_headline(run, convention)
    differs = f"Difference of {convention.name} from this program's definition: {convention.differs}"
    title, runs = f"{run.title} on {dataset} as {convention.name}", (("", run.title),)
    return Report(title, facts, tables, (*notes, differs, *run.notes), headline, runs)


def _headline_of_all(run: Evaluation, regions: Table) -> Headline:
    """Return our mIoU, the first of the table of conventions, with the range of those of the others."""
    ours, *others = (as_number(row["miou"]) for row in regions.rows)
    others = [miou for miou in others if not isnan(miou)]
    between = f"; {100 * min(others):.2f} to {100 * max(others):.2f} % under other conventions" if others else ""
    return Headline(f"mIoU {_percent(ours)}{between}: {_subject(run)}", "mIoU", run.title, ours)


def _headline(run: Evaluation, convention: Convention, overall: Table) -> Headline:
    """Return mIoU under a convention, beside ours: the first row of the table of means."""
    theirs, ours = (as_number(overall.rows[0][key]) for key in ("value", "ours"))
    measure = f"mIoU as {convention.name}"
    return Headline(f"{measure} {_percent(theirs)}, ours {_percent(ours)}: {_subject(run)}", measure, run.title, theirs)


def _boundary_headline(run: Evaluation, convention: BoundaryConvention) -> Headline:
    """Return the mean over classes at the first distance of a convention for boundaries."""
    distance, scores = _boundary_scores(convention, run)[0]
    measure, mean = f"{convention.measure} as {convention.name}", float(nanmean(scores))
    return Headline(f"{measure} at {distance} {_percent(mean)}: {_subject(run)}", measure, run.title, mean)


def _percent(share: float) -> str:
    return "undefined" if isnan(share) else f"{100 * share:.2f} %"


def _subject(run: Evaluation) -> str:
    return f"{run.title} on {run.facts['dataset']['name']}, {counted(run.images, 'image')}"


def _head(run: Evaluation) -> tuple[tuple[str, str], ...]:
    dataset = f"{run.facts['dataset']['name']}, {counted(run.images, 'image')}"
    return ("checkpoint", run.title), ("dataset", dataset)


def _region_row(convention: Convention, scores: Scores, ours: Scores) -> Row:
    return {
        "convention": convention.name,
        "miou": scores.miou,
        "difference": nan if convention is OURS else scores.miou - ours.miou,
        "mean_recall": scores.mean_recall,
        "pixel_accuracy": scores.pixel_accuracy,
        "tool": convention.tool,
        "differs": scores.refusal or convention.differs,
    }


def _boundary_rows(convention: BoundaryConvention, run: Evaluation) -> list[Row]:
    named: Row = {"convention": convention.name, "measure": convention.measure, "tool": convention.tool}
    if convention.statistic not in run.statistics:
        return [{**named, "differs": _NOT_COUNTED.format(convention.name)}]
    return [
        {**named, "distance": distance, "mean": float(nanmean(scores)), "differs": convention.differs}
        for distance, scores in _boundary_scores(convention, run)
    ]


def _boundary_scores(convention: BoundaryConvention, run: Evaluation) -> list[tuple[str, np.ndarray]]:
    """Return the scores of the classes at each distance, with the name of the distance."""
    distances = convention.distances(run.facts["measures"]["tolerances"])
    return list(zip(distances, convention.score(run.statistics[convention.statistic]), strict=True))


def _region_tables(run: Evaluation, convention: Convention) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    theirs, ours = scores_under(convention, run.confusion), scores_under(OURS, run.confusion)
    pairs = (("mIoU", "miou"), ("mean recall", "mean_recall"), ("pixel accuracy", "pixel_accuracy"))
    overall = [_beside("measure", name, getattr(theirs, key), getattr(ours, key)) for name, key in pairs]
    per_class = zip(run.labels.names, theirs.iou, ours.iou, strict=True)
    classes = [_beside("class", name, float(value), float(own)) for name, value, own in per_class]
    tables = (
        Table("overall", "Overall", _columns("measure", "value", convention.name), tuple(overall)),
        Table("classes", "Classes: IoU", _columns("class", "IoU", convention.name), tuple(classes)),
    )
    return tables, (f"{convention.name} has no number here: {theirs.refusal}",) if theirs.refusal else ()


def _beside(key: str, name: str, value: float, ours: float) -> Row:
    return {key: name, "value": value, "ours": ours, "difference": value - ours}


def _columns(key: str, value: str, name: str) -> tuple[Column, ...]:
    return (
        Column(key, key, "text"),
        Column("value", f"{value} as {name}", "share", digits=2),
        Column("ours", "ours", "share", digits=2),
        Column("difference", "difference", "signed_share", digits=2),
    )


def _boundary_tables(run: Evaluation, convention: BoundaryConvention) -> tuple[Table, ...]:
    if convention.statistic not in run.statistics:
        raise RunError(f"{convention.name} {_NOT_COUNTED.format(convention.name)}")
    found = _boundary_scores(convention, run)
    keys = [f"at_{place}" for place in range(len(found))]
    columns = [
        Column(key, f"{convention.measure} at {distance}", "share", digits=2)
        for key, (distance, _) in zip(keys, found, strict=True)
    ]
    means = _keyed(keys, [float(nanmean(scores)) for _, scores in found])
    per_class = np.stack([scores for _, scores in found], axis=1)
    classes = [
        {"class": name, **_keyed(keys, row.tolist())} for name, row in zip(run.labels.names, per_class, strict=True)
    ]
    head = Column("measure", "measure", "text"), Column("class", "class", "text")
    return (
        Table("overall", "Overall", (head[0], *columns), ({"measure": "mean over classes", **means},)),
        Table("classes", "Classes", (head[1], *columns), tuple(classes)),
    )


def _keyed(keys: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    return dict(zip(keys, values, strict=True))
