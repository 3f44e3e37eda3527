"""``segablate compare --trainings``: groups of saved runs, each group the trainings of one setting."""

from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segablate.cli.gate import differences_of_trainings, end_if_worse
from segablate.cli.invocation import command_line
from segablate.cli.options import MeasureOptions, ResultOptions
from segablate.cli.reporting import write_report
from segablate.errors import RunError, UsageError, shorten

if TYPE_CHECKING:
    from segablate.cli.commands.compare import ComparisonOptions
    from segablate.comparison.seeds import Groups
    from segablate.comparison.trainings import Grid, TrainingsComparison

_PANEL = "Trainings"


@dataclass(frozen=True)
class TrainingsOptions:
    """Options of comparing groups of trainings."""

    trainings: Annotated[
        bool,
        typer.Option(
            "--trainings",
            help="Compare groups of saved runs, one quoted pattern a group: 'runs/ce-*' 'runs/rmi-*'.",
            rich_help_panel=_PANEL,
        ),
    ] = False
    pair_by: Annotated[
        str | None,
        typer.Option(
            help="Regular expression that matches the seed in the name of a run; pairs runs with the same seed.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Also compare the IoU of each class.", rich_help_panel=_PANEL)
    ] = False

    def __post_init__(self) -> None:
        """UsageError for an option that needs --trainings without it."""
        for option, given in (("--pair-by", self.pair_by is not None), ("--per-class", self.per_class)):
            if given and not self.trainings:
                raise UsageError(f"{option} is for groups of trainings; add --trainings, or leave it out")


def compare_groups(
    patterns: Sequence[str],
    grouping: TrainingsOptions,
    comparing: "ComparisonOptions",
    measuring: MeasureOptions,
    output: ResultOptions,
) -> None:
    """Print the comparison of groups of saved runs, and save it if asked for.

    UsageError for an option that has no effect here.
    """
    from segablate.comparison.seeds import left_out, paired, unpaired
    from segablate.evaluation.runs import save_report
    from segablate.render import print_report
    from segablate.tables.stored import to_plain
    from segablate.tables.training_groups import groups_facts, groups_report
    from segablate.tables.trainings import training_scores

    _refuse_needless(comparing)
    comparing.refuse_early()
    groups = open_groups(patterns, shared_images=comparing.intersect)
    grid = unpaired(groups) if grouping.pair_by is None else paired(groups, grouping.pair_by)
    comparison = _compared(grid, grouping, comparing.group_by, measuring)
    report = groups_report(comparison, groups, left_out(groups, grid))
    if comparing.save is not None:
        facts = {**groups_facts(groups), "command": command_line(), "training_scores": training_scores(comparison)}
        save_report("comparison", to_plain(report), facts, comparing.save, {})
    if comparing.report is not None:
        from segablate.checkpoints import Loading
        from segablate.report.subject import compared

        subject = compared(report, {}, command_line(), training_scores(comparison))
        write_report(subject, comparing.report, Loading())
    print_report(report, output.format, wide=output.wide, brief=output.brief)
    end_if_worse(comparing.fail_if_worse, differences_of_trainings(comparison), aside=output.format != "rich")


def _refuse_needless(comparing: "ComparisonOptions") -> None:
    plain = type(comparing)()
    for name in ("on", "plot", "replicates", "seed", "write_errors"):
        if getattr(comparing, name) != getattr(plain, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} has no effect with --trainings, which compares saved runs without a bootstrap")


def _compared(
    grid: "Grid", grouping: TrainingsOptions, group_by: str | None, measuring: MeasureOptions
) -> "TrainingsComparison":
    """Return the comparison, at the tolerances asked for, else those of the runs."""
    from segablate.comparison import shared_tolerances
    from segablate.comparison.trainings import compare_trainings

    runs = {f"{name} {i}": run for name, row in grid.items() for i, run in enumerate(row) if run is not None}
    return compare_trainings(
        grid,
        tolerances=shared_tolerances(runs) if measuring.tolerance is None else measuring.tolerances,
        group_by=group_by,
        void_as_error=measuring.void_as_error,
        per_class=grouping.per_class,
        shared_seeds=grouping.pair_by is not None,
    )


def open_groups(patterns: Sequence[str], *, shared_images: bool) -> "Groups":
    """Load the saved runs that each pattern matches, by pattern, on the same images.

    With ``shared_images``, on the images that all of them have. UsageError for fewer than two patterns, a run in two
    groups, and patterns that match one run each, as the shell expands them; RunError for a pattern without a run, and
    for runs that cannot be compared.
    """
    from segablate.comparison import intersect, require_comparable
    from segablate.evaluation.results import load_run

    found = {pattern: _matched(pattern) for pattern in patterns}
    _require_groups(patterns, found)
    runs = {path: load_run(Path(path)) for paths in found.values() for path in paths}
    if not shared_images:
        require_comparable(runs)
    runs = intersect(runs)
    return {pattern: {path: runs[path] for path in paths} for pattern, paths in found.items()}


def _matched(pattern: str) -> list[str]:
    from segablate.evaluation.runs import is_run

    paths = sorted(glob(pattern, recursive=True))
    others = [path for path in paths if not is_run(Path(path))]
    if others:
        raise RunError(f"{pattern!r} matches {shorten(others)}, no saved run; give a pattern that matches only runs")
    if not paths:
        raise RunError(f"{pattern!r} matches nothing; give folders written by evaluate --save")
    return paths


def _require_groups(patterns: Sequence[str], found: dict[str, list[str]]) -> None:
    if len(patterns) < 2:
        raise UsageError(
            f"--trainings compares two or more groups, but got {len(patterns)}; as in: compare --trainings 'runs/ce-*' "
            "'runs/rmi-*'"
        )
    paths = [*patterns, *(path for pattern, matched in found.items() for path in matched if path != pattern)]
    twice = [path for path in paths if paths.count(path) > 1]
    if twice:
        raise UsageError(f"{twice[0]} is in two groups; a training belongs to one")
    if all(len(matched) == 1 for matched in found.values()):
        raise UsageError(
            "each pattern matches one run, and a group needs several trainings; quote the patterns, as in 'runs/ce-*', "
            "or leave out --trainings"
        )
