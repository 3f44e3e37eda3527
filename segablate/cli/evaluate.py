"""``segablate evaluate``: a checkpoint and a dataset in, tables of scores out."""

from pathlib import Path
from typing import Annotated

import typer

from segablate.cli.options import CheckpointOptions, DatasetOptions, OutputOptions, RunningOptions, tolerances
from segablate.errors import UsageError


def evaluate(
    checkpoint: Annotated[
        str, typer.Argument(help="A checkpoint, a card, or SOURCE:...; see `segablate checkpoints list`.")
    ] = "sample:ce",
    dataset: Annotated[
        str | None, typer.Argument(help="LAYOUT:DIRECTORY, or sample; see `segablate datasets list`.")
    ] = None,
    *,
    losses: Annotated[
        str,
        typer.Option(help="Losses to compute, with commas, or all; none computes no loss.", rich_help_panel="Measures"),
    ] = "ce",
    tolerance: Annotated[
        str,
        typer.Option(
            help="Boundary tolerances with commas: pixels (3) or a share of the diagonal (0.0075d); or none.",
            rich_help_panel="Measures",
        ),
    ] = "3",
    void_as_error: Annotated[
        bool,
        typer.Option(
            "--void-as-error",
            help="Predictions on void pixels count as false positives.",
            rich_help_panel="Measures",
        ),
    ] = False,
    save: Annotated[
        Path | None, typer.Option(help="Keep the run in this new folder.", rich_help_panel="Output")
    ] = None,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Evaluate a checkpoint on a dataset: recall, precision, IoU and boundary F per class, mIoU, losses.

    Without arguments, a checkpoint and a dataset that come with the package.
    """
    from segablate.checkpoints import open_checkpoint
    from segablate.evaluation import Measures, evaluate
    from segablate.render import print_report, progress, render
    from segablate.results import refuse_existing, save_run
    from segablate.tables.evaluation import View, evaluation_report

    if save is not None:
        refuse_existing(save)
    distances = tolerances(tolerance)
    data = images.open(dataset or _default_dataset(checkpoint))
    segmenter = open_checkpoint(checkpoint, checkpoints.loading(running))
    measures = Measures(chosen_losses(losses) if not segmenter.on_host else {}, distances)
    with progress(len(data), "evaluating") as advance:
        run = evaluate(
            segmenter,
            data,
            measures,
            batch_size=running.batch_size,
            workers=running.processes,
            on_error=running.on_error,
            progress=advance,
        )
    report = evaluation_report(run, View(void_as_error, distances))
    if save is not None:
        save_run(run, save, render(report, "json"))
    print_report(report, output.format, wide=output.wide)


def _default_dataset(checkpoint: str) -> str:
    if checkpoint.startswith("sample:"):
        return "sample"
    raise UsageError(
        f"which dataset is {checkpoint} to be evaluated on? as in: segablate evaluate {checkpoint} folder:DIR"
    )


def chosen_losses(text: str) -> dict:
    """The terms that ``--losses`` names, by name."""
    from segablate.losses import get_loss, loss_names

    if text == "none":
        return {}
    names = loss_names() if text == "all" else [name.strip() for name in text.split(",") if name.strip()]
    return {name: get_loss(name) for name in names}
