"""``segablate ablate LOSS``: one sub-command for each loss, built from its signature when it is asked for.

Neither ``--help`` nor ``ablate --help`` imports torch: names and summaries are read from the text of the loss files.
"""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from segablate.cli.options import (
    CheckpointOptions,
    DatasetOptions,
    OutputOptions,
    RunningOptions,
    default_dataset,
    expanded,
)
from segablate.losses import loss_names, loss_summaries

if TYPE_CHECKING:
    from segablate.losses import Loss
    from segablate.objective.knobs import Knob

_PANEL = "Ablation"


class AblateGroup(TyperGroup):
    """The losses as sub-commands: listed without being imported, built when one is called."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Names of the losses."""
        return list(loss_names())

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | None:  # type: ignore[override]
        """A stand-in with the summary, for listing."""
        summary = loss_summaries().get(cmd_name)
        return None if summary is None else TyperCommand(cmd_name, help=escape(summary), short_help=escape(summary))

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """The command that runs the loss, with an option for each knob; ObjectiveError for an unknown loss."""
        from segablate.losses import get_loss

        return args[0], _command(get_loss(args[0])), args[1:]


app = typer.Typer(
    cls=AblateGroup,
    no_args_is_help=True,
    help="One loss under several settings, on one forward pass. A user's own loss: python:package.module.function.",
)


@app.callback()
def group() -> None:
    """One loss under several settings, on one forward pass. A user's own loss: python:package.module.function."""


@dataclass(frozen=True)
class SweepOptions:
    """What is tried, and what is measured of it."""

    every: Annotated[
        bool, typer.Option("--all", help="Every knob over its grid, one at a time.", rich_help_panel=_PANEL)
    ] = False
    per_class: Annotated[
        bool, typer.Option("--per-class", help="What each class contributes, too.", rich_help_panel=_PANEL)
    ] = False
    objective: Annotated[
        str | None,
        typer.Option(help="The weighted sum in place of the published one: 'ce + 0.5*rmi'.", rich_help_panel=_PANEL),
    ] = None
    boundary_tolerance: Annotated[
        str, typer.Option(help="At which boundary F ranks the images: 3 or 0.0075d.", rich_help_panel=_PANEL)
    ] = "3"
    no_gradients: Annotated[
        bool, typer.Option("--no-gradients", help="Values only; several times quicker.", rich_help_panel=_PANEL)
    ] = False
    no_cost: Annotated[bool, typer.Option("--no-cost", help="Leave out time and memory.", rich_help_panel=_PANEL)] = (
        False
    )
    save: Annotated[
        Path | None, typer.Option(help="Keep the ablation in this new folder.", rich_help_panel="Output")
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw value, correlation and cost into this PNG or SVG.", rich_help_panel="Output"),
    ] = None


def ablate(
    loss: "Loss",
    knobs: dict[str, str],
    checkpoint: str,
    dataset: str | None,
    sweep: SweepOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Run the sweep and print it."""
    from segablate.ablation.session import AblationRequest, ablate_checkpoint
    from segablate.ablation.sweep import plan_settings
    from segablate.evaluation.runs import npz, refuse_existing, save_report
    from segablate.metrics.tolerance import Tolerance
    from segablate.render import print_report
    from segablate.runtime import team
    from segablate.tables.ablation import ablation_report
    from segablate.tables.stored import to_plain

    given = {name: loss.knobs[name].parse_list(text, as_option=True) for name, text in knobs.items()}
    settings = plan_settings(loss, given, sweep.every)
    tolerance = Tolerance.parse(sweep.boundary_tolerance)
    if sweep.save is not None:
        refuse_existing(sweep.save)
    if sweep.plot is not None:
        from segablate.plots import require_drawing

        require_drawing(sweep.plot)
    data = images.open(dataset or default_dataset(checkpoint, f"ablate {loss.name} {checkpoint}"))
    asked = AblationRequest(loss, settings, sweep.objective, tolerance, not sweep.no_gradients, not sweep.no_cost)
    found = ablate_checkpoint(checkpoint, data, asked, checkpoints.loading(running), running.execution)
    if not team().leads:
        return
    report = ablation_report(found, tolerance, sweep.per_class)
    if sweep.save is not None:
        facts, arrays = {**found.run.facts, "loss": loss.name}, {"values.npz": npz(found.arrays)}
        save_report("ablation", to_plain(report), facts, sweep.save, arrays)
    print_report(report, output.format, wide=output.wide)
    if sweep.plot is not None:
        from segablate.plots import draw_ablation

        draw_ablation(report, sweep.plot)


def _command(loss: "Loss") -> Any:
    """The sub-command of a loss. Options of the checkpoint whose name a knob has are left to cards."""

    def command(**given: Any) -> None:
        knobs = {name: text for name in loss.knobs if (text := given.pop(name)) is not None}
        ablate(loss, knobs, **given)

    parameters = [
        _parameter("checkpoint", _CHECKPOINT, "sample:ce"),
        _parameter("dataset", _DATASET, None),
        *(_parameter(name, _knob_option(knob), None) for name, knob in loss.knobs.items()),
        *(_parameter(name, group) for name, group in _GROUPS.items()),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    single = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    single.command(loss.name, help=_help(loss))(expanded(command, without=loss.knobs))
    return typer.main.get_command(single)


_CHECKPOINT = Annotated[str, typer.Argument(help="A checkpoint, a card, or SOURCE:...")]
_DATASET = Annotated[str | None, typer.Argument(help="LAYOUT:DIRECTORY, or sample.")]
_GROUPS = {
    "sweep": SweepOptions,
    "images": DatasetOptions,
    "checkpoints": CheckpointOptions,
    "running": RunningOptions,
    "output": OutputOptions,
}


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _knob_option(knob: "Knob") -> Any:
    """An option that takes one value or several with commas."""
    grid = ",".join(knob.format(value) for value in knob.grid)
    meaning = f"{knob.help + ': ' if knob.help else ''}{knob.expected()}. Default {knob.format(knob.default)}"
    meaning += f"; grid {grid}" if grid else ""
    option = typer.Option(
        knob.option, help=escape(meaning), metavar="LIST", rich_help_panel="Knobs", show_default=False
    )
    return Annotated[str | None, option]


def _help(loss: "Loss") -> str:
    knobs = "Knobs given: those settings against the published default, several lists as a grid. None: every knob."
    return escape(f"{loss.summary}\n\nPublished objective: {loss.objective}. {knobs}")
