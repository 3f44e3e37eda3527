"""Finished sweeps of trainings, read for the losses of an atlas: what training under each gave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segablate.atlas.results import ENTROPY
from segablate.comparison.trainings import TrainingsComparison, compare_trainings
from segablate.errors import RunError, SegablateError, shorten
from segablate.evaluation.results import Evaluation, load_run
from segablate.files import is_file
from segablate.losses import Loss
from segablate.objective.weighted_sum import parse_objective
from segablate.training.cells import result_of
from segablate.training.sweep import PLAN, Cell, SweepSetting, cells_of, read_plan


@dataclass(frozen=True)
class TrainedLosses:
    """The trainings of one sweep whose objective is a loss, alone or as its authors train.

    - `losses`: name of the loss by the objective that was trained; cross entropy first, where the sweep has it.
    - `comparison`: mIoU of these objectives, the first being the baseline.
    - `about`: network, part, data and length of the trainings, for a line under the table.
    """

    folder: Path
    losses: Mapping[str, str]
    comparison: TrainingsComparison
    about: str


def read_trainings(folder: Path, losses: Sequence[Loss]) -> TrainedLosses:
    """Read the sweep in a folder.

    RunError for a folder without one, for one without a finished training, and where no objective is that of a loss.
    """
    if not is_file(folder / PLAN):
        raise RunError(f"--trainings {folder} holds no sweep: it has no {PLAN}; give a folder of ablate --train")
    plan = read_plan(folder)
    found = losses_of(plan["settings"], losses)
    if not found:
        objectives = shorten([repr(objective) for objective in plan["settings"].values()])
        raise RunError(
            f"--trainings {folder}: none of its objectives is that of a loss of this atlas ({objectives}); train with "
            f"ablate LOSS --train head --against ce"
        )
    cells = cells_of([SweepSetting(*entry) for entry in plan["settings"].items()], plan["seeds"])
    grid = {
        objective: [_run_of(folder, cell) for cell in cells if cell.setting.name == setting]
        for objective, (setting, _) in found.items()
    }
    comparison = compare_trainings(grid, measures=("miou",))
    return TrainedLosses(folder, {text: loss for text, (_, loss) in found.items()}, comparison, _about(plan))


def losses_of(settings: Mapping[str, str], losses: Sequence[Loss]) -> dict[str, tuple[str, str]]:
    """Return setting and loss by objective, of those objectives that are a loss alone or its published sum."""
    known = {str(parse_objective(text)): loss.name for loss in losses for text in (loss.objective, loss.name)}
    found = {}
    for setting, text in settings.items():
        try:
            objective = str(parse_objective(text))
        except SegablateError:  # a loss of the user, or of a package, that is not here
            continue
        if objective in known:
            found.setdefault(objective, (setting, known[objective]))
    return dict(sorted(found.items(), key=lambda entry: entry[1][1] != ENTROPY))


def _run_of(folder: Path, cell: Cell) -> Evaluation | None:
    result = result_of(folder, cell)
    return load_run(result.run) if result is not None and result.run is not None else None


def _about(plan: Mapping[str, Any]) -> str:
    recipe = plan["recipe"]
    length = f"{recipe['steps']} steps" if recipe["steps"] is not None else f"{recipe['epochs'] or 100:g} epochs"
    part = {"head": "the classifier alone", "full": "the full network"}.get(str(plan.get("train")), "")
    parts = (plan.get("network"), part, f"trained on {plan.get('dataset')}", f"reported on {plan.get('reported on')}")
    return ", ".join(str(each) for each in (*parts, length) if each)
