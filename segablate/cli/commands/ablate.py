"""``segablate ablate LOSS``: one sub-command per loss, built from its signature when it is called.

Neither ``--help`` nor ``ablate --help`` imports torch: names and summaries are read from the source of the losses.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from segablate.cli.arguments import Checkpoint, OptionalDataset
from segablate.cli.building import build_command
from segablate.cli.checkpoint_options import CheckpointOptions
from segablate.cli.configuration import ConfigOptions
from segablate.cli.invocation import command_line
from segablate.cli.locking import lock_output
from segablate.cli.options import DatasetOptions, ResultOptions, RunningOptions, count_or_all, default_dataset
from segablate.cli.output import printing_after
from segablate.cli.reporting import ReportOption, refuse_page, write_report
from segablate.cli.swapped import refuse_swapped
from segablate.cli.sweeps import ablate_trained
from segablate.cli.trained import run_files
from segablate.cli.trained_options import TrainedOptions, TrainedRequest
from segablate.losses import loss_names, loss_summaries

if TYPE_CHECKING:
    from segablate.losses import Loss
    from segablate.objective.knobs import Knob

_PANEL = "Ablation"


class AblateGroup(TyperGroup):
    """A group with the losses as sub-commands, which are listed without being imported."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names of the losses."""
        return list(loss_names())

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | None:  # type: ignore[override]
        """Return a placeholder with the summary, for the list."""
        summary = loss_summaries().get(cmd_name)
        return None if summary is None else TyperCommand(cmd_name, help=escape(summary), short_help=escape(summary))

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """Return the command of a loss, with an option for each hyperparameter; ObjectiveError for an unknown loss."""
        from segablate.losses import get_loss

        return args[0], _command(get_loss(args[0])), args[1:]


app = typer.Typer(
    cls=AblateGroup,
    no_args_is_help=True,
    help="Evaluate one loss under several settings on one forward pass. Your own loss: python:package.module:function.",
)


@app.callback()
def group() -> None:
    """Evaluate one loss under several settings on one forward pass. Your own loss: python:package.module:function."""


@dataclass(frozen=True)
class SweepOptions:
    """Options of the settings and what is measured of them."""

    every: Annotated[
        bool,
        typer.Option("--all", help="Vary every hyperparameter over its grid, one at a time.", rich_help_panel=_PANEL),
    ] = False
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Add the contribution of each class.", rich_help_panel=_PANEL)
    ] = False
    objective: Annotated[
        str | None,
        typer.Option(help="Objective in place of the published one: 'ce + 0.5*rmi'.", rich_help_panel=_PANEL),
    ] = None
    boundary_tolerance: Annotated[
        str,
        typer.Option(help="Tolerance of the boundary F that ranks the images: 3 or 0.0075d.", rich_help_panel=_PANEL),
    ] = "3"
    no_gradients: Annotated[
        bool, typer.Option("--no-gradients", help="Compute values only; several times faster.", rich_help_panel=_PANEL)
    ] = False
    gradient_images: Annotated[
        str,
        typer.Option(
            help="Measure gradients on N evenly spaced images, or all.", metavar="N|all", rich_help_panel=_PANEL
        ),
    ] = "24"
    no_cost: Annotated[bool, typer.Option("--no-cost", help="Leave out time and memory.", rich_help_panel=_PANEL)] = (
        False
    )
    save: Annotated[
        Path | None, typer.Option(help="Save the ablation to this new folder.", rich_help_panel="Output")
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(help="Plot value, correlation and cost to this PNG, SVG or PDF.", rich_help_panel="Output"),
    ] = None
    report: ReportOption = None


