"""``segablate compare``: is B really better than A, and where?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segablate.cli.measuring import default_dataset, measured
from segablate.cli.options import CheckpointOptions, DatasetOptions, MeasureOptions, OutputOptions, RunningOptions
from segablate.errors import UsageError

if TYPE_CHECKING:
    from segablate.results import Evaluation

_PANEL = "Comparison"


def compare(
    systems: Annotated[
        list[str] | None,
        typer.Argument(metavar="A B [C ...]", help="Saved runs, checkpoints, cards or predictions:DIR."),
    ] = None,
    *,
    on: Annotated[str | None, typer.Option(help="The dataset on which what is no saved run is evaluated.")] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Regular expression on names: images whose match is the same are drawn together.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    intersect: Annotated[
        bool, typer.Option("--intersect", help="Compare over the images that all have.", rich_help_panel=_PANEL)
    ] = False,
    replicates: Annotated[int, typer.Option(help="Draws of the bootstrap.", min=100, rich_help_panel=_PANEL)] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", rich_help_panel=_PANEL)] = 0,
    save: Annotated[
        Path | None, typer.Option(help="Keep the comparison in this new folder.", rich_help_panel="Output")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the differences of the classes into this PNG or SVG.", rich_help_panel="Output"),
    ] = None,
    measuring: MeasureOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Compare checkpoints, predictions or saved runs on the same images.

    Differences of mIoU, mean recall, boundary F and losses with paired bootstrap intervals of the score of the set, per
    class with p corrected for their number, and where they differ. Without arguments: the two sample checkpoints.
    """
    from segablate.comparison import How, compare
    from segablate.comparison import intersect as intersected
    from segablate.render import print_report
    from segablate.results import refuse_existing, save_report
    from segablate.tables.comparison import comparison_report
    from segablate.tables.stored import to_plain

    if save is not None:
        refuse_existing(save)
    if plot is not None:
        from segablate.plots import require_drawing

        require_drawing(plot)
    specs = systems or ["sample:ce", "sample:weighted"]
    if not 2 <= len(specs) <= 26:
        raise UsageError(f"compare takes two or more systems, but got {len(specs)}; as in: segablate compare A B")
    runs = [_run(spec, on, measuring, images, checkpoints, running) for spec in specs]
    runs = intersected(runs) if intersect else runs
    how = How(measuring.tolerances, measuring.void_as_error, group_by, replicates, seed)
    comparison = compare(runs, how)
    report = comparison_report(comparison)
    if save is not None:
        facts = {"checkpoint": {"name": " ".join(run.title for run in runs)}, "dataset": runs[0].facts["dataset"]}
        save_report("comparison", to_plain(report), facts, save)
    print_report(report, output.format, wide=output.wide)
    if plot is not None:
        from segablate.plots import draw_differences

        draw_differences(comparison.pairs[0], plot)


def _run(
    spec: str,
    on: str | None,
    measuring: MeasureOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
) -> "Evaluation":
    """A saved run, or the evaluation of what the specification names."""
    from segablate.results import is_run, load_run

    if is_run(Path(spec)):
        return load_run(Path(spec))
    data = images.open(on or default_dataset(spec, f"compare {spec} ... --on"))
    return measured(spec, data, measuring, checkpoints, running)
