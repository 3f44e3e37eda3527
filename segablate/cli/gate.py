"""``compare --fail-if-worse``: an exit code that says whether a run is worse than the first, for CI of models."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import TYPE_CHECKING, NoReturn

import typer

from segablate.errors import RunError, UsageError, in_points

if TYPE_CHECKING:
    from segablate.comparison import Comparison
    from segablate.comparison.trainings import TrainingsComparison

WORSE = 3
"""Exit code where a run is worse."""


@dataclass(frozen=True)
class Difference:
    """The difference in mIoU of a run from the first, in shares, with its 95 % CI; nan where there is none."""

    name: str
    value: float
    low: float
    high: float


def differences_of_runs(comparison: "Comparison") -> list[Difference]:
    """Return the difference of each later run from the first."""
    from segablate.tables.differences import LETTERS

    found = []
    for pair in comparison.pairs:
        if pair.a == 0:
            change = pair.measures["miou"].change
            ends = float(change.percentile.low), float(change.percentile.high)
            found.append(Difference(f"{LETTERS[pair.b]} − A", float(change.value), *ends))
    return found


def differences_of_trainings(comparison: "TrainingsComparison") -> list[Difference]:
    """Return the difference of each later group of trainings from the first."""
    baseline, *others = comparison.settings
    results = comparison.results["miou"].settings[1:]
    pairs = zip(others, results, strict=True)
    return [Difference(f"{name} − {baseline}", found.difference, found.low, found.high) for name, found in pairs]


def check_limit(points: float | None) -> None:
    """Raise UsageError, before the work, for a limit that is not a number of points from 0 on."""
    if points is not None and not (isfinite(points) and 0 <= points <= 100):
        raise UsageError(f"--fail-if-worse is {points:g}, but must be between 0 and 100 points of mIoU, as in 0.5")


def end_if_worse(points: float | None, differences: Sequence[Difference], *, aside: bool) -> None:
    """Print as the last line whether a run is worse by more than the limit, and end with exit code 3 if so.

    :param points: the limit in points; None: nothing is tested. A run is worse where the whole 95 % CI of its
        difference is below minus the limit.
    :param aside: print to standard error, for standard output is read by a program.

    Raises RunError where no run is worse and a difference has no interval, so that nothing passes untested.
    """
    if points is None:
        return
    worse = [found for found in differences if found.high < -points / 100]
    untested = [found for found in differences if isnan(found.high)]
    if worse:
        _end(f"worse by more than {points:g} points of mIoU: {'; '.join(map(_described, worse))}", points, aside=aside)
    if untested:
        raise RunError(
            f"--fail-if-worse {points:g}: {', '.join(found.name for found in untested)} has no 95 % CI in mIoU, so it "
            f"cannot be tested; evaluate more images"
        )
    seen = "; ".join(map(_described, differences))
    typer.echo(f"--fail-if-worse {points:g}: passed, {seen}", err=aside)


def _end(reason: str, points: float, *, aside: bool) -> NoReturn:
    typer.echo(f"--fail-if-worse {points:g}: failed, {reason}", err=aside)
    raise typer.Exit(WORSE)


def _described(found: Difference) -> str:
    value, low, high = map(in_points, (found.value, found.low, found.high))
    return f"{found.name} = {value} (95 % CI {low} to {high})"
