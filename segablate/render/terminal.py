"""A report for the terminal, or without colours for a file."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import StringIO
from math import isnan

from rich.box import Box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.style import Style
from rich.table import Table as Grid
from rich.text import Text

from segablate.render.cells import BASELINE, MISSING, aligned_cells, hex_colour, is_numeric, one_line, unit
from segablate.render.facts import facts_beside_headline
from segablate.render.layout import GAP, Strip, fit, set_in_width, total
from segablate.tables import Column, Report, Table, as_number

LEAST_WIDTH = 40
ROOMY = 160
"""Width from which on columns of ``--wide`` are printed where they fit."""

NOTE_WIDTH = 100  # longer lines are hard to read, however wide the terminal
BAR_WIDTH = 10

_ENDS = {"low": "▾", "high": "▴"}
_RULES = Box("    \n    \n ── \n    \n ── \n    \n    \n    \n")


def to_text(report: Report, *, wide: bool, width: int, colour: bool) -> str:
    """Return the report as a string whose lines have at most ``width`` characters; ANSI codes only with ``colour``."""
    file = StringIO()
    console = Console(
        file=file,
        width=max(width, LEAST_WIDTH),
        force_terminal=colour,
        color_system="truecolor" if colour else None,
        no_color=not colour,
        force_jupyter=False,
        legacy_windows=False,
    )
    console.print(to_rich(report, wide=wide, width=console.width, colour=colour))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def to_rich(report: Report, *, wide: bool, width: int, colour: bool) -> Group:
    """Return the report for a console of this width; without ``colour``, triangles mark the worst and best cells."""
    parts: list[RenderableType] = [Text(one_line(report.title), "bold")]
    if facts := facts_beside_headline(report):
        parts.append(_facts(facts))
    tables = [table if wide else _with_what_fits(table, width, colour=colour) for table in report.tables]
    for table in tables:
        parts += ["", *_table(table, wide=wide, width=width, colour=colour)]
    notes = [*report.notes, *([] if wide else _hidden(tables))]
    if notes:
        parts += ["", _notes(notes, width)]
    if report.headline is not None:
        said = Text(one_line(report.headline.text), "bold")
        parts = [said, "", *parts, "", said]
    return Group(*parts)


def _with_what_fits(table: Table, width: int, *, colour: bool) -> Table:
    """Return the table with those columns of ``--wide`` that fit beside the others, in a terminal that is wide."""
    if width < ROOMY:
        return table
    for place, column in enumerate(table.columns):
        shown = (*table.columns[:place], replace(column, wide=False), *table.columns[place + 1 :])
        tried = replace(table, columns=shown)
        if column.wide and _natural_width(tried, colour=colour) <= width:
            table = tried
    return table


def _natural_width(table: Table, *, colour: bool) -> int:
    """Return the width at which no cell of the table is broken or shortened, a bar included."""
    strips = [replace(strip, width=strip.natural()) for strip in _strips(table, wide=False, colour=colour)]
    bars = sum(strip.column is not None and strip.column.bar for strip in strips)
    return total(strips) + bars * (BAR_WIDTH + GAP)


def _facts(facts: Sequence[tuple[str, str]]) -> Grid:
    grid = Grid.grid(padding=(0, GAP, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(Text(one_line(name)), Text(one_line(value)))
    return grid


def _notes(notes: Sequence[str], width: int) -> Grid:
    grid = Grid.grid(padding=(0, 1, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(style="dim", overflow="fold", max_width=min(width, NOTE_WIDTH) - 2)
    for note in notes:
        grid.add_row("·", Text(one_line(note)))
    return grid


def _hidden(tables: Sequence[Table]) -> list[str]:
    titles = dict.fromkeys(column.title for table in tables for column in table.columns if column.wide)
    named = [f'"{title}"' if " " in title else title for title in titles]
    return [f"--wide adds: {', '.join(named)}"] if named else []


def _table(table: Table, *, wide: bool, width: int, colour: bool) -> Iterator[RenderableType]:
    yield Text(one_line(table.title), "bold")
    blocks = fit(list(_strips(table, wide=wide, colour=colour)), width)
    bars = len(blocks) == 1
    for number, block in enumerate(blocks):
        if number:
            yield ""
        yield _grid(table, block, spare=width - total(block) if bars else 0)
    if not table.rows:
        yield Text("no rows", "dim")
    if table.notes:
        yield _notes(table.notes, width)
    if table.baseline is not None:
        yield Text(f"{BASELINE} baseline", "dim")


def _strips(table: Table, *, wide: bool, colour: bool) -> Iterator[Strip]:
    if table.baseline is not None:
        yield Strip(None, "", "", tuple(BASELINE if i == table.baseline else "" for i in range(len(table.rows))))
    for column in table.columns:
        if column.wide and not wide:
            continue
        if column.kind == "swatch":
            if colour:
                yield Strip(column, "", "", tuple("" if v is None else "██" for v in table.values(column)))
            continue
        yield Strip(column, one_line(column.title), unit(column), tuple(_cells(table, column, colour=colour)))


def _cells(table: Table, column: Column, *, colour: bool) -> list[str]:
    """Return the cells of a column; without colours a triangle marks the worst or best, and spaces align the others."""
    cells = aligned_cells(column, table.values(column))
    marked = table.marked(column)
    if colour or not marked:
        return cells
    sign = _ENDS[column.mark or column.best]
    return [f"{text.rstrip()}{sign if i in marked else ''}".ljust(len(text) + 1) for i, text in enumerate(cells)]


def _grid(table: Table, block: Sequence[Strip], *, spare: int) -> Grid:
    grid = Grid(box=_RULES, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="", border_style="dim")
    units = any(strip.unit for strip in block)
    columns: list[list[Text]] = []
    for strip in block:
        grid.add_column(_heading(strip, units=units), width=strip.width)
        columns.append(_styled(table, strip))
        if strip.column is not None and strip.column.bar and spare >= BAR_WIDTH + GAP:
            grid.add_column("", width=BAR_WIDTH, no_wrap=True)
            columns.append([_bar(value) for value in table.values(strip.column)])
            spare -= BAR_WIDTH + GAP
    for index, row in enumerate(zip(*columns, strict=True)):
        if index in table.sections:
            grid.add_section()
        grid.add_row(*row)
    return grid


def _heading(strip: Strip, *, units: bool) -> Text:
    """Return the title, with the unit on a line of its own if any column of the block has one."""
    heading = Text(strip.title, "bold", justify="right" if _numeric(strip) else "left")
    return heading.append(f"\n{strip.unit}", "not bold dim") if units else heading


def _styled(table: Table, strip: Strip) -> list[Text]:
    column = strip.column
    if column is None:
        return [Text(text) for text in strip.cells]
    if column.kind == "swatch":
        return [Text(text, _colour(value)) for text, value in zip(strip.cells, table.values(column), strict=True)]
    marked = table.marked(column)
    accent = "bold red" if column.mark else "bold green"
    styles = (accent if i in marked else "dim" if text.strip() == MISSING else "" for i, text in enumerate(strip.cells))
    return [Text(_set(strip, text), style) for text, style in zip(strip.cells, styles, strict=True)]


def _numeric(strip: Strip) -> bool:
    return strip.column is not None and is_numeric(strip.column)


def _set(strip: Strip, text: str) -> str:
    """Return the cell at its width. Numbers are right-aligned here, as Rich would cut the spaces at their end."""
    if _numeric(strip):
        return " " * (strip.width - cell_len(text)) + text
    return text if strip.column is not None and strip.column.kind == "prose" else set_in_width(text, strip.width)


def _colour(value: object) -> Style:
    return Style() if value is None else Style(color=hex_colour(value))


def _bar(value: object) -> Text:
    """Return a bar for a share, in steps of half a character."""
    share = as_number(value)
    halves = 0 if isnan(share) else round(2 * BAR_WIDTH * min(max(share, 0.0), 1.0))
    return Text("━" * (halves // 2) + "╸" * (halves % 2), "dim")
