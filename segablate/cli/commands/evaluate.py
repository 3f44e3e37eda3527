"""``segablate evaluate``: evaluate a checkpoint on a dataset."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from segablate.cli.arguments import OptionalDataset, checkpoint_argument
from segablate.cli.checkpoint_options import CheckpointOptions
from segablate.cli.configuration import ConfigOptions
from segablate.cli.invocation import with_command
from segablate.cli.locking import lock_output
from segablate.cli.options import (
    CacheOptions,
    DatasetOptions,
    MeasureOptions,
    ResultOptions,
    RunningOptions,
    default_dataset,
)
from segablate.cli.output import printing_after
from segablate.cli.reporting import ReportOption, refuse_page, write_report
from segablate.cli.swapped import refuse_swapped
from segablate.cli.viewing import CountingOptions, ViewingOptions


def evaluate(
    ctx: typer.Context,
    checkpoint: Annotated[
        str, checkpoint_argument("Checkpoint, card or SOURCE:...; see `segablate checkpoints list`.")
    ] = "sample:ce",
    dataset: OptionalDataset = None,
    *,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Save the run to this new folder; pieces are written beside it meanwhile.",
            rich_help_panel="Output",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="With --save: continue an interrupted run.",
            rich_help_panel="Output",
        ),
    ] = False,
    write_predictions: Annotated[
        Path | None,
        typer.Option(
            help="Write the predicted label maps to this new folder, as PNG of the dataset's codes.",
            rich_help_panel="Output",
        ),
    ] = None,
    write_errors: Annotated[
        Path | None,
        typer.Option(
            help="Write error maps and overlays of all images to this new folder, as PNG.",
            rich_help_panel="Output",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Plot reliability diagrams to this PNG, SVG or PDF.", rich_help_panel="Output"),
    ] = None,
    report: ReportOption = None,
    measuring: MeasureOptions,
    counting: CountingOptions,
    viewing: ViewingOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    caching: CacheOptions,
    output: ResultOptions,
    configuring: ConfigOptions,
) -> None:
    """Evaluate a checkpoint on a dataset: recall, precision, IoU and boundary F per class, mIoU, losses, calibration.

    Without arguments: a sample checkpoint on the sample data.
    """
    from segablate.evaluation.pieces import remove_pieces
    from segablate.evaluation.results import save_run
    from segablate.evaluation.session import Persistence, evaluate_checkpoint
    from segablate.freed_memory import return_freed_memory
    from segablate.render import print_report, render
    from segablate.runtime import team

    if configuring.written(ctx):
        return
    refuse_swapped("evaluate", checkpoint, dataset)
    keeping = Persistence(not caching.no_cache, save, resume, write_predictions, write_errors)
    lock_output(save)
    keeping.refuse_early()
    refuse_page(report)
    viewing.check(measuring)
    if plot is not None:
        from segablate.plots import require_drawing

        require_drawing(plot)
        measuring = replace(measuring, calibration=True)
    counts = counting.counts(measuring, viewing)
    name = dataset or default_dataset(checkpoint, "evaluate CHECKPOINT DATASET")
    request, loading = replace(measuring.request, counts=counts), checkpoints.loading(running)
    run = evaluate_checkpoint(checkpoint, images.open(name), request, loading, running.execution, keeping)
    if not team().leads:
        return
    return_freed_memory()
    run = with_command(run)
    printed = viewing.report(run, measuring, measuring.tolerances)
    with printing_after(lambda: print_report(printed, output.format, wide=output.wide, brief=output.brief)):
        if save is not None:
            whole = ViewingOptions().report(run, measuring, measuring.tolerances)
            save_run(run, save, render(whole, "json"))
            remove_pieces(save)
        if plot is not None:
            from segablate.plots import draw_reliability

            draw_reliability(run, plot)
        if report is not None:
            from segablate.report.subject import evaluated

            plain = ViewingOptions(details=viewing.details).report(run, measuring, measuring.tolerances)
            write_report(evaluated(run, plain, void_as_error=measuring.void_as_error), report, loading)
