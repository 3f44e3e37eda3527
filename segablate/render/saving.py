"""Saving of reports as runs, with what they were made from."""

from collections.abc import Mapping
from pathlib import Path

from segablate.ablation.sweep import Ablation
from segablate.atlas.results import Atlas
from segablate.evaluation.results import Evaluation, evaluation_files
from segablate.evaluation.runs import npz, save_report
from segablate.render import render
from segablate.tables import Report
from segablate.tables.differences import LETTERS
from segablate.tables.evaluation import View, evaluation_report
from segablate.tables.stored import to_plain


def save_comparison(
    report: Report, runs: Mapping[str, Evaluation], path: Path, command: str = "", *, void_as_error: bool = False
) -> None:
    """Save the report of a comparison, and each run in a folder of its own: a, b, ... RunError where `path` exists.

    `command`: the command line that made it; empty from Python.
    """
    first = next(iter(runs.values()))
    facts = {
        "checkpoint": {"name": ", ".join(runs)},
        "dataset": {**first.facts["dataset"], "images": first.images},
        "command": command,
        "void_as_error": void_as_error,
    }
    inside = {}
    for letter, run in zip(LETTERS.lower(), runs.values(), strict=False):
        summary = render(evaluation_report(run, View()), "json")
        inside |= {f"{letter}/{name}": data for name, data in evaluation_files(run, summary).items()}
    save_report("comparison", to_plain(report), facts, path, inside)


def save_ablation(
    report: Report, ablation: Ablation, path: Path, command: str = "", files: Mapping[str, bytes] | None = None
) -> None:
    """Save the report of an ablation with its values per image, and further files. RunError where `path` exists.

    `command`: the command line that made it; empty from Python.
    """
    facts = {**ablation.run.facts, "loss": ablation.loss.name, "command": command}
    save_report(
        "ablation", to_plain(report), facts, path, {"values.npz": npz(ablation.arrays.items()), **(files or {})}
    )


def save_atlas(
    report: Report, atlas: Atlas, path: Path, command: str = "", files: Mapping[str, bytes] | None = None
) -> None:
    """Save the report of an atlas with what was measured per image, and further files. RunError where `path` exists.

    `command`: the command line that made it; empty from Python.
    """
    facts = {**atlas.run.facts, "losses": list(atlas.names), "command": command}
    save_report("atlas", to_plain(report), facts, path, {"atlas.npz": npz(atlas.arrays.items()), **(files or {})})
