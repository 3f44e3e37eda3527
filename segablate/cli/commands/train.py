"""``segablate train``: a checkpoint from a network, a dataset and a recipe."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from segablate.cli.arguments import OptionalDataset, expand
from segablate.cli.building import build_command
from segablate.cli.checkpoint_options import CheckpointOptions
from segablate.cli.completion import networks, recipes
from segablate.cli.configuration import ConfigOptions
from segablate.cli.locking import lock_output
from segablate.cli.options import LABEL_SIZE, LabelSize, OutputOptions, RunningOptions, default_dataset
from segablate.cli.supervision import LABELS, labelled
from segablate.cli.trained_options import TrainSplitOption
from segablate.errors import UsageError

if TYPE_CHECKING:
    from segablate.training.recipe import SourcedRecipe
    from segablate.training.request import TrainingRequest
    from segablate.training.session import TrainingExecution

_PANEL, _RECIPE = "Training", "Recipe"

_NETWORK = Annotated[
    str,
    typer.Argument(help="A network without weights, or a checkpoint.", callback=expand, autocompletion=networks),
]

_FORMS = {
    **dict.fromkeys(("resize", "crop"), "HEIGHTxWIDTH"),
    **dict.fromkeys(("pad_colour", "mean", "std"), "R:G:B"),
    "scale": "LEAST:LARGEST",
}
"""How the values of fields that are several numbers are written."""


@dataclass(frozen=True)
class TrainOptions:
    """What is trained, and how it is kept."""

    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe by name, or a FILE.yaml; options below override it.",
            rich_help_panel=_PANEL,
            autocompletion=recipes,
        ),
    ] = None
    save: Annotated[
        Path | None,
        typer.Option(help="Folder of the training; by default in runs/, named after it.", rich_help_panel=_PANEL),
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was stopped.", rich_help_panel=_PANEL)
    ] = False
    seed: Annotated[
        int,
        typer.Option(help="Random seed for new weights, order, augmentation, dropout.", rich_help_panel=_PANEL, min=0),
    ] = 0
    train_split: TrainSplitOption = "train"
    holdout: Annotated[
        str,
        typer.Option(
            help="Validation on this share at the end of the train split, or on a split; 0: none.",
            rich_help_panel=_PANEL,
        ),
    ] = "0.1"
    labels: Annotated[str, typer.Option(help=LABELS, rich_help_panel=_PANEL)] = "full"
    label_size: Annotated[
        LabelSize | None,
        typer.Option(
            help=LABEL_SIZE,
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None
    validate_every: Annotated[
        int | None,
        typer.Option(help="Steps between validations; by default ten in all; 0: none.", rich_help_panel=_PANEL, min=0),
    ] = None
    encoder: Annotated[
        Path | None,
        typer.Option(help="Weights to start from where names and shapes fit.", rich_help_panel=_PANEL),
    ] = None
    part: Annotated[
        Literal["full", "head"], typer.Option(help="Train the network, or its classifier.", rich_help_panel=_PANEL)
    ] = "full"
    keep_head: Annotated[
        bool,
        typer.Option(
            "--keep-head", help="With --part head: start from the classifier's weights.", rich_help_panel=_PANEL
        ),
    ] = False
    state_every: Annotated[
        float, typer.Option(help="Seconds between states to resume from.", rich_help_panel=_PANEL, min=0)
    ] = 180.0
    log: Annotated[
        str | None,
        typer.Option(help="Also log to tensorboard, trackio, wandb or mlflow.", rich_help_panel=_PANEL),
    ] = None


def train(
    network: str,
    dataset: str | None,
    fields: Mapping[str, str],
    training: TrainOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Train and print what came of it."""
    from segablate.render import print_report
    from segablate.runtime import team
    from segablate.tables.training import training_report
    from segablate.training.recipe import open_recipe, refuse_code
    from segablate.training.request import TrainingRequest, split_holdout
    from segablate.training.session import train

    recipe, loading = _recipe(open_recipe, training.recipe, fields, training.part), checkpoints.loading(running)
    refuse_code(recipe, loading.trust_code)
    place = dataset or _dataset_of(network, recipe)
    data, holdout = split_holdout(place, training.train_split, training.holdout, training.label_size)
    _refuse_leak(recipe, training, holdout, place)
    data, labels = labelled(data, training.labels, running)
    request = TrainingRequest(
        network,
        data,
        recipe.recipe,
        training.seed,
        holdout if training.validate_every != 0 else None,
        training.part,
        training.keep_head,
        training.encoder,
        loading,
        labels,
    )
    folder = training.save or _folder(network, data.spec, recipe, training)
    lock_output(folder)
    if team().leads:  # the others may come when it has written already
        _check_folder(folder, training.resume)
    with _execution(request, training, running, folder) as execution:
        found = train(request, folder, execution)
    if team().leads:
        _trust(network, found.checkpoint)
        print_report(training_report(found, recipe), output.format, wide=output.wide)


