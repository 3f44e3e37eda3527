"""What ``ablate --train`` keeps beside its trainings, and its page."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from segablate.cli.invocation import command_line, with_command
from segablate.cli.reporting import write_report

if TYPE_CHECKING:
    from segablate.checkpoints import Loading
    from segablate.evaluation.results import Evaluation
    from segablate.tables import Report
    from segablate.training.ablation import TrainedAblation


def keep_trained(report: "Report", found: "TrainedAblation", folder: Path) -> None:
    """Save the report in the folder of the sweep, in place of that of an earlier call."""
    from segablate.evaluation.runs import save_report
    from segablate.report.subject import SWEPT
    from segablate.tables.stored import to_plain
    from segablate.tables.trainings import training_scores

    request, reported = found.sweep.request, found.sweep.reported
    facts = {
        "checkpoint": {"name": request.network},
        "dataset": {"name": reported.spec, "split": reported.split, "images": len(reported)},
        "loss": found.name,
        "command": command_line(),
        "training_scores": training_scores(found.comparison),
    }
    place = folder / SWEPT
    shutil.rmtree(place, ignore_errors=True)
    save_report("ablation", to_plain(report), facts, place, run_files(found.fixed.run) if found.fixed else {})


def write_page_of_trained(report: "Report", found: "TrainedAblation", page: Path, loading: "Loading") -> None:
    """Write the page of a sweep."""
    from segablate.report.subject import ablated
    from segablate.tables.trainings import training_scores

    run = found.fixed.run if found.fixed else None
    write_report(ablated(report, run, command_line(), training_scores(found.comparison)), page, loading)


def run_files(run: "Evaluation") -> dict[str, bytes]:
    """Return the files of the evaluation that an ablation is of, in a folder of their own."""
    from segablate.evaluation.results import evaluation_files
    from segablate.render import summary_of

    run = with_command(run)
    return {f"run/{name}": data for name, data in evaluation_files(run, summary_of(run)).items()}
