"""A report as HTML for notebooks: headings, facts, tables with the colours of classes, notes."""

from collections.abc import Sequence
from html import escape
from string import Template

from segablate.render.cells import BASELINE, MISSING, cell, hex_colour, is_numeric, one_line, unit
from segablate.render.facts import facts_beside_headline
from segablate.render.markdown import baseline_explained, marks_explained
from segablate.tables import Column, Report, Table

# Notebooks have rules for cells of their own, which outweigh all but those by two classes and "table tr". The colours
# of text are legible on white and on black: the page may be either, and each program states that in its own way.
_STYLE = (
    ".segablate table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4em 0}"
    ".segablate .wide{overflow-x:auto}"
    ".segablate table tr .t,.segablate table tr .n{padding:.15em .7em;text-align:left;border:0;white-space:nowrap}"
    ".segablate table tr .n{text-align:right}"
    ".segablate table tr .p{white-space:normal;overflow-wrap:anywhere;min-width:6em;max-width:40em}"
    ".segablate table thead tr .t,.segablate table thead tr .n{border-bottom:1px solid;font-weight:600}"
    ".segablate table tr.rule .t,.segablate table tr.rule .n{border-top:1px solid}"
    ".segablate h4{margin:.9em 0 .2em}"
    ".segablate .worst{font-weight:600;color:#dc3a2f}"
    ".segablate .best{font-weight:600;color:#208a3e}"
    ".segablate .swatch{display:inline-block;width:1em;height:1em;border-radius:.2em;vertical-align:middle;"
    "box-shadow:0 0 0 1px #8888}"
    ".segablate .bar{display:inline-block;height:.5em;margin-left:.5em;background:#4078b8}"
    ".segablate .track{display:inline-block;width:5em;text-align:left}"
    ".segablate .headline{font-weight:600;margin:.2em 0}"
    ".segablate .notes,.segablate .facts{font-size:90%;opacity:.8;margin:.2em 0}"
)

_PAGE = Template('<div class="segablate"><style>$style</style><h3>$title</h3>$headline$facts$tables$notes</div>')


def to_html(report: Report) -> str:
    """Return the report as one ``<div>`` with a style of its own; all text is escaped, and nothing is loaded."""
    facts = "<br>".join(f"<b>{_text(name)}</b> {_text(value)}" for name, value in facts_beside_headline(report))
    headline = "" if report.headline is None else f'<p class="headline">{_text(report.headline.text)}</p>'
    return _PAGE.substitute(
        style=_STYLE,
        title=_text(report.title),
        headline=headline,
        facts=f'<p class="facts">{facts}</p>' if facts else "",
        tables="".join(map(_table, report.tables)),
        notes=_notes(report.notes),
    )


def _table(table: Table) -> str:
    columns = tuple(column for column in table.columns if not column.wide)
    corner = "" if table.baseline is None else '<th class="t"></th>'
    head = corner + "".join(f"<th{_class(column)}>{_header(column)}</th>" for column in columns)
    body = "".join(_row(table, columns, index) for index in range(len(table.rows)))
    notes = _notes([*table.notes, *marks_explained(table, columns), *baseline_explained(table)])
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<h4>{_text(table.title)}</h4><div class="wide">{whole}</div>{notes}'


def _row(table: Table, columns: Sequence[Column], index: int) -> str:
    cells = "".join(_cell(table, column, index) for column in columns)
    if table.baseline is not None:
        cells = f'<td class="t">{BASELINE if index == table.baseline else ""}</td>{cells}'
    rule = ' class="rule"' if index and index in table.sections else ""
    return f"<tr{rule}>{cells}</tr>"


def _cell(table: Table, column: Column, index: int) -> str:
    value = table.rows[index].get(column.key)
    if column.kind == "swatch":
        swatch = f'<span class="swatch" style="background:{hex_colour(value)}"></span>' if value is not None else ""
        return f'<td class="t">{swatch}</td>'
    text = _text(cell(column, value))
    if index in table.marked(column):
        text = f'<span class="{"best" if column.best else "worst"}">{text}</span>'
    if column.bar:
        width = 0.0 if cell(column, value) == MISSING else 5 * float(value)  # type: ignore[arg-type]
        text += f'<span class="track"><span class="bar" style="width:{width:.2f}em"></span></span>'
    return f"<td{_class(column)}>{text}</td>"


def _header(column: Column) -> str:
    return _text(column.title) + (f" ({_text(unit(column))})" if unit(column) else "")


def _class(column: Column) -> str:
    """Return the classes of a cell: n for numbers, t for text, and p for prose, whose lines break."""
    name = "n" if is_numeric(column) else "t p" if column.kind == "prose" else "t"
    return f' class="{name}"'


def _notes(notes: "list[str] | tuple[str, ...]") -> str:
    lines = "".join(f"<li>{_text(note)}</li>" for note in notes)
    return f'<ul class="notes">{lines}</ul>' if lines else ""


def _text(text: str) -> str:
    return escape(one_line(text))
