"""What a page is about: the report that the terminal prints, and the evaluations it was made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from segablate.comparison import Method, compare, intersect, shared_tolerances
from segablate.errors import RunError, UsageError
from segablate.evaluation.results import Evaluation, load_run
from segablate.evaluation.runs import is_run, load_report, read_description
from segablate.tables import Report
from segablate.tables.comparison import comparison_report
from segablate.tables.differences import LETTERS
from segablate.tables.evaluation import View, evaluation_report
from segablate.tables.stored import from_plain

Kind = Literal["evaluation", "comparison", "ablation"]

Runs = Mapping[str, Evaluation]
"""Evaluations by the letter of each; one alone has an empty name."""

Seeds = Mapping[str, Sequence[Sequence[float | None]]]
"""Table -> for each of its rows the scores of its trainings, shares; None for one that is missing."""


SWEPT = "ablation"
"""The folder, in that of a sweep of trainings, with its report."""


@dataclass(frozen=True)
class Subject:
    """What a page is about.

    - `report`: the tables, as the terminal prints them; `runs`: the evaluations.
    - `seeds`: scores of single trainings.
    - `command`: the command line that made it; `void_as_error`: the convention of the report.
    """

    kind: Kind
    report: Report
    runs: Runs = field(default_factory=dict)
    seeds: Seeds = field(default_factory=dict)
    command: str = ""
    void_as_error: bool = False


def evaluated(run: Evaluation, report: Report | None = None, *, void_as_error: bool = False) -> Subject:
    """Return an evaluation as a subject; without a report, at the tolerances of the run."""
    report = report or evaluation_report(run, View(void_as_error, shared_tolerances({"": run})))
    return Subject("evaluation", report, {"": run}, command=_command(run.facts), void_as_error=void_as_error)


def compared(
    report: Report, runs: Runs, command: str = "", seeds: Seeds | None = None, *, void_as_error: bool = False
) -> Subject:
    """Return a comparison as a subject; `runs` are those compared by name, in order, perhaps with further images."""
    shared = intersect(runs) if runs else {}
    lettered = dict(zip(LETTERS, shared.values(), strict=False))
    return Subject("comparison", report, lettered, seeds or {}, command, void_as_error)


def ablated(report: Report, run: Evaluation | None, command: str = "", seeds: Seeds | None = None) -> Subject:
    """Return an ablation as a subject; `run`: the evaluation of the fixed checkpoint, where there is one."""
    return Subject("ablation", report, {"": run} if run is not None else {}, seeds or {}, command)


def read_subject(paths: Sequence[Path]) -> Subject:
    """Read saved runs: one of any kind, or several evaluations, which are compared.

    RunError for a folder that is no run, or damaged; UsageError for runs that no page holds together.
    """
    paths = [path / SWEPT if is_run(path / SWEPT) and not is_run(path) else path for path in paths]
    kinds = [read_description(path)["kind"] for path in paths]
    if len(paths) == 1:
        return evaluated(load_run(paths[0])) if kinds[0] == "evaluation" else _saved(paths[0], kinds[0])
    for path, kind in zip(paths, kinds, strict=True):
        if kind != "evaluation":
            raise UsageError(f"{path} is a saved {kind}, which has a page of its own; several runs must be evaluations")
        if list(paths).count(path) > 1:
            raise UsageError(f"{path} is given twice; name each run once")
    if len(paths) > len(LETTERS):
        raise UsageError(f"a page compares at most {len(LETTERS)} runs, but {len(paths)} were given")
    runs = {str(path): load_run(path) for path in paths}
    comparison = compare(runs, Method(tolerances=shared_tolerances(runs)))
    return compared(comparison_report(comparison, runs), runs)


def _saved(path: Path, kind: str) -> Subject:
    """Read a saved comparison or ablation, with the evaluations inside it."""
    if kind not in ("comparison", "ablation"):
        raise RunError(
            f"{path} is a saved {kind}, of which there is no page; name an evaluation, comparison or ablation"
        )
    report, facts = from_plain(load_report(path, kind)), read_description(path)["facts"]
    if kind == "ablation":
        run = load_run(path / "run") if is_run(path / "run") else None
        return ablated(report, run, _command(facts), _seeds(facts))
    inside = [path / letter for letter in LETTERS.lower() if is_run(path / letter)]
    runs = {each.name: load_run(each) for each in inside}
    void = facts.get("void_as_error") is True
    return compared(report, runs, _command(facts), _seeds(facts), void_as_error=void)


def _command(facts: Mapping[str, Any]) -> str:
    return str(facts.get("command", ""))


def _seeds(facts: Mapping[str, Any]) -> Seeds:
    """Return the scores of trainings that a saved ablation keeps. RunError for what are no scores."""
    try:
        return {
            str(table): [[None if score is None else float(score) for score in row] for row in rows]
            for table, rows in facts.get("training_scores", {}).items()
        }
    except (AttributeError, TypeError, ValueError):
        raise RunError("the saved report is damaged: its scores of trainings are none; create the run again") from None
