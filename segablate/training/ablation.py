"""`ablate --train`: settings × seeds trained and evaluated, beside what the fixed checkpoint says of the settings."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segablate.ablation.session import AblationRequest, ablate_checkpoint
from segablate.ablation.sweep import Ablation, Setting
from segablate.checkpoints import is_new_network
from segablate.comparison.predictions import Agreement, agreement
from segablate.comparison.trainings import TrainingsComparison, compare_trainings
from segablate.errors import RunError, counted
from segablate.evaluation.results import Evaluation, load_run
from segablate.evaluation.session import Execution
from segablate.losses import Loss
from segablate.metrics.boundary import mean_over_images
from segablate.metrics.confusion import class_counts
from segablate.metrics.image_level import image_miou
from segablate.statistics.bootstrap import by_image
from segablate.statistics.correlation import rank_correlation
from segablate.training.beginning import begin
from segablate.training.cells import result_of
from segablate.training.engines import EngineOptions, run_cells
from segablate.training.feature_files import remove_leftovers
from segablate.training.planning import Row
from segablate.training.sweep import CellResult, Sweep, open_sweep, share_of

if TYPE_CHECKING:
    from segablate.metrics.tolerance import Tolerance


@dataclass(frozen=True)
class TrainedAblation:
    """A sweep with all its cells, and what the fixed checkpoint says of its settings.

    - `comparison`: the settings against the baseline, over seeds and images.
    - `cells`: by the name of a setting, what came of each seed; None for one that was not run.
    - `fixed`: the settings on the fixed checkpoint, where there is one; `columns`: what it says of each row, larger
      being better; see :func:`fixed_columns`.
    - `agreement`: of each column with the mean mIoU after training.
    """

    loss: Loss
    rows: tuple[Row, ...]
    sweep: Sweep
    comparison: TrainingsComparison
    cells: Mapping[str, Sequence[CellResult | None]]
    fixed: Ablation | None
    columns: Mapping[str, Sequence[float]]
    agreement: Mapping[str, Agreement]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What was ablated."""
        return self.loss.name


@dataclass(frozen=True)
class SweepExecution:
    """What changes no number of a sweep.

    - `cells`: a share such as "3/8"; `engine`: who runs the cells; `ended`: told how many cells have ended.
    """

    folder: Path
    cells: str | None = None
    engine: str = "local"
    options: EngineOptions = EngineOptions()  # noqa: RUF009, a frozen value
    ended: Callable[[int, CellResult], None] = lambda done, result: None


def run_sweep(sweep: Sweep, execution: SweepExecution) -> int:
    """Run the cells that are missing, or a share of them; returns how many of all are then missing.

    Raises a SegablateError for a plan that is not that of the folder, and for whatever a cell refuses.
    """
    open_sweep(execution.folder, sweep)
    cells = share_of(sweep.cells, execution.cells) if execution.cells else list(sweep.cells)
    todo = [cell for cell in cells if result_of(execution.folder, cell) is None]
    remove_leftovers(sweep.features or execution.folder)
    if todo:
        _check(sweep, execution.folder)
    done = len(cells) - len(todo)

    def ended(result: CellResult) -> None:
        nonlocal done
        done += 1
        execution.ended(done, result)

    run_cells(execution.engine, execution.folder, sweep, todo, ended, execution.options)
    missing = sum(result_of(execution.folder, cell) is None for cell in sweep.cells)
    remove_leftovers(sweep.features or execution.folder, others=not missing and sweep.features is None)
    return missing


def gather(
    loss: Loss,
    rows: Sequence[Row],
    sweep: Sweep,
    folder: Path,
    fixed: Ablation | None,
    tolerance: "Tolerance",
    group_by: str | None = None,
    per_class: bool = False,
) -> TrainedAblation:
    """Compare the settings of a finished sweep. RunError where no cell of it has a run."""
    cells = results_by_setting(sweep, folder)
    comparison = compare_trainings(
        runs_of(cells), tolerances=sweep.tolerances, group_by=group_by, per_class=per_class, shared_seeds=True
    )
    columns = fixed_columns(fixed, rows, tolerance) if fixed else {}
    proven = [found.mean for found in comparison.results["miou"].settings]
    agree = {key: agreement(column, proven) for key, column in columns.items()}
    notes = dict.fromkeys(note for results in cells.values() for each in results if each for note in _notes(each))
    return TrainedAblation(loss, tuple(rows), sweep, comparison, cells, fixed, columns, agree, tuple(notes))


