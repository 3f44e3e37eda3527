"""Options of ``ablate LOSS --train``: whether and how each setting is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segablate.cli.completion import recipes
from segablate.cli.options import split_name
from segablate.cli.supervision import LABELS
from segablate.errors import UsageError

if TYPE_CHECKING:
    from segablate.losses import Loss
    from segablate.metrics.tolerance import Tolerance

_PANEL = "Training"


RecipeOption = Annotated[
    str | None,
    typer.Option(help="Recipe by name, or a FILE.yaml.", rich_help_panel=_PANEL, autocompletion=recipes),
]
FieldOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="A field of the recipe, as in rate=0.01; repeatable.", rich_help_panel=_PANEL),
]
TrainSplitOption = Annotated[str, typer.Option(help="Split to train on.", rich_help_panel=_PANEL, callback=split_name)]
GroupOption = Annotated[
    str | None,
    typer.Option(help="Regular expression on image names that groups dependent images.", rich_help_panel=_PANEL),
]
EngineOption = Annotated[Literal["local", "ray"], typer.Option(help="What runs the trainings.", rich_help_panel=_PANEL)]
ProcessesOption = Annotated[
    int,
    typer.Option(help="Processes of the local engine; 0: one for each GPU or core.", rich_help_panel=_PANEL, min=0),
]
ThreadsOption = Annotated[
    int, typer.Option(help="Threads of each training; part of the plan.", rich_help_panel=_PANEL, min=1)
]
RayOption = Annotated[str | None, typer.Option(help="Address of a Ray cluster.", rich_help_panel=_PANEL)]


@dataclass(frozen=True)
class TrainedOptions:
    """Whether and how each setting is trained."""

    train: Annotated[
        Literal["head", "full"] | None,
        typer.Option(help="Train every setting: the classifier alone, or the full network.", rich_help_panel=_PANEL),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option(help="Steps of each training; by default 100 for the head.", rich_help_panel=_PANEL, min=1),
    ] = None
    seeds: Annotated[str, typer.Option(help="Number of seeds, or comma-separated seeds.", rich_help_panel=_PANEL)] = "3"
    weight: Annotated[
        str | None,
        typer.Option(help="Comma-separated weights of the loss in the objective.", rich_help_panel=_PANEL),
    ] = None
    against: Annotated[
        str | None,
        typer.Option(help="Comma-separated objectives to train too, as in 'ce,focal'.", rich_help_panel=_PANEL),
    ] = None
    recipe: RecipeOption = None
    set_: FieldOption = None
    train_split: TrainSplitOption = "train"
    labels: Annotated[str, typer.Option(help=LABELS, rich_help_panel=_PANEL)] = "full"
    ceiling: Annotated[
        bool,
        typer.Option(
            "--ceiling", help="With --labels: also train the first row from full labels.", rich_help_panel=_PANEL
        ),
    ] = False
    keep_head: Annotated[
        bool,
        typer.Option("--keep-head", help="With --train head: keep the classifier's weights.", rich_help_panel=_PANEL),
    ] = False
    group_by: GroupOption = None
    budget: Annotated[
        str | None,
        typer.Option(help="Time for all trainings, as in 30m or 2h: sets the steps.", rich_help_panel=_PANEL),
    ] = None
    cells: Annotated[
        str | None, typer.Option(help="Run a share of the trainings, as in 3/8.", rich_help_panel=_PANEL)
    ] = None
    engine: EngineOption = "local"
    processes: ProcessesOption = 0
    threads: ThreadsOption = 1
    ray_address: RayOption = None

    def __post_init__(self) -> None:
        """UsageError for full labels beside full labels."""
        if self.ceiling and self.labels == "full":
            raise UsageError("--ceiling adds a row from full labels to one from others; add --labels, or leave it out")

    def refuse_without_training(self) -> None:
        """UsageError for an option that acts on trainings, where none is asked for."""
        for field in fields(self) if self.train is None else ():
            value = getattr(self, field.name)
            if value != field.default and (value or field.default):  # no values of --set may be [] or None
                option = "--" + field.name.strip("_").replace("_", "-")
                raise UsageError(f"{option} is for trainings; add --train head or --train full")


@dataclass(frozen=True)
class TrainedRequest:
    """What the command line asked for beside the options of trainings."""

    loss: "Loss"
    knobs: Mapping[str, str]
    checkpoint: str
    dataset: str | None
    every: bool
    objective: str | None
    tolerance: "Tolerance"
    per_class: bool
    save: Path | None
    plot: Path | None
    gradient_images: int | None
    page: Path | None = None
