"""``segablate losses``: list the losses, or print one in detail."""

from typing import Annotated

import typer

from segablate.cli.completion import losses
from segablate.cli.options import OutputOptions, expanded

app = typer.Typer(help="List the losses, or show one in detail.", no_args_is_help=True)


def list_losses(*, output: OutputOptions) -> None:
    """List the losses with their hyperparameters and published objectives."""
    from segablate.render import print_report
    from segablate.tables.catalogue import losses_report

    print_report(losses_report(), output.format, wide=output.wide)


def show(
    name: Annotated[str, typer.Argument(help="Loss, or python:package.module:function.", autocompletion=losses)],
    *,
    output: OutputOptions,
) -> None:
    """Show one loss: formula, hyperparameters with ranges and grids, paper, objective, declared exceptions."""
    from dataclasses import replace

    from segablate.losses import get_loss
    from segablate.render import print_report
    from segablate.tables.catalogue import loss_report, sections

    loss = get_loss(name)
    report = loss_report(loss)
    if output.format != "rich":
        told = tuple(f"{heading}: {text}" for heading, text in sections(loss))
        print_report(replace(report, notes=(*report.notes, *told)), output.format)
        return
    print_report(report, wide=output.wide)
    for heading, text in sections(loss):
        typer.echo(f"\n{heading}\n" + "\n".join(f"  {line}".rstrip() for line in text.splitlines()))


app.command("list")(expanded(list_losses))
app.command("show")(expanded(show))