def results_by_setting(sweep: Sweep, folder: Path) -> dict[str, list[CellResult | None]]:
    """Return what came of the cells, by setting in the order of the seeds; None for one that has not ended."""
    found: dict[str, list[CellResult | None]] = {setting.name: [] for setting in sweep.settings}
    for cell in sweep.cells:  # seed by seed
        found[cell.setting.name].append(result_of(folder, cell))
    return found


def runs_of(cells: Mapping[str, Sequence[CellResult | None]]) -> dict[str, list[Evaluation | None]]:
    """Return the evaluations of cells, by setting; None for one that has not ended, or diverged."""
    return {
        name: [None if result is None or result.run is None else load_run(result.run) for result in row]
        for name, row in cells.items()
    }


def fixed_ablation(
    loss: Loss,
    rows: Sequence[Row],
    sweep: Sweep,
    tolerance: "Tolerance",
    execution: Execution,
    gradient_images: int | None = None,
) -> Ablation | None:
    """Run the settings on the checkpoint that training starts from; None where it starts from nothing."""
    request = sweep.request
    if is_new_network(request.network):
        return None
    settings = tuple(
        Setting({name: value for name, value in row.values.items() if not loss.knobs[name].training}, row.name)
        for row in rows
        if row.values is not None and not row.trained_only
    )
    objective = str(replace(rows[0].objective, terms=tuple(_bare(loss, rows[0]))))
    asked = AblationRequest(loss, settings, objective, tolerance, True, False, gradient_images)
    return ablate_checkpoint(request.network, sweep.reported, asked, request.loading, execution)


def fixed_columns(fixed: Ablation, rows: Sequence[Row], tolerance: "Tolerance") -> dict[str, list[float]]:
    """Return what claims to say something of a setting, a number for each row, nan for one that was not run.

    - `merit`: the fact by which the loss ranks images, such as the gain of RMI, where it has one.
    - `rho`: the rank correlation with mIoU over images; `near`: the share of the gradient at boundaries.
    """
    places = {setting.text: place for place, setting in enumerate(fixed.settings)}
    run, found = fixed.run, {}
    if fixed.loss.ranks_by:
        found["merit"] = mean_over_images(run.probed[f"fact_{fixed.loss.ranks_by}"])
    scores = image_miou(class_counts(run.confusion))
    found["rho"] = rank_correlation(fixed.merit, scores, by_image(run.images, 1)).value
    if "within" in run.probed:
        found["near"] = mean_over_images(run.probed["within"])[:, 1]
    return {
        key: [float(values[places[row.name]]) if row.name in places else float("nan") for row in rows]
        for key, values in found.items()
    }


def step_seconds(sweep: Sweep, folder: Path, steps: int = 4) -> float:
    """Measure the seconds of one step of the baseline, after one that does not count; nothing is kept."""
    import tempfile

    from segablate.training.loop import fit
    from segablate.training.task import TrainerExecution

    cell = sweep.cells[0]
    request = sweep.request_of(cell)
    short = replace(request, recipe=replace(request.recipe, steps=steps + 1, epochs=None))
    with tempfile.TemporaryDirectory() as place:
        task = begin(short, sweep.features or folder)
        marks: list[float] = []
        fit(task, TrainerExecution(Path(place), progress=lambda step, numbers: marks.append(time.monotonic())))
    return float(np.median(np.diff(marks)))


def weights_bytes(sweep: Sweep) -> int:
    """Return the size of a network's weights on disk, about."""
    module = begin(sweep.request_of(sweep.cells[0]), Path()).start.network.module
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())


def _check(sweep: Sweep, folder: Path) -> None:
    """Open every training once before any of them is run, so that what cannot be done is refused at the start."""
    for row in sweep.settings:
        cell = next(cell for cell in sweep.cells if cell.setting is row)
        begin(sweep.request_of(cell), sweep.features or folder)


def _bare(loss: Loss, row: Row) -> list:
    """The terms of the objective, that of the loss with its defaults: settings are tried one by one."""
    return [replace(term, settings={}) if term.loss.name == loss.name else term for term in row.objective.terms]


def _notes(result: CellResult) -> list[str]:
    notes = list(result.facts.get("notes", ()))
    if skipped := result.facts.get("batches without a label"):
        notes.append(
            f"{result.cell.setting.name}, seed {result.cell.seed}: {counted(skipped, 'batch', 'batches')} without a "
            f"label skipped"
        )
    return notes


def missing_note(missing: int, total: int, folder: Path) -> str:
    """Say how far a sweep is, for a call that ran a share of it."""
    if missing == total:
        raise RunError(f"{folder}: no cell of {total} has ended")
    return (
        f"ended in {folder}: {total - missing} of {counted(total, 'cell')}; the same command without --cells runs the "
        f"others, gathers and prints"
    )
