"""``segablate evaluate``: a checkpoint and a dataset in, tables of scores out."""

from pathlib import Path
from typing import Annotated

import typer

from segablate.cli.measuring import default_dataset, measured
from segablate.cli.options import CheckpointOptions, DatasetOptions, MeasureOptions, OutputOptions, RunningOptions
from segablate.cli.viewing import CountingOptions, ViewingOptions


def evaluate(
    checkpoint: Annotated[
        str, typer.Argument(help="A checkpoint, a card, or SOURCE:...; see `segablate checkpoints list`.")
    ] = "sample:ce",
    dataset: Annotated[str | None, typer.Argument(help="LAYOUT:DIRECTORY, or sample.")] = None,
    *,
    save: Annotated[
        Path | None, typer.Option(help="Keep the run in this new folder.", rich_help_panel="Output")
    ] = None,
    write_predictions: Annotated[
        Path | None,
        typer.Option(
            help="Write the predicted label maps into this new folder, as PNG of the dataset's codes.",
            rich_help_panel="Output",
        ),
    ] = None,
    measuring: MeasureOptions,
    counting: CountingOptions,
    viewing: ViewingOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Evaluate a checkpoint on a dataset: recall, precision, IoU and boundary F per class, mIoU, losses.

    Without arguments, a checkpoint and a dataset that come with the package.
    """
    from segablate.render import print_report, render
    from segablate.results import save_run
    from segablate.runs import refuse_existing

    for taken in (save, write_predictions):
        if taken is not None:
            refuse_existing(taken)
    viewing.check(measuring)
    counts = counting.counts(measuring, viewing)
    data = images.open(dataset or default_dataset(checkpoint, f"evaluate {checkpoint}"))
    run = measured(checkpoint, data, measuring, checkpoints, running, write_predictions, counts)
    report = viewing.report(run, measuring, measuring.tolerances)
    if save is not None:
        whole = ViewingOptions().report(run, measuring, measuring.tolerances)
        save_run(run, save, render(whole, "json"))
    print_report(report, output.format, wide=output.wide)
