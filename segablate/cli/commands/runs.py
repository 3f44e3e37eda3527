"""``segablate runs``: the saved runs in a folder."""

from pathlib import Path
from typing import Annotated

import typer

from segablate.cli.options import OutputOptions


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder with saved runs.")] = Path("runs"),
    *,
    output: OutputOptions,
) -> None:
    """List the saved runs in a folder."""
    from segablate.render import print_report
    from segablate.tables.runs import runs_report

    print_report(runs_report(folder), output.format, wide=output.wide)
