"""A report as GitHub-flavoured Markdown."""

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from segablate.render.cells import BASELINE, MISSING, cell, is_numeric, one_line, unit
from segablate.render.facts import facts_beside_headline
from segablate.tables import Column, Report, Table

# Escaped only where special: a bracket before a parenthesis, an angle before a tag, an underscore outside words, a #
# at the end.
_SPECIAL = re.compile(r"[\\`*|~$]|\](?=\()|<(?=[A-Za-z/!?])|(?<![^\W_])_|_(?![^\W_])|#$")
_BLOCK = re.compile(r"^(\d*)(?=[.)#+>\[-])")  # characters that open a heading, a list, a quotation or a definition


def to_markdown(report: Report) -> str:
    """Return headings, the headline in bold, facts and notes as lists, and tables whose source is legible."""
    parts = [f"## {_line(report.title)}"]
    if report.headline is not None:
        parts.append(f"**{_escape(report.headline.text)}**")
    if facts := facts_beside_headline(report):
        parts.append("\n".join(f"- **{_escape(name)}**: {_escape(value)}" for name, value in facts))
    for table in report.tables:
        parts += [f"### {_line(table.title)}", "\n".join(_table(table))]
        if notes := [*table.notes, *marks_explained(table), *baseline_explained(table)]:
            parts.append(_list(notes))
    if report.notes:
        parts += ["---", _list(report.notes)] if report.tables else [_list(report.notes)]
    return "\n\n".join(parts) + "\n"


def marks_explained(table: Table, columns: Sequence[Column] | None = None) -> list[str]:
    """Explain bold type, which usually marks the best value but here mostly the worst; `columns`: those written."""
    said, columns = [], table.columns if columns is None else columns
    for word, ends in (("worst", [c for c in columns if c.mark]), ("best", [c for c in columns if c.best])):
        if titles := [column.title for column in ends if table.marked(column)]:
            said.append(f"{word} {', '.join(titles)}")
    return [f"Bold: {'; '.join(said)}."] if said else []


def baseline_explained(table: Table) -> list[str]:
    """Explain the marker of the baseline."""
    return [] if table.baseline is None else [f"{BASELINE} baseline"]


def _table(table: Table) -> Iterator[str]:
    columns = [_column(table, column) for column in table.columns]
    right = [is_numeric(column) for column in table.columns]
    if table.baseline is not None:
        columns.insert(0, ["", *(BASELINE if i == table.baseline else "" for i in range(len(table.rows)))])
        right.insert(0, False)
    widths = [max(3, *map(cell_len, column)) for column in columns]
    lines = [_row(cells, widths, right) for cells in zip(*columns, strict=True)]
    rule = "|".join(f" {'-' * (w - 1)}: " if r else f" {'-' * w} " for w, r in zip(widths, right, strict=True))
    yield from (lines[0], f"|{rule}|", *lines[1:])


def _column(table: Table, column: Column) -> list[str]:
    """Return header and cells; GitHub displays the colour beside a code span such as `#804080`."""
    header = _escape(column.title) + (f" ({unit(column)})" if unit(column) else "")
    cells = [cell(column, value) for value in table.values(column)]
    if column.kind == "swatch":
        return [header, *(text if text == MISSING else f"`{text}`" for text in cells)]
    marked = table.marked(column)
    return [header, *(f"**{_escape(text)}**" if i in marked else _escape(text) for i, text in enumerate(cells))]


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for text, width, flush in zip(cells, widths, right, strict=True):
        spaces = " " * (width - cell_len(text))
        padded.append(spaces + text if flush else text + spaces)
    return f"| {' | '.join(padded)} |"


def _list(notes: Sequence[str]) -> str:
    return "\n".join(f"- {_line(note)}" for note in notes)


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", one_line(text).replace("&", "&amp;"))


def _line(text: str) -> str:
    """Escape text at the start of a line, where a few more characters are special."""
    return _BLOCK.sub(r"\1\\", _escape(text))
