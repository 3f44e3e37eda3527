"""``segablate show`` and ``segablate runs``: saved runs again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segablate.cli.options import OutputOptions, ReadingOptions
from segablate.errors import RunError, UsageError

if TYPE_CHECKING:
    from segablate.tables import Report


def show(
    run: Annotated[Path, typer.Argument(help="A folder written with --save.")],
    *,
    reading: ReadingOptions,
    output: OutputOptions,
) -> None:
    """Show a saved run again, in any format; an evaluation also under another void convention or tolerance."""
    from segablate.render import print_report
    from segablate.runs import read_description

    kind = read_description(run)["kind"]
    report = _evaluation(run, reading) if kind == "evaluation" else _report(run, kind, reading)
    print_report(report, output.format, wide=output.wide)


def runs(
    folder: Annotated[Path, typer.Argument(help="A folder with saved runs in it.")] = Path("runs"),
    *,
    output: OutputOptions,
) -> None:
    """List the saved runs in a folder."""
    from segablate.render import print_report
    from segablate.tables.runs import runs_report

    print_report(runs_report(folder), output.format, wide=output.wide)


def _evaluation(path: Path, reading: ReadingOptions) -> "Report":
    """Scores from the counts, at the tolerances asked for or those for which the run was made."""
    from segablate.comparison import shared_tolerances
    from segablate.results import load_run
    from segablate.tables.evaluation import View, evaluation_report

    run = load_run(path)
    if reading.tolerance not in (None, "none") and run.boundary is None:
        raise RunError(f"{path} has no boundary counts; evaluate again with --tolerance {reading.tolerance}")
    tolerances = shared_tolerances({str(path): run}) if reading.tolerance is None else reading.tolerances
    return evaluation_report(run, View(reading.void_as_error, tolerances))


def _report(path: Path, kind: str, reading: ReadingOptions) -> "Report":
    """A report as it was written."""
    from segablate.runs import load_report
    from segablate.tables.stored import from_plain

    if reading != ReadingOptions():
        raise UsageError(
            f"{path} is a saved {kind}, which is shown as it was written: --tolerance and --void-as-error are for "
            f"saved evaluations; {kind.replace('comparison', 'compare').replace('ablation', 'ablate')} again with them"
        )
    return from_plain(load_report(path, kind))
