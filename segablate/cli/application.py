"""The application: all commands of the command line."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from segablate import __version__
from segablate.cli.commands import (
    ablate,
    atlas,
    checkpoints,
    compare,
    datasets,
    doctor,
    evaluate,
    losses,
    recipes,
    report,
    runs,
    search,
    show,
    train,
    train_edges,
)
from segablate.cli.options import expanded


class Commands(TyperGroup):
    """The commands; the options of ``train``, which are those of a recipe, are collected when it is called."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """Return the name and the command of the first word, and the other words."""
        if args[0] == "train":
            return args[0], train.command(), args[1:]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="segablate",
    cls=Commands,
    help="Evaluate, compare and ablate semantic-segmentation checkpoints and losses.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"segablate {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Evaluate, compare and ablate semantic-segmentation checkpoints and losses."""


app.command("evaluate")(expanded(evaluate.evaluate))
app.add_typer(ablate.app, name="ablate")
app.command("atlas")(expanded(atlas.atlas))
app.command("train", help=train.HELP)(train.listed)
app.command("search")(expanded(search.search))
app.command("compare")(expanded(compare.compare, without=("boundary_iou", "error_kinds")))
app.command("report")(expanded(report.report))
app.command("show")(expanded(show.show))
app.command("runs")(expanded(runs.runs))
app.command("train-edges")(expanded(train_edges.train_edges))
app.add_typer(recipes.app, name="recipes")
app.add_typer(losses.app, name="losses")
app.add_typer(datasets.app, name="datasets")
app.add_typer(checkpoints.app, name="checkpoints")
app.command("doctor")(expanded(doctor.doctor))
