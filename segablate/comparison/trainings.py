"""Trainings compared: settings, each trained several times, evaluated on the same images, against the first of them.

::

    grid = {"ce": [run_of_seed_0, run_of_seed_1, run_of_seed_2], "rmi": [run_of_seed_0, None, run_of_seed_2]}
    comparison = compare_trainings(grid, tolerances=(Tolerance(3),))
    comparison.results["miou"].settings[1].difference

Where column j of every row is seed j, differences are taken seed by seed; see
:mod:`segablate.statistics.shared_seeds`. Runs that no seed pairs are compared with ``shared_seeds=False``; see
:mod:`segablate.statistics.separate_seeds`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segablate.comparison.pairing import clusters, intersect, require_comparable
from segablate.comparison.scores import Measure, each_statistic, measures_of
from segablate.errors import RunError
from segablate.evaluation.results import Evaluation
from segablate.metrics.tolerance import Tolerance
from segablate.statistics.bootstrap import Floats, Resampling, by_cluster, by_image
from segablate.statistics.influences import Influences, influences
from segablate.statistics.multiplicity import holm
from segablate.statistics.separate_seeds import over_separate_seeds
from segablate.statistics.shared_seeds import over_shared_seeds
from segablate.statistics.trainings import Trainings, TrainingsResult

Grid = Mapping[str, Sequence[Evaluation | None]]
"""Trainings of each setting by its name, the baseline first; None for one that is missing or diverged."""

MEASURES = ("miou", "mean_recall", "boundary_f")
"""Keys of the measures compared unless others are asked for; ``boundary_f`` stands for that at every tolerance."""


@dataclass(frozen=True)
class TrainingsComparison:
    """k settings, the baseline first, C classes.

    - ``settings``: their names; ``seeds``: trainings of a setting, if none were missing; ``shared_seeds``: whether
      those in the same place share a seed.
    - ``classes``: of the label set; ``images``, ``clusters``: how many (equal without ``group_by``).
    - ``group_by``, ``void_as_error``: as asked for.
    - ``measures``, and for each by its key the scores of all trainings (k, S; nan where one is missing) and the
      ``results``.
    - ``iou``: the results for the IoU of each class where asked for, in the order of ``classes``, else none; in these,
      ``p_holm`` is corrected over all classes and settings together.
    """

    settings: tuple[str, ...]
    seeds: int
    shared_seeds: bool
    classes: tuple[str, ...]
    images: int
    clusters: int
    group_by: str | None
    void_as_error: bool
    measures: tuple[Measure, ...]
    scores: Mapping[str, Floats]
    results: Mapping[str, TrainingsResult]
    iou: tuple[TrainingsResult, ...] = ()


def compare_trainings(
    grid: Grid,
    *,
    measures: Collection[str] = MEASURES,
    tolerances: Sequence[Tolerance] = (),
    group_by: str | None = None,
    void_as_error: bool = False,
    per_class: bool = False,
    shared_seeds: bool = True,
) -> TrainingsComparison:
    """Compare every setting of ``grid`` with the first, over trainings and images.

    - ``measures``: keys of :func:`segablate.comparison.scores.measures_of`, such as ``miou``, ``boundary_f``,
      ``loss_ce``; those that not every run has are left out.
    - ``tolerances``: of the boundary F-scores.
    - ``group_by``: regular expression on image names; images with the same match are one cluster.
    - ``void_as_error``: predictions on void pixels count as false positives.
    - ``per_class``: the IoU of each class too.
    - ``shared_seeds``: whether trainings in the same place of two settings share a seed; rows are then of one length.

    RunError when runs are not of the same images and labels, or there is none; UsageError for a ``group_by`` that does
    not divide the images; KnobError for a tolerance beyond what was counted.
    """
    runs = _runs(grid)
    first = next(iter(runs.values()))
    plan = by_cluster(clusters(first.names, group_by)) if group_by else by_image(first.images)
    chosen = _chosen(measures_of(runs, tolerances), measures)
    keys = [measure.key for measure in chosen]
    found = _influences(runs, [*keys, *(["iou"] if per_class else [])], chosen, plan, void_as_error=void_as_error)
    rule = over_shared_seeds if shared_seeds else over_separate_seeds
    trainings = {key: _trainings(grid, found, key) for key in keys}
    of_classes = range(len(first.labels) if per_class else 0)
    return TrainingsComparison(
        settings=tuple(grid),
        seeds=max(map(len, grid.values())),
        shared_seeds=shared_seeds,
        classes=first.labels.names,
        images=first.images,
        clusters=plan.clusters,
        group_by=group_by,
        void_as_error=void_as_error,
        measures=chosen,
        scores={key: of_measure.score for key, of_measure in trainings.items()},
        results={key: rule(of_measure) for key, of_measure in trainings.items()},
        iou=_corrected_together([rule(_trainings(grid, found, "iou", c)) for c in of_classes]),
    )


def cell_name(setting: str, place: int) -> str:
    """Return the name, in messages, of the training of a setting in this place, from 0."""
    return f"{setting} (training {place + 1})"


def _runs(grid: Grid) -> dict[str, Evaluation]:
    """The trainings there are, by name, on the same images in the same order."""
    runs = {
        cell_name(setting, place): run
        for setting, row in grid.items()
        for place, run in enumerate(row)
        if run is not None
    }
    if not runs:
        raise RunError(f"none of {', '.join(grid)} has a finished training; there is nothing to compare")
    require_comparable(runs)
    return intersect(runs)


def _chosen(available: Sequence[Measure], keys: Collection[str]) -> tuple[Measure, ...]:
    return tuple(m for m in available if m.key in keys or (m.kind == "boundary" and "boundary_f" in keys))


def _influences(
    runs: Mapping[str, Evaluation],
    keys: Collection[str],
    measures: Sequence[Measure],
    plan: Resampling,
    *,
    void_as_error: bool,
) -> dict[str, dict[str, Influences]]:
    """Scores and influences by run, then by key, of one run after the other: their statistics are large."""
    found = {}
    for name, statistic in zip(runs, each_statistic(runs, measures, void_as_error=void_as_error), strict=True):
        of_run = influences(statistic, plan)
        found[name] = {key: of_run[key] for key in keys}
    return found


def _trainings(
    grid: Grid, found: Mapping[str, Mapping[str, Influences]], key: str, index: int | tuple[()] = ()
) -> Trainings:
    """One score of every training; ``index`` chooses the class of a score per class."""
    seeds, clusters = max(map(len, grid.values())), len(next(iter(found.values()))[key].influence)
    score, support = np.full((len(grid), seeds), np.nan), np.zeros((len(grid), seeds), np.int64)
    influence = np.zeros((len(grid), seeds, clusters))
    for row, setting in enumerate(grid):
        for place in range(len(grid[setting])):
            if (cell := found.get(cell_name(setting, place))) is not None:
                score[row, place], support[row, place] = cell[key].value[index], cell[key].support[index]
                influence[row, place] = cell[key].influence[:, index] if index != () else cell[key].influence
    bounds = next(iter(found.values()))[key].bounds
    return Trainings(score, influence, support, bounds)


def _corrected_together(of_classes: Sequence[TrainingsResult]) -> tuple[TrainingsResult, ...]:
    """The results with Holm's p over all classes and settings."""
    p = np.array([[setting.p for setting in result.settings] for result in of_classes])
    p_holm = holm(p.reshape(-1)).reshape(p.shape)
    return tuple(
        replace(result, settings=tuple(replace(s, p_holm=float(p)) for s, p in zip(result.settings, row, strict=True)))
        for result, row in zip(of_classes, p_holm, strict=True)
    )