def ablate(
    loss: "Loss",
    knobs: dict[str, str],
    checkpoint: str,
    dataset: str | None,
    sweep: SweepOptions,
    trained: TrainedOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: ResultOptions,
) -> None:
    """Run an ablation and print its report."""
    from segablate.ablation.session import AblationRequest, ablate_checkpoint
    from segablate.ablation.sweep import plan_settings
    from segablate.evaluation.runs import refuse_existing
    from segablate.metrics.tolerance import Tolerance
    from segablate.render import print_report
    from segablate.render.saving import save_ablation
    from segablate.runtime import team
    from segablate.tables.ablation import ablation_report

    refuse_swapped(f"ablate {loss.name}", checkpoint, dataset)
    trained.refuse_without_training()
    few = count_or_all("--gradient-images", sweep.gradient_images, "; --no-gradients leaves them out")
    refuse_page(sweep.report)
    if trained.train is not None:
        tolerance = Tolerance.parse(sweep.boundary_tolerance)
        asked = TrainedRequest(
            loss,
            knobs,
            checkpoint,
            dataset,
            sweep.every,
            sweep.objective,
            tolerance,
            sweep.per_class,
            sweep.save,
            sweep.plot,
            few,
            sweep.report,
        )
        ablate_trained(asked, trained, images, checkpoints, running, output)
        return
    given = {name: loss.knobs[name].parse_list(text, as_option=True) for name, text in knobs.items()}
    settings = plan_settings(loss, given, sweep.every)
    tolerance = Tolerance.parse(sweep.boundary_tolerance)
    lock_output(sweep.save)
    if sweep.save is not None:
        refuse_existing(sweep.save)
    if sweep.plot is not None:
        from segablate.plots import require_drawing

        require_drawing(sweep.plot)
    data = images.open(dataset or default_dataset(checkpoint, f"ablate {loss.name} CHECKPOINT DATASET"))
    measured = not sweep.no_gradients, not sweep.no_cost, few
    asked = AblationRequest(loss, settings, sweep.objective, tolerance, *measured)
    loading = checkpoints.loading(running)
    found = ablate_checkpoint(checkpoint, data, asked, loading, running.execution)
    if not team().leads:
        return
    report = ablation_report(found, tolerance, sweep.per_class)
    with printing_after(lambda: print_report(report, output.format, wide=output.wide, brief=output.brief)):
        if sweep.save is not None:
            save_ablation(report, found, sweep.save, command_line(), run_files(found.run))
        if sweep.plot is not None:
            from segablate.plots import draw_ablation

            draw_ablation(report, sweep.plot)
        if sweep.report is not None:
            from segablate.report.subject import ablated

            write_report(ablated(report, found.run, command_line()), sweep.report, loading)


def _command(loss: "Loss") -> Any:
    """Build the sub-command of a loss, without checkpoint options that have the name of a hyperparameter."""

    def command(**given: Any) -> None:
        if given.pop("configuring").written(given.pop("ctx")):
            return
        knobs = {name: text for name in loss.knobs if (text := given.pop(name)) is not None}
        ablate(loss, knobs, **given)

    arguments = {
        "checkpoint": (Checkpoint, "sample:ce"),
        "dataset": (OptionalDataset, None),
        **{name: (_knob_option(knob), None) for name, knob in loss.knobs.items()},
    }
    return build_command(loss.name, command, _help(loss), arguments, _GROUPS, without=loss.knobs)


_GROUPS = {
    "sweep": SweepOptions,
    "trained": TrainedOptions,
    "images": DatasetOptions,
    "checkpoints": CheckpointOptions,
    "running": RunningOptions,
    "output": ResultOptions,
    "configuring": ConfigOptions,
}


def _knob_option(knob: "Knob") -> Any:
    """Return an option that takes one or more comma-separated values."""
    grid = ",".join(knob.format(value) for value in knob.grid)
    meaning = f"{knob.help + ': ' if knob.help else ''}{knob.expected()}. Default {knob.format(knob.default)}"
    meaning += f"; grid: {grid}" if grid else ""
    option = typer.Option(
        knob.option, help=escape(meaning), metavar="LIST", rich_help_panel="Hyperparameters", show_default=False
    )
    return Annotated[str | None, option]


def _help(loss: "Loss") -> str:
    swept = (
        "Hyperparameters given: their values against the published default, several lists as a grid. None given: every "
        "hyperparameter over its grid."
    )
    return escape(f"{loss.summary}\n\nPublished objective: {loss.objective}. {swept}")
