"""The scores that are compared, as functions of image weights, so that all of them see the same replicates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segablate.comparison.pairing import Runs
from segablate.errors import at
from segablate.evaluation.results import Evaluation
from segablate.metrics import asl_edges
from segablate.metrics.bands import STATISTIC as BAND_COUNTS
from segablate.metrics.boundary import boundary_sums
from segablate.metrics.calibration import RELIABILITY
from segablate.metrics.confusion import class_counts
from segablate.metrics.tolerance import Tolerance
from segablate.statistics.bootstrap import Floats, Statistic
from segablate.statistics.loss_bounds import bounds_of_objective
from segablate.statistics.scores import (
    band_scores,
    boundary_scores,
    calibration_scores,
    edge_scores,
    means,
    near_edge_scores,
    region_scores,
)

REGIONS = {
    "miou": "mIoU",
    "mean_recall": "mean recall",
    "pixel_accuracy": "pixel accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
}


@dataclass(frozen=True)
class Measure:
    """A score of a whole set: of regions or boundaries, in 0..1, higher is better; of calibration or a loss, lower."""

    key: str
    title: str
    kind: Literal["region", "boundary", "edges", "calibration", "loss"]
    tolerance: Tolerance | None = None

    @property
    def less_is_better(self) -> bool:
        """Whether the lower of two values is the better one."""
        return self.kind in ("calibration", "loss")


ASL_EDGES = {
    asl_edges.NEAR: Measure("iou_near_edges", "IoU near edges (Auto Seg-Loss)", "edges"),
    asl_edges.EDGES: Measure("edge_f", "edge F (Auto Seg-Loss)", "edges"),
}
"""The measures of :mod:`segablate.metrics.asl_edges` by the name of their counts."""

_OF_EDGES = {asl_edges.NEAR: near_edge_scores, asl_edges.EDGES: edge_scores}


@dataclass(frozen=True)
class Method:
    """Options of a comparison.

    - `void_as_error`: predictions on void pixels count as false positives.
    - `tolerances`: tolerances of the boundary F-scores.
    - `replicates`, `seed`: number and seed of the bootstrap replicates.
    - `group_by`: a regular expression on image names; images with the same match are resampled together.
    """

    void_as_error: bool = False
    tolerances: tuple[Tolerance, ...] = ()
    replicates: int = 10_000
    seed: int = 0
    group_by: str | None = None


def measures_of(runs: Runs, tolerances: Sequence[Tolerance]) -> tuple[Measure, ...]:
    """Return the measures that every run has: region scores, boundary F at each tolerance, edges, ECE, losses."""
    regions = [Measure(key, title, "region") for key, title in REGIONS.items()]
    bounded = all(run.boundary is not None for run in runs.values())
    boundaries = [_boundary_measure(tolerance) for tolerance in tolerances if bounded]
    edges = [measure for statistic, measure in ASL_EDGES.items() if all_have(runs, statistic)]
    errors = [Measure("ece", "ECE", "calibration")] if all_have(runs, RELIABILITY) else []
    losses = [Measure(f"loss_{name}", name, "loss") for name in shared_losses(runs)]
    return (*regions, *boundaries, *edges, *errors, *losses)


def all_have(runs: Runs, statistic: str) -> bool:
    """Whether every run keeps this statistic."""
    return all(statistic in run.statistics for run in runs.values())


def shared_losses(runs: Runs) -> list[str]:
    """Return the names of the losses that every run has, in the order of the first."""
    first, *others = runs.values()
    return [name for name in first.values if all(name in other.values for other in others)]


def shared_tolerances(runs: Runs) -> tuple[Tolerance, ...]:
    """Return the tolerances that were asked for in some run and were counted in all."""
    stated = [text for run in runs.values() for text in run.facts["measures"]["tolerances"]]
    counts = [run.boundary for run in runs.values()]
    tolerances = [Tolerance.parse(text) for text in dict.fromkeys(stated)]
    return tuple(t for t in tolerances if all(count is not None and count.answers(t) for count in counts))


def statistics_of(runs: Runs, measures: Sequence[Measure], *, void_as_error: bool) -> list[Statistic]:
    """Return for each run the statistic of every measure (B,) and of "iou" (B, C).

    Where all runs counted by distance from the boundary, "band_accuracy" (B, bands) is included. A loss is the mean
    over the images where all runs have a finite value. Raises KnobError, naming the run, for a tolerance beyond what
    was counted.
    """
    return list(each_statistic(runs, measures, void_as_error=void_as_error))


def each_statistic(runs: Runs, measures: Sequence[Measure], *, void_as_error: bool) -> Iterator[Statistic]:
    """Those of :func:`statistics_of`, one after the other."""
    defined = {name: images_with(runs, name) for name in shared_losses(runs)}
    banded = all_have(runs, BAND_COUNTS)
    for name, run in runs.items():
        with at(name):
            of_measures = _statistic(run, measures, defined, void_as_error)
        yield _both(of_measures, band_scores(run.statistics[BAND_COUNTS])) if banded else of_measures


def images_with(runs: Runs, loss: str) -> NDArray[np.bool_]:
    """Return the images where all runs have a finite value of a loss, (N,)."""
    return np.all([np.isfinite(run.values[loss]) for run in runs.values()], axis=0)


def _statistic(
    run: Evaluation, measures: Sequence[Measure], defined: dict[str, NDArray[np.bool_]], void_as_error: bool
) -> Statistic:
    regions = region_scores(class_counts(run.confusion, void_as_error=void_as_error))
    boundaries = {
        measure.key: boundary_scores(boundary_sums(run.boundary, measure.tolerance))
        for measure in measures
        if measure.tolerance is not None and run.boundary is not None
    }
    edges = [_OF_EDGES[name](run.statistics[name]) for name, each in ASL_EDGES.items() if each in measures]
    calibration = calibration_scores(run.statistics) if any(m.kind == "calibration" for m in measures) else None
    losses = {
        measure.key: means(np.where(defined[m], run.values[m], np.nan), bounds=bounds_of_objective(m))
        for measure in measures
        if measure.kind == "loss"
        for m in [measure.title]
    }

    def scores(weights: Floats) -> dict[str, Floats]:
        of_regions = regions(weights)
        return {
            **{key: of_regions[key] for key in (*REGIONS, "iou")},
            **{key: boundary(weights)["mean_boundary_f"] for key, boundary in boundaries.items()},
            **{key: value for of_edges in edges for key, value in of_edges(weights).items()},
            **({"ece": calibration(weights)["ece"][:, 0]} if calibration else {}),
            **{key: mean(weights)["mean"] for key, mean in losses.items()},
        }

    bounds = {
        **{key: regions.bounds[key] for key in (*REGIONS, "iou")},
        **{key: boundary.bounds["mean_boundary_f"] for key, boundary in boundaries.items()},
        **{key: each for of_edges in edges for key, each in of_edges.bounds.items()},
        **({"ece": calibration.bounds["ece"]} if calibration else {}),
        **{key: mean.bounds["mean"] for key, mean in losses.items()},
    }
    return Statistic(scores, bounds)


def _both(first: Statistic, second: Statistic) -> Statistic:
    return Statistic(lambda weights: first(weights) | second(weights), {**first.bounds, **second.bounds})


def _boundary_measure(tolerance: Tolerance) -> Measure:
    key = f"boundary_f_{tolerance}".replace(".", "_")
    return Measure(key, f"boundary F @{tolerance}{'' if tolerance.of_diagonal else 'px'}", "boundary", tolerance)
