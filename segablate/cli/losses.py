"""``segablate losses``: the catalogue, and one loss in full."""

from typing import Annotated

import typer

from segablate.cli.options import OutputOptions, expanded

app = typer.Typer(help="The losses: their formulas, knobs, papers and published objectives.", no_args_is_help=True)


def list_losses(output: OutputOptions) -> None:
    """All losses: what they are, their knobs with defaults, and the objectives their authors train with."""
    from segablate.render import print_report
    from segablate.tables.catalogue import losses_report

    print_report(losses_report(), output.format, wide=output.wide)


def show(
    loss: Annotated[str, typer.Argument(help="A loss, or python:package.module.function.")],
    *,
    output: OutputOptions,
) -> None:
    """One loss: formula, knobs with ranges and grids, paper, objective, and where it differs from the authors' code."""
    from segablate.losses import get_loss
    from segablate.render import print_report
    from segablate.tables.catalogue import loss_report

    print_report(loss_report(get_loss(loss)), output.format, wide=output.wide)


app.command("list")(expanded(list_losses))
app.command("show")(expanded(show))
