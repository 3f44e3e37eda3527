"""``segablate compare``: compare checkpoints, predictions or saved runs on the same images."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segablate.cli import completion
from segablate.cli.arguments import expand, expand_all
from segablate.cli.checkpoint_options import CheckpointOptions
from segablate.cli.configuration import ConfigOptions
from segablate.cli.gate import check_limit, differences_of_runs, end_if_worse
from segablate.cli.invocation import command_line, with_command
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
from segablate.cli.swapped import refuse_datasets, refuse_python, refuse_url
from segablate.cli.trainings import TrainingsOptions, compare_groups
from segablate.errors import RunError, UsageError

if TYPE_CHECKING:
    from segablate.comparison import Method
    from segablate.evaluation.results import Evaluation

_PANEL = "Comparison"
MOST = 26  # each run is called by a letter


@dataclass(frozen=True)
class ComparisonOptions:
    """Options of pairing, resampling and output."""

    on: Annotated[
        str | None,
        typer.Option(
            help="Dataset on which to evaluate what is not a saved run: LAYOUT:DIRECTORY, or sample.",
            rich_help_panel=_PANEL,
            callback=expand,
            autocompletion=completion.datasets,
        ),
    ] = None
    intersect: Annotated[
        bool, typer.Option("--intersect", help="Compare on the images that all runs have.", rich_help_panel=_PANEL)
    ] = False
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Regular expression on image names; images with the same match (or first group) are resampled "
            "together, as for frames of one video.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    replicates: Annotated[
        int, typer.Option(help="Number of bootstrap replicates.", min=100, rich_help_panel=_PANEL)
    ] = 10_000
    seed: Annotated[int, typer.Option(help="Random seed of the bootstrap.", min=0, rich_help_panel=_PANEL)] = 0
    time: Annotated[
        bool,
        typer.Option("--time", help="Measure the time per image of all checkpoints, in turns.", rich_help_panel=_PANEL),
    ] = False
    save: Annotated[
        Path | None, typer.Option(help="Save the comparison and its runs to this new folder.", rich_help_panel="Output")
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(help="Plot the differences of the classes to this PNG, SVG or PDF.", rich_help_panel="Output"),
    ] = None

    report: ReportOption = None
    write_errors: Annotated[
        Path | None,
        typer.Option(
            help="Write error maps and overlays as PNG to this new folder, a folder in it for each run: a, b, ...",
            rich_help_panel="Output",
        ),
    ] = None
    fail_if_worse: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="End with exit code 3 where the 95 % CI of the difference of mIoU from A is below minus this many "
            "points, as in 0.5.",
            rich_help_panel="Output",
        ),
    ] = None

    def method(self, runs: "Mapping[str, Evaluation]", measuring: MeasureOptions) -> "Method":
        """Return the options of the comparison, at the tolerances asked for, else those of the runs."""
        from segablate.comparison import Method, shared_tolerances

        tolerances = measuring.tolerances if measuring.tolerance is not None else shared_tolerances(runs)
        return Method(measuring.void_as_error, tolerances, self.replicates, self.seed, self.group_by)

    def refuse_early(self) -> None:
        """Raise before the work for an output that could not be written after it."""
        from segablate.evaluation.runs import refuse_existing
        from segablate.plots import require_drawing

        check_limit(self.fail_if_worse)
        for taken in (self.save, self.write_errors):
            if taken is not None:
                refuse_existing(taken)
        if self.plot is not None:
            require_drawing(self.plot)
        refuse_page(self.report)


def compare(
    ctx: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B [C ...]",
            help="Saved runs, checkpoints, cards or predictions:DIR.",
            callback=expand_all,
            autocompletion=completion.checkpoints,
        ),
    ] = None,
    *,
    comparing: ComparisonOptions,
    grouping: TrainingsOptions,
    measuring: MeasureOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    caching: CacheOptions,
    output: ResultOptions,
    configuring: ConfigOptions,
) -> None:
    """Compare checkpoints, predictions or saved runs on the same images, with paired statistics.

    Prints differences in mIoU, mean recall, pixel accuracy, boundary F and losses with paired bootstrap confidence
    intervals; differences per class with corrected p-values; and the confusions and images that changed most. Three or
    more runs are ranked. Without arguments: two of the sample checkpoints. With --trainings: groups of saved runs,
    each the trainings of one setting.
    """
    if configuring.written(ctx):
        return
    if grouping.trainings:
        compare_groups(runs or [], grouping, comparing, measuring, output)
        return
    from segablate.comparison import compare, intersect, require_comparable
    from segablate.evaluation.session import Persistence, evaluate_checkpoint, times_in_turns
    from segablate.freed_memory import return_freed_memory
    from segablate.render import print_report
    from segablate.render.saving import save_comparison
    from segablate.runtime import team
    from segablate.tables.comparison import comparison_report

    lock_output(comparing.save)
    comparing.refuse_early()
    names = _checked(runs or ["sample:ce", "sample:weighted"], comparing.on)
    found = _saved(names)
    if comparing.time and found:
        raise UsageError(f"--time needs checkpoints, but {next(iter(found))} is a saved run; leave out --time")
    if comparing.write_errors is not None and found:
        raise UsageError(
            f"--write-errors needs predictions, but {next(iter(found))} is a saved run, which has none; give its "
            f"checkpoint, or leave out --write-errors"
        )
    if len(found) > 1 and not comparing.intersect:
        require_comparable(found)  # before anything is evaluated
    loading = checkpoints.loading(running)
    for letter, name in zip("abcdefghijklmnopqrstuvwxyz", names, strict=False):
        if name not in found:
            errors = None if comparing.write_errors is None else comparing.write_errors / letter
            keeping = Persistence(not caching.no_cache, errors=errors)
            data = images.open(comparing.on or default_dataset(name, "compare A B --on DATASET"))
            run = evaluate_checkpoint(name, data, measuring.request, loading, running.execution, keeping)
            found[name] = with_command(run)
    if not team().leads:
        return
    found = {name: found[name] for name in names}
    found = intersect(found) if comparing.intersect else found
    times = None
    if comparing.time:
        data = images.open(comparing.on or default_dataset(names[0], "compare A B --on DATASET"))
        times = times_in_turns(names, data, loading, running.batch_size)
    return_freed_memory()
    comparison = compare(found, comparing.method(found, measuring), times)
    report = comparison_report(comparison, found)
    with printing_after(lambda: print_report(report, output.format, wide=output.wide, brief=output.brief)):
        if comparing.save is not None:
            save_comparison(report, found, comparing.save, command_line(), void_as_error=measuring.void_as_error)
        if comparing.plot is not None:
            from segablate.plots import draw_differences

            draw_differences(comparison, comparing.plot)
        if comparing.report is not None:
            from segablate.report.subject import compared

            subject = compared(report, found, command_line(), void_as_error=measuring.void_as_error)
            write_report(subject, comparing.report, loading)
    end_if_worse(comparing.fail_if_worse, differences_of_runs(comparison), aside=output.format != "rich")


def _checked(names: list[str], on: str | None) -> list[str]:
    """Return the names to compare.

    UsageError for too few or too many, for one given twice, for a dataset among them and for a needless --on; RunError
    for a path that does not exist.
    """
    from segablate.evaluation.runs import is_run

    for name in names:
        refuse_url(name)
        refuse_python(name)
    refuse_datasets(names, on)
    if not 2 <= len(names) <= MOST:
        raise UsageError(
            f"compare takes 2 to {MOST} runs or checkpoints, but {len(names)} given. Usage: segablate compare A B"
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(
            f"{twice[0]} is given twice; to compare it under other options, save each with evaluate --save"
        )
    absent = [name for name in names if ":" not in name and not os.path.exists(name)]
    if absent:
        raise RunError(f"{absent[0]}: no such run, checkpoint or card; check the path, or give SOURCE:...")
    if on is not None and all(is_run(Path(name)) for name in names):
        raise UsageError(f"--on {on} has no effect: {', '.join(names)} are saved runs; leave it out")
    return names


def _saved(names: list[str]) -> "dict[str, Evaluation]":
    """Load the names that are saved runs."""
    from segablate.evaluation.results import load_run
    from segablate.evaluation.runs import is_run

    return {name: load_run(Path(name)) for name in names if is_run(Path(name))}
