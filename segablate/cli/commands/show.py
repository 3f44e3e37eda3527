"""``segablate show``: print a saved run again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segablate.cli.options import ReadingOptions, ResultOptions
from segablate.cli.viewing import ViewingOptions
from segablate.errors import RunError, UsageError

if TYPE_CHECKING:
    from segablate.tables import Report

_PLAIN = ReadingOptions(), ViewingOptions(), None


def show(
    run: Annotated[Path, typer.Argument(help="Folder written with --save.")],
    *,
    reading: ReadingOptions,
    viewing: ViewingOptions,
    plot: Annotated[
        Path | None,
        typer.Option(help="Plot boundary scores over tolerances to this PNG, SVG or PDF.", rich_help_panel="Output"),
    ] = None,
    output: ResultOptions,
) -> None:
    """Print a saved run in any format; an evaluation also under other conventions or at other tolerances."""
    from segablate.evaluation.runs import read_description
    from segablate.render import print_report

    run = _with_report(run)
    kind = read_description(run)["kind"]
    asked = reading, viewing, plot
    report = _evaluation(run, *asked) if kind == "evaluation" else _report(run, kind, plain=asked == _PLAIN)
    print_report(report, output.format, wide=output.wide, brief=output.brief)


def _with_report(folder: Path) -> Path:
    """Return the folder of the report where trainings or a search are in this one."""
    from segablate.cli.searching import REPORT
    from segablate.evaluation.runs import is_run
    from segablate.report.subject import SWEPT

    inside = [folder / name for name in (SWEPT, REPORT) if is_run(folder / name)]
    return inside[0] if inside and not is_run(folder) else folder


def _evaluation(path: Path, reading: ReadingOptions, viewing: ViewingOptions, plot: Path | None) -> "Report":
    """Return the report of an evaluation at the tolerances asked for, else its own; plot the curve."""
    from segablate.comparison import shared_tolerances
    from segablate.evaluation.results import load_run
    from segablate.plots import draw_curve

    run = load_run(path)
    if reading.tolerance not in (None, "none") and run.boundary is None:
        raise RunError(f"{path} has no boundary counts; evaluate again with --tolerance {reading.tolerance}")
    tolerances = shared_tolerances({str(path): run}) if reading.tolerance is None else reading.tolerances
    if plot is not None:
        draw_curve(run, plot)
    return viewing.report(run, reading, tolerances)


def _report(path: Path, kind: str, *, plain: bool) -> "Report":
    """Return a saved report. UsageError where options ask for another one."""
    from segablate.evaluation.runs import load_report
    from segablate.tables.stored import from_plain

    if not plain:
        again = {"comparison": "compare", "ablation": "ablate"}.get(kind, kind)
        raise UsageError(
            f"{path} is a saved {kind}, which is printed as it was saved; --tolerance, --void-as-error, --as and "
            f"similar options need a saved evaluation; run segablate {again} again with them"
        )
    return from_plain(load_report(path, kind))
