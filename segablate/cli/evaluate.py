"""``segablate evaluate``: a checkpoint and a dataset in, tables of scores out."""

from pathlib import Path
from typing import Annotated

import typer

from segablate.cli.options import CheckpointOptions, DatasetOptions, MeasureOptions, OutputOptions, RunningOptions
from segablate.errors import UsageError


def evaluate(
    checkpoint: Annotated[
        str, typer.Argument(help="A checkpoint, a card, or SOURCE:...; see `segablate checkpoints list`.")
    ] = "sample:ce",
    dataset: Annotated[
        str | None, typer.Argument(help="LAYOUT:DIRECTORY, or sample; see `segablate datasets list`.")
    ] = None,
    *,
    save: Annotated[
        Path | None, typer.Option(help="Keep the run in this new folder.", rich_help_panel="Output")
    ] = None,
    images: DatasetOptions,
    measured: MeasureOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Evaluate a checkpoint on a dataset: recall, precision, IoU and boundary F per class, mIoU, losses.

    Without arguments, a checkpoint and a dataset that come with the package.
    """
    from segablate.checkpoints import open_checkpoint
    from segablate.evaluation import evaluate
    from segablate.render import print_report, progress, render
    from segablate.results import save_run
    from segablate.runs import refuse_existing
    from segablate.tables.evaluation import View, evaluation_report

    if save is not None:
        refuse_existing(save)
    tolerances = measured.tolerances()
    data = images.open(dataset or _default_dataset(checkpoint))
    segmenter = open_checkpoint(checkpoint, checkpoints.loading(running))
    measures = measured.measures(segmenter)
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
    report = evaluation_report(run, View(measured.void_as_error, tolerances))
    if save is not None:
        save_run(run, save, render(report, "json"))
    print_report(report, output.format, wide=output.wide)


def _default_dataset(checkpoint: str) -> str:
    if checkpoint.startswith("sample:"):
        return "sample"
    raise UsageError(
        f"which dataset is {checkpoint} to be evaluated on? as in: segablate evaluate {checkpoint} folder:DIR"
    )
