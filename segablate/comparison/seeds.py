"""Saved runs of several trainings as a grid, by seed where a regular expression finds it in the names of the runs."""

import re
from collections import Counter
from collections.abc import Mapping

from segablate.comparison.trainings import Grid
from segablate.errors import UsageError, shorten
from segablate.evaluation.results import Evaluation

Groups = Mapping[str, Mapping[str, Evaluation]]
"""Runs of each setting by the setting's name, each by its own name; the baseline first."""


def unpaired(groups: Groups) -> Grid:
    """Return the runs of each setting in their order; those in the same place share nothing."""
    return {setting: tuple(runs.values()) for setting, runs in groups.items()}


def paired(groups: Groups, pattern: str) -> Grid:
    """Order the runs by seed: what the regular expression matches in their names, or its first group.

    A setting that lacks a seed which two others have has None in that place; a seed that only one setting has pairs
    nothing and is left out (see :func:`left_out`). UsageError for a malformed expression, a name without a
    match, a seed that a setting has twice, and seeds of which none is shared with the baseline.
    """
    expression = _compiled(pattern)
    rows = {setting: _by_seed(setting, runs, expression) for setting, runs in groups.items()}
    (baseline, first), *others = rows.items()
    if not any(first.keys() & row.keys() for _, row in others):
        raise UsageError(
            f"--pair-by {pattern!r} matches no seed that {baseline} ({shorten(first)}) shares with another group "
            f"({others[0][0]}: {shorten(others[0][1])}); give a regular expression that matches the seed alone"
        )
    uses = Counter(seed for row in rows.values() for seed in row)
    return {setting: tuple(row.get(seed) for seed in uses if uses[seed] > 1) for setting, row in rows.items()}


def left_out(groups: Groups, grid: Grid) -> list[str]:
    """Return the names of the runs that have no place in a grid of these groups."""
    return [
        name
        for setting, runs in groups.items()
        for name, run in runs.items()
        if not any(run is placed for placed in grid[setting])
    ]


def repeated(groups: Groups) -> list[tuple[str, str]]:
    """Return pairs of runs of one group with the same confusion counts on every image: perhaps one training."""
    pairs = []
    for runs in groups.values():
        seen: dict[tuple[bytes, ...], str] = {}
        for name, run in runs.items():
            columns = (run.confusion.image, run.confusion.label, run.confusion.predicted, run.confusion.pixels)
            first = seen.setdefault(tuple(column.tobytes() for column in columns), name)
            pairs += [(first, name)] if first != name else []
    return pairs


def _by_seed(setting: str, runs: Mapping[str, Evaluation], expression: re.Pattern[str]) -> dict[str, Evaluation]:
    row: dict[str, Evaluation] = {}
    names: dict[str, str] = {}
    for name, run in runs.items():
        match = expression.search(name)
        if match is None:
            raise UsageError(
                f"--pair-by {expression.pattern!r} matches nothing in {name}; give a regular expression that "
                f"matches the seed in the name of every run"
            )
        seed = match[1 if expression.groups else 0] or ""
        if seed in row:
            raise UsageError(
                f"--pair-by {expression.pattern!r} matches {seed!r} in {names[seed]} and in {name}, both of {setting}; "
                f"give a regular expression that distinguishes the seeds of a group"
            )
        row[seed], names[seed] = run, name
    return row


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--pair-by {pattern!r} is not a regular expression: {error}") from None
