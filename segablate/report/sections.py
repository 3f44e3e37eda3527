"""Sections of a page: the tables of a report with their charts, and what evaluations add to them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from segablate.report.choosing import Choice
from segablate.report.drawn import curve, image_scores, reliability
from segablate.report.figures import charts_of
from segablate.report.grid import grid_of
from segablate.report.matrix import change_matrix, confusion_matrix
from segablate.report.page import Section
from segablate.report.subject import Kind, Runs, Subject
from segablate.tables import Table

MAIN: dict[Kind, tuple[str, ...]] = {
    "evaluation": ("overall", "classes", "matrix", "curve", "calibration", "image_scores"),
    "comparison": ("scores", "runs", "pairs", "classes", "matrix", "curve", "reliability", "bands", "image_scores"),
    "ablation": (),
}
"""Sections above the pictures, in order; those of an ablation are all its tables. The others are below them."""

_ADDED = ("matrix", "curve", "reliability", "image_scores")
"""Sections that evaluations add to the tables of the report."""


@dataclass(frozen=True)
class Embedded:
    """What the page embeds: images, and the (label, predicted) that they have pixels of."""

    images: Collection[int] = ()
    cells: Collection[tuple[int, int]] = ()


def sections_of(subject: Subject, choice: Choice | None, embedded: Embedded) -> tuple[list[Section], list[Section]]:
    """Return the sections above and below the pictures."""
    sections = {table.name: _of_table(table, subject, embedded) for table in subject.report.tables if table.rows}
    if subject.runs and choice is not None:
        sections |= _of_runs(subject, choice, embedded)
    if "calibration" in sections and "reliability" in sections:
        drawn = sections.pop("reliability")
        sections["calibration"] = _joined(sections["calibration"], drawn)
    main = (MAIN[subject.kind] if subject.runs else ()) or tuple(sections)
    above = [sections[name] for name in main if name in sections]
    return above, [section for name, section in sections.items() if name not in main]


def _of_table(table: Table, subject: Subject, embedded: Embedded) -> Section:
    return Section(
        table.name,
        table.title,
        charts_of(table, subject.seeds),
        grid_of(table, _links(table, subject.runs, embedded)),
        notes=table.notes,
    )


def _joined(table: Section, drawn: Section) -> Section:
    return Section(table.name, table.title, drawn.charts, table.grid, notes=table.notes, folded=drawn.folded)


def _of_runs(subject: Subject, choice: Choice, embedded: Embedded) -> Mapping[str, Section]:
    runs = subject.runs
    found = {"matrix": _matrices(subject, embedded)}
    if drawn := curve(runs):
        chart, grid, folded = drawn
        found["curve"] = Section("curve", "Boundary F over the tolerance", (chart,), grid, folded=folded)
    if drawn := reliability(runs):
        charts, folded = drawn
        note = "Bars: share of the pixels in each bin." if len(runs) == 1 else ""
        notes = (note,) if note else ()
        found["reliability"] = Section("reliability", "Reliability", charts, notes=notes, folded=folded)
    chart, grid = image_scores(runs, choice.scores, embedded.images)
    note = "A dot with a ring leads to its picture." if chart.linked else ""
    notes = (note,) if note else ()
    found["image_scores"] = Section("image_scores", "Scores of the images", (chart,), grid, notes=notes)
    return found


def _matrices(subject: Subject, embedded: Embedded) -> Section:
    runs, linked = subject.runs, embedded.cells
    letters = list(runs)
    several = len(runs) > 1
    each = [
        confusion_matrix(run, f"Confusion matrix of {x}" if x else "", place, linked, folded=several)
        for place, (x, run) in enumerate(runs.items())
    ]
    if len(runs) == 2:
        a, b = runs.values()
        title = f"Confusion matrix of {letters[1]} less that of {letters[0]}, points"
        each.insert(0, change_matrix(a, b, title, linked))
    leads = " A cell leads to the embedded images in which it is largest." if linked else ""
    signs = " Of differences, orange is more and blue is less, on the diagonal too." if len(runs) == 2 else ""
    note = f"Rows are labels, columns predictions; each row adds up to 100 %.{signs}{leads}"
    title = "Confusion matrix" if len(runs) == 1 else "Confusion matrices"
    title += " of the fixed checkpoint" if subject.kind == "ablation" else ""
    return Section("matrix", title, matrices=tuple(each), notes=(note,))


def _links(table: Table, runs: Runs, embedded: Embedded) -> dict[int, str]:
    """Return where the rows of a table of images lead to."""
    if not runs or "image" not in {column.key for column in table.columns}:
        return {}
    places = {name: index for index, name in enumerate(next(iter(runs.values())).names)}
    rows = {row: places.get(str(cells["image"])) for row, cells in enumerate(table.rows)}
    return {row: f"#image-{index}" for row, index in rows.items() if index in embedded.images}
