"""From the names of a network and a dataset to a trained checkpoint in a folder."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from segablate import __version__
from segablate.datasets.dataset import Dataset
from segablate.datasets.supervision import FULL
from segablate.errors import DivergedError, Interrupted, RecipeError, RunError, SegablateError, fact
from segablate.evaluation.loop import LoopOptions, carry_out, prepare
from segablate.evaluation.measures import Measures
from segablate.files import is_file, write_atomically
from segablate.limits import TooLarge
from segablate.metrics.confusion import class_counts, mean_iou
from segablate.plain_values import check
from segablate.runtime import team
from segablate.text_files import MalformedText, read_json
from segablate.training.beginning import begin
from segablate.training.feature_files import remove_features
from segablate.training.heads import HeadBatches
from segablate.training.loop import fit, validations
from segablate.training.request import TrainingRequest
from segablate.training.saving import save_checkpoint
from segablate.training.states import in_brackets, remove_states
from segablate.training.task import Task, Trained, TrainerExecution

SUMMARY = "training.json"
"""What was trained and what came of it; written last."""

_FACTS = {
    "identity": str,
    "network": str,
    "dataset": {"name": str, "split": str, "images": int},
    "objective": str,
    "seed": int,
    "steps": int,
    "taken after step": int,
    "seconds": float,
    "validation": {str: (None, float)},
    "batches without a label": int,
    "steps without a finite loss": int,
    "auxiliary outputs": object,
    "diverged": str,
    "notes": [str],
    "checkpoint": str,
}


@dataclass(frozen=True)
class TrainingExecution:
    """What changes no number of a training; see :class:`segablate.training.loop.TrainerExecution`."""

    workers: int = 0
    state_every: float = 180.0
    validate_every: int | None = None
    progress: Callable[[int, Mapping[str, float]], None] = lambda step, numbers: None


@dataclass(frozen=True)
class Training:
    """A training in a folder.

    - `checkpoint`: the specification of what it made; `facts`: what is in the summary.
    - `classifier`: the name of the layer that was trained alone on kept features; empty where that is not known.
    """

    folder: Path
    checkpoint: str
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    classifier: str = ""


def train(
    request: TrainingRequest, folder: Path, execution: TrainingExecution, features: Path | None = None
) -> Training:
    """Train into a folder, going on from its last state, and write the checkpoint and a summary.

    `features`: the folder in which what a classifier sees is kept; by default that of the training.
    Raises a SegablateError; DivergedError after the last finite weights and the summary were written, and again for a
    folder that holds them; Interrupted after Ctrl-C.
    """
    with _beginning(folder):
        done = finished(folder)
        task = begin(request, features or folder)
        every = validations(task.total, execution.validate_every)
        if task.recipe.keep == "best":
            if not every:
                raise RecipeError("--keep best needs validations; leave out --validate-every 0")
            task = replace(task, identity=f"{task.identity}-{every}")
    if done is not None:
        return _again(done, task)
    try:
        trained, diverged = fit(task, _execution(request, task, folder, execution, every)), ""
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {folder} holds the training up to its last state: go on with --resume"
        ) from None
    except DivergedError as error:
        trained, diverged = error.trained, str(error)
    training = conclude(request, task, trained, folder, diverged)
    if diverged:
        raise DivergedError(f"{diverged} ({training.checkpoint} holds the weights after step {trained.step})")
    return training


def _again(done: Training, task: Task) -> Training:
    """A training that came to its end before; RunError where it was another."""
    if done.facts["identity"] != task.identity:
        differs = in_brackets(done.facts, task.described)
        raise RunError(f"{done.folder} holds another training{differs}; choose another --save, or remove it")
    if done.facts["diverged"]:
        raise DivergedError(f"{done.facts['diverged']} ({done.checkpoint} holds the last finite weights)")
    notes = (*done.notes, "this training was finished before; nothing was trained now")
    return replace(done, notes=notes, classifier=_classifier_alone(task))


def conclude(request: TrainingRequest, task: Task, trained: Trained, folder: Path, diverged: str = "") -> Training:
    """Write the checkpoint, then the summary; then states are of no more use. RunError where the disk is full."""
    notes = [*task.start.notes]
    if trained.left_out:
        notes.append(f"auxiliary outputs that were not trained, as their classes are others: {trained.left_out}")
    facts = {
        "segablate": __version__,
        "identity": task.identity,
        **task.described,
        "steps": task.total,
        "taken after step": trained.step,
        "seconds": trained.seconds,
        "validation": {str(step): miou for step, miou in trained.validation.items()},
        "batches without a label": trained.skipped,
        "steps without a finite loss": trained.broken,
        "auxiliary outputs": trained.auxiliary,
        "diverged": diverged,
        "notes": notes,
    }
    checkpoint = folder / "checkpoint.safetensors"
    if team().leads:
        described = {"objective": str(task.objective), "data": f"{request.dataset.spec} {request.dataset.split}"}
        described |= {"seed": request.seed, "steps": trained.step}
        described |= {} if request.labels.kind == FULL else {"labels": request.labels.kind}
        with _writing(folder):
            checkpoint = save_checkpoint(task.start, folder, described)
            summary = {**facts, "checkpoint": checkpoint.name}
            write_atomically(folder / SUMMARY, json.dumps(summary, indent=1))
        remove_states(folder)
        remove_features(folder)
    return Training(folder, str(checkpoint), facts, tuple(notes), _classifier_alone(task))


def _classifier_alone(task: Task) -> str:
    return task.start.classifier if isinstance(task.batches, HeadBatches) else ""


@contextmanager
def _beginning(folder: Path) -> Iterator[None]:
    """Make the folder of a training; where the training cannot begin, remove it if it is new and still empty."""
    with _writing(folder):
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except SegablateError:
        if new and team().size == 1:  # others of a team may be about to write into it
            with suppress(OSError):  # it holds what a classifier sees
                folder.rmdir()
        raise


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """RunError, which says how to go on, where nothing can be written into a folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"{folder} cannot be written to ({reason}); make room, then go on with --resume") from None


def finished(folder: Path) -> Training | None:
    """Return the training that a folder holds, if it has come to its end."""
    path = folder / SUMMARY
    if not is_file(path):
        return None
    try:
        facts = check(read_json(path), _FACTS, SUMMARY)
        if not all(step.isdecimal() for step in facts["validation"]):
            raise MalformedText("'validation' is not by step")
    except (MalformedText, TooLarge) as error:
        raise RunError(f"{path} is damaged ({fact(error)}); remove {folder} and train again") from None
    return Training(folder, str(folder / facts["checkpoint"]), facts, tuple(facts["notes"]))


def validator(task: Task, holdout: Dataset, workers: int) -> Callable[[nn.Module], float]:
    """Return a function that computes the mIoU of a module on the hold-out, through the evaluation loop."""
    prepared = prepare(task.start.network, holdout, Measures())

    def miou(module: nn.Module) -> float:
        network = replace(task.start.network, module=module)
        found = carry_out(replace(prepared, segmenter=network), LoopOptions(workers=workers, team=team()))
        return float(mean_iou(class_counts(found.confusion).total()))

    return miou


def _execution(
    request: TrainingRequest, task: Task, folder: Path, execution: TrainingExecution, every: int
) -> TrainerExecution:
    validate = validator(task, request.holdout, execution.workers) if request.holdout and every else None
    return TrainerExecution(
        folder, execution.workers, execution.state_every, every, execution.progress, validate, team()
    )
