"""The surrogate found against others: each trained from scratch under several seeds, and reported on another split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segablate.comparison.trainings import MEASURES, TrainingsComparison, compare_trainings
from segablate.search.plan import objective_of
from segablate.search.rewards import COMPARED
from segablate.search.running import Found
from segablate.training.ablation import results_by_setting, runs_of
from segablate.training.sweep import CellResult, Sweep, SweepSetting

FOUND = "asl, found"
"""The name of the surrogate found."""


@dataclass(frozen=True)
class Retrained:
    """A sweep of trainings that has ended: what came of each cell by setting, and the comparison with cross entropy."""

    sweep: Sweep
    cells: Mapping[str, Sequence[CellResult | None]]
    comparison: TrainingsComparison


def settings_of(found: Found) -> tuple[SweepSetting, ...]:
    """Return what is trained: cross entropy, Lovász, the published parameters, those found."""
    metric = found.search.metric
    return (
        SweepSetting("ce", "ce"),
        SweepSetting("lovasz", "lovasz"),
        SweepSetting("asl, published", objective_of(metric)),
        SweepSetting(FOUND, objective_of(metric, found.theta)),
    )


def gather_retrained(found: Found, sweep: Sweep, folder: Path, group_by: str | None = None) -> Retrained:
    """Compare the trainings of a finished sweep. RunError where no cell of it has a run."""
    cells = results_by_setting(sweep, folder)
    measures = (*MEASURES, COMPARED[found.search.metric])
    comparison = compare_trainings(
        runs_of(cells), measures=measures, tolerances=sweep.tolerances, group_by=group_by, shared_seeds=True
    )
    return Retrained(sweep, cells, comparison)