def _trust(network: str, checkpoint: str) -> None:
    """Trust the card of a checkpoint whose network was typed: the Python it names is what has just run."""
    from segablate.checkpoints import Loading
    from segablate.checkpoints.sources.card import SUFFIXES, describe
    from segablate.checkpoints.trust import remember
    from segablate.files import Unwritable

    if network.startswith("python:") and checkpoint.endswith(SUFFIXES):
        card = describe(checkpoint, Loading()).loading.card
        with suppress(Unwritable):  # then evaluate says how to trust it
            if card is not None:
                remember(card)


def listed() -> None:
    """Stand in the list of commands for :func:`command`, whose options take time to collect."""


def command() -> Any:
    """Return the command, with an option for each field of a recipe."""
    from segablate.training.recipe import recipe_fields

    known = recipe_fields()

    def run(**given: Any) -> None:
        if given.pop("configuring").written(given.pop("ctx")):
            return
        fields = {name: text for name in known if (text := given.pop(f"field_{name}")) is not None}
        train(fields=fields, **given)

    arguments = {
        "network": (_NETWORK, "small"),
        "dataset": (OptionalDataset, None),
        **{f"field_{name}": (_field_option(name), None) for name in known},
    }
    groups = {
        "training": TrainOptions,
        "checkpoints": CheckpointOptions,
        "running": RunningOptions,
        "output": OutputOptions,
        "configuring": ConfigOptions,
    }
    without = {*known, "window", "stride", "flip", "batch_size", "on_error"}
    return build_command("train", run, HELP, arguments, groups, without)


HELP = escape(
    "Train a network on a dataset, deterministically under a seed, into a checkpoint for the other commands.\n\n"
    "A recipe sets the options under Recipe; segablate recipes list shows those of the papers. Without arguments: the "
    "small network on the sample data."
)


def _field_option(name: str) -> Any:
    from segablate.training.recipe import format_field, recipe_fields

    knob = recipe_fields()[name]
    expected = knob.expected() if knob.range.words or knob.kind.number is not str else "text"
    shown = f"{knob.help}: {expected}. Default {format_field(name, knob.default)}"
    form = _FORMS.get(name, "VALUE")
    option = typer.Option(knob.option, help=escape(shown), metavar=form, rich_help_panel=_RECIPE, show_default=False)
    return Annotated[str | None, option]


def _recipe(open_recipe: Any, name: str | None, fields: Mapping[str, str], part: str) -> "SourcedRecipe":
    from segablate.training.recipe import HEAD_RATE, SourcedRecipe, parse_field

    found = open_recipe(name) if name else SourcedRecipe("options")
    values = {field: parse_field(field, text) for field, text in fields.items()}
    if part == "head" and not name:
        values.setdefault("rate", HEAD_RATE)
    return found.overridden(values)


def _dataset_of(network: str, recipe: "SourcedRecipe") -> str:
    if recipe.dataset == "sample" or network == "small":
        return "sample"
    return default_dataset(network, f"train {network}")


def _refuse_leak(recipe: "SourcedRecipe", training: TrainOptions, holdout: Any, place: str) -> None:
    """UsageError where the best weights would be chosen on the split that evaluate reports."""
    from segablate.datasets import open_dataset

    if recipe.recipe.keep == "best" and holdout is not None and holdout.split != training.train_split:
        reported = open_dataset(place).split
        if holdout.split == reported:
            raise UsageError(
                f"--keep best on split {reported!r}, which evaluate reports, would leak it into the weights; hold out "
                f"a part of the train split, as in --holdout 0.1"
            )


def _folder(network: str, dataset: str, recipe: "SourcedRecipe", training: TrainOptions) -> Path:
    import re

    what = recipe.name if training.recipe else recipe.recipe.objective
    labels = [] if training.labels == "full" else [Path(training.labels).name]
    words = [network, dataset.partition(":")[0], what, *labels, f"seed{training.seed}"]
    return Path("runs", "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", word).strip("_") for word in words))


def _check_folder(folder: Path, resume: bool) -> None:
    """UsageError for a training that is under way in a folder, unless it is to go on."""
    from segablate.files import is_file
    from segablate.training.session import SUMMARY
    from segablate.training.states import has_states

    if is_file(folder / SUMMARY):
        if not resume:
            raise UsageError(
                f"{folder} holds a finished training; choose another --save, remove it, or print it again with --resume"
            )
        return
    if has_states(folder) and not resume:
        raise UsageError(f"{folder} holds a training that was stopped; pass --resume to go on, or remove it")
    if os.path.exists(folder) and not has_states(folder) and any(folder.iterdir()) and not resume:
        raise UsageError(f"{folder} is there already and holds something else; choose another --save")


@contextmanager
def _execution(
    request: "TrainingRequest", training: TrainOptions, running: RunningOptions, folder: Path
) -> "Iterator[TrainingExecution]":
    from segablate.render import training_progress
    from segablate.runtime import team
    from segablate.training.logging import open_log
    from segablate.training.session import TrainingExecution

    total = request.recipe.total(len(request.dataset))
    with (
        training_progress(total, request.recipe.batch, silent=not team().leads) as show,
        open_log(training.log if team().leads else None, folder, request) as log,
    ):

        def progress(step: int, numbers: Mapping[str, float]) -> None:
            show(step, numbers)
            if numbers:
                log(step, numbers)

        yield TrainingExecution(running.execution.workers, training.state_every, training.validate_every, progress)
