"""Rendering of a :class:`~segablate.tables.Report`: for the terminal, as Markdown, CSV, JSON and LaTeX."""

import re
from typing import Literal, get_args

from rich.console import Console

from segablate.evaluation.results import Evaluation
from segablate.metrics.tolerance import Tolerance
from segablate.render.data import to_csv, to_json
from segablate.render.latex import to_latex
from segablate.render.markdown import to_markdown
from segablate.render.progress import progress, training_progress
from segablate.render.terminal import to_rich, to_text
from segablate.tables import Report

__all__ = ["FORMATS", "Format", "print_report", "progress", "render", "summary_of", "training_progress"]

Format = Literal["rich", "markdown", "csv", "json", "latex"]
FORMATS: tuple[Format, ...] = get_args(Format)
FILE_WIDTH = 100

_ASCII = str.maketrans("–−…▾▴▸×─━╸·", "--~v^>x-=--") | {ord("≤"): "<=", ord("ρ"): "rho", ord("µ"): "u"}
_SEPARATOR = re.compile(r"(?<=\S) ·(?=\s)")
"""The point between steps of preprocessing, where a hyphen would be read as a minus; other points begin notes."""


def render(report: Report, format: Format, *, wide: bool = False, width: int = FILE_WIDTH, colour: bool = False) -> str:
    """Return the report as a string that ends in a line feed.

    :param wide: with ``"rich"``, include the columns that are hidden otherwise; the other formats always have them.
    :param width: with ``"rich"``, the longest line in characters, at least 40.
    :param colour: with ``"rich"``, use ANSI colours; without them a triangle marks the worst or best cells.
    """
    match format:
        case "rich":
            return to_text(report, wide=wide, width=width, colour=colour)
        case "markdown":
            return to_markdown(report)
        case "csv":
            return to_csv(report)
        case "json":
            return to_json(report)
        case "latex":
            return to_latex(report)


def summary_of(run: Evaluation) -> str:
    """Return the report of an evaluation as JSON, which a saved run keeps for scripts."""
    from segablate.tables.evaluation import View, evaluation_report

    tolerances = tuple(Tolerance.parse(text) for text in run.facts["measures"]["tolerances"])
    return render(evaluation_report(run, View(tolerances=tolerances)), "json")


def print_report(
    report: Report,
    format: Format = "rich",
    *,
    wide: bool = False,
    brief: bool = False,
    console: Console | None = None,
) -> None:
    """Print the report to the console, standard output by default.

    With `brief`, the headline, the classes and the notes alone. A terminal determines width and colours
    (``NO_COLOR`` is respected); a pipe gets 100 columns without colours.
    """
    report = report.brief() if brief else report
    console = console or Console()
    speaks_unicode = console.encoding.startswith("utf")
    if format == "rich" and console.is_terminal and speaks_unicode:
        colour = console.color_system is not None and not console.no_color
        console.print(to_rich(report, wide=wide, width=console.width, colour=colour))
        return
    text = render(report, format, wide=wide, width=console.width if console.is_terminal else FILE_WIDTH)
    if not speaks_unicode:
        text = _SEPARATOR.sub(",", text).translate(_ASCII).encode(console.encoding, "replace").decode(console.encoding)
    console.file.write(text)
