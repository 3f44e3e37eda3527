"""Finished sweeps of trainings, read for the losses of an atlas: what training under each gave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segablate.atlas.results import ENTROPY
from segablate.comparison.trainings import TrainingsComparison, compare_trainings
from segablate.datasets.supervision import FULL
from segablate.errors import RunError, SegablateError, counted, shorten
from segablate.evaluation.results import Evaluation, load_run
from segablate.files import is_file
from segablate.losses import Loss
from segablate.objective.weighted_sum import parse_objective
from segablate.training.cells import result_of
from segablate.training.sweep import PLAN, Cell, SweepSetting, cells_of, read_plan

_CEILING = ", full labels"
"""How the name of a setting ends that is trained from full labels, in a sweep from others; see planning.ceiling."""


@dataclass(frozen=True)
class TrainedLosses:
    """The trainings of one sweep whose objective is a loss, alone or as its authors train.

    - `losses`: name of the loss by the objective that was trained; cross entropy first, where the sweep has it.
    - `comparison`: mIoU of these objectives, the first being the baseline.
    - `about`: network, part, data, labels and length of the trainings, for a line under the table.
    - `notes`: the settings of the sweep that are left out, and why.
    """

    folder: Path
    losses: Mapping[str, str]
    comparison: TrainingsComparison
    about: str
    notes: tuple[str, ...] = ()


def holds_sweep(folder: str | Path) -> bool:
    """Return whether a sweep was begun in a folder."""
    return is_file(Path(folder) / PLAN)


def read_trainings(folder: Path, losses: Sequence[Loss]) -> TrainedLosses:
    """Read the sweep in a folder.

    RunError for a folder without one, for one without a finished training, and where no objective is that of a loss.
    """
    if not holds_sweep(folder):
        raise RunError(f"--trainings {folder} holds no sweep: it has no {PLAN}; give a folder of ablate --train")
    plan = read_plan(folder)
    settings = _of_the_sweep(plan)
    found = losses_of(settings, losses)
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
    names = {text: loss for text, (_, loss) in found.items()}
    return TrainedLosses(folder, names, comparison, _about(plan), _left_out(plan, settings, found))


def losses_of(settings: Mapping[str, str], losses: Sequence[Loss]) -> dict[str, tuple[str, str]]:
    """Return setting and loss by objective, of those objectives that are a loss alone or its published sum."""
    known = {str(parse_objective(text)): loss.name for loss in losses for text in (loss.objective, loss.name)}
    found = {}
    for setting, text in settings.items():
        objective = _objective(text)
        if objective in known:
            found.setdefault(objective, (setting, known[objective]))
    return dict(sorted(found.items(), key=lambda entry: entry[1][1] != ENTROPY))


def _objective(text: str) -> str:
    """Return an objective as it is compared; itself where it cannot be read."""
    try:
        return str(parse_objective(text))
    except SegablateError:  # a loss of the user, or of a package, that is not here
        return text


def _of_the_sweep(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that are trained from the labels of the sweep, not those from full ones beside them."""
    mixed = _labels(plan) != FULL
    return {name: text for name, text in plan["settings"].items() if not (mixed and name.endswith(_CEILING))}


def _left_out(plan: Mapping[str, Any], settings: Mapping[str, str], found: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the settings of a sweep that are not in the table, by the reason."""
    other = [f"{name} ({text})" for name, text in settings.items() if _objective(text) not in found]
    full = [f"{name} ({text})" for name, text in plan["settings"].items() if name not in settings]
    reasons = {
        "as their objective is no loss of this atlas, alone or as its authors train it": other,
        "as they are trained from full labels, unlike the others": full,
    }
    return tuple(f"Left out, {reason}: {shorten(names, 8)}." for reason, names in reasons.items() if names)


def _labels(plan: Mapping[str, Any]) -> str:
    return str(plan.get("labels", FULL))


def _run_of(folder: Path, cell: Cell) -> Evaluation | None:
    result = result_of(folder, cell)
    return load_run(result.run) if result is not None and result.run is not None else None


def _about(plan: Mapping[str, Any]) -> str:
    recipe = plan["recipe"]
    length = counted(recipe["steps"], "step") if recipe["steps"] is not None else f"{recipe['epochs'] or 100:g} epochs"
    part = {"head": "the classifier alone", "full": "the full network"}.get(str(plan.get("train")), "")
    labels = _labels(plan)
    source = f"trained on {plan.get('dataset')}" + (
        f", from labels that are not full ({labels})" if labels != FULL else ""
    )
    parts = (plan.get("network"), part, source, f"reported on {plan.get('reported on')}")
    return ", ".join(str(each) for each in (*parts, length) if each)
