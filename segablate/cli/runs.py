"""``segablate show`` and ``segablate runs``: saved runs again."""

from pathlib import Path
from typing import Annotated

import typer

from segablate.cli.options import MeasureOptions, OutputOptions


def show(
    run: Annotated[Path, typer.Argument(help="A folder written with --save.")],
    *,
    measuring: MeasureOptions,
    output: OutputOptions,
) -> None:
    """Show a saved run again, in any format; an evaluation also under the other void convention or tolerance."""
    from segablate.render import print_report
    from segablate.results import load_report, load_run, read_description
    from segablate.tables.evaluation import View, evaluation_report
    from segablate.tables.stored import from_plain

    if read_description(run)["kind"] == "evaluation":
        saved = load_run(run)
        tolerances = measuring.tolerances if saved.boundary is not None else ()
        report = evaluation_report(saved, View(measuring.void_as_error, tolerances))
    else:
        report = from_plain(load_report(run))
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
