"""From the names of a network and a dataset to a trained checkpoint in a folder."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from segablate import __version__
from segablate.checkpoints import Loading
from segablate.datasets import open_dataset
from segablate.datasets.dataset import Dataset
from segablate.errors import DatasetError, DivergedError, RecipeError, RunError, shorten
from segablate.evaluation.inputs import with_inputs
from segablate.evaluation.loop import LoopOptions, carry_out, prepare
from segablate.evaluation.measures import Measures
from segablate.files import fingerprint, write_atomically
from segablate.metrics.confusion import class_counts, mean_iou
from segablate.objective.weighted_sum import Objective, parse_objective
from segablate.runtime import team
from segablate.training.batches import Batches
from segablate.training.heads import can_keep_features, keep_features, with_features
from segablate.training.loop import Habits, Part, Task, Trained, fit, validations
from segablate.training.objectives import local_terms
from segablate.training.recipe import Recipe, plain_recipe
from segablate.training.saving import save_checkpoint
from segablate.training.starting import Start, open_start
from segablate.training.states import remove_states
from segablate.training.weights import class_weights

SUMMARY = "training.json"
"""What was trained and what came of it; written last."""


@dataclass(frozen=True)
class TrainingRequest:
    """What to train, and on what.

    - `network`: a checkpoint, or a network without weights; `encoder`: a file whose weights are taken where they fit.
    - `dataset`: the split that is trained on, whole; `holdout`: what validation runs on, or None.
    - `part`: train the full network, or its classifier alone; `keep_head`: not from random values.
    """

    network: str
    dataset: Dataset
    recipe: Recipe
    seed: int = 0
    holdout: Dataset | None = None
    part: Part = "full"
    keep_head: bool = False
    encoder: Path | None = None
    loading: Loading = field(default_factory=Loading)


@dataclass(frozen=True)
class TrainingHabits:
    """What changes no number of a training; see :class:`segablate.training.loop.Habits`."""

    workers: int = 0
    state_every: float = 180.0
    validate_every: int | None = None
    progress: Callable[[int, Mapping[str, float]], None] = lambda step, numbers: None


@dataclass(frozen=True)
class Training:
    """A training in a folder.

    - `checkpoint`: the specification of what it made; `facts`: what is in the summary.
    """

    folder: Path
    checkpoint: str
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def split_holdout(spec: str, split: str, holdout: str) -> tuple[Dataset, Dataset | None]:
    """Open the split to train on, and what is held out of it.

    `holdout`: a share of the split, whose last images are then not trained on, the name of another split, or "0" for
    none. Raises DatasetError where the dataset has no such split.
    """
    try:
        whole = open_dataset(spec, split)
    except DatasetError as error:
        raise DatasetError(f"{error}; name the split to train on with --train-split") from None
    share = _share(holdout)
    if share is None:
        return whole, open_dataset(spec, holdout)
    if share == 0:
        return whole, None
    count = max(round(share * len(whole)), 1)
    if count >= len(whole):
        raise DatasetError(f"{spec}: split {split!r} has {len(whole)} images, too few to hold {holdout} of them out")
    note = f"{count} images at the end of split {split!r} held out of training"
    return (
        replace(whole, items=whole.items[:-count], notes=(*whole.notes, note)),
        replace(whole, items=whole.items[-count:], notes=(*whole.notes, note)),
    )


def begin(request: TrainingRequest, features: Path, progress: Callable[[int], None] = lambda images: None) -> Task:
    """Open network and data of a training. Raises a SegablateError for whatever does not fit.

    `features`: the folder in which what a classifier sees is kept, where it alone is trained.
    """
    recipe = _completed(request)
    objective = parse_objective(recipe.objective)
    objective = class_weights(objective, recipe.class_weights, request.dataset)
    start = open_start(
        request.network,
        request.dataset,
        recipe,
        request.loading,
        request.seed,
        encoder=request.encoder,
        new_classifier=request.part == "head" and not request.keep_head,
    )
    needed = objective.needs
    _, inputs, notes = with_inputs(start.network, needed, request.dataset, f"objective {objective}")
    start = replace(start, notes=(*start.notes, *notes, *_notes(request, recipe, objective, start)))
    if request.part == "head":
        for name, parameter in start.network.module.named_parameters():
            parameter.requires_grad_(name.startswith(f"{start.classifier}."))
    batches = Batches(request.dataset, recipe, request.seed, team().rank, team().size)
    if request.part == "head":
        if can_keep_features(start, request.dataset):
            batches = with_features(batches, keep_features(start, request.dataset, features, progress))
        else:
            note = "the network goes on after its classifier: no features were kept, and steps run the whole network"
            start = replace(start, notes=(*start.notes, note))
    identity = identity_of(request, recipe, objective)
    return Task(start, batches, recipe, objective, identity, objective.needs, inputs, request.part)


def train(request: TrainingRequest, folder: Path, habits: TrainingHabits, features: Path | None = None) -> Training:
    """Train into a folder, going on from its last state, and write the checkpoint and a summary.

    `features`: the folder in which what a classifier sees is kept; by default that of the training.
    Raises a SegablateError; DivergedError after the last finite weights were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = finished(folder)
    task = begin(request, features or folder)
    if done is not None:
        if done.facts["identity"] != task.identity:
            raise RunError(f"{folder} holds another training; choose another --save, or remove it")
        return done
    prepared = _habits(request, task, folder, habits)
    try:
        trained = fit(task, prepared)
    except DivergedError as error:
        conclude(request, task, Trained(task.start.network.module, 0, 0.0), folder, str(error))
        raise
    return conclude(request, task, trained, folder)


def conclude(request: TrainingRequest, task: Task, trained: Trained, folder: Path, diverged: str = "") -> Training:
    """Write the checkpoint, then the summary; then states are of no more use."""
    facts = {
        "segablate": __version__,
        "identity": task.identity,
        "network": request.network,
        "dataset": {"name": request.dataset.spec, "split": request.dataset.split, "images": len(request.dataset)},
        "objective": str(task.objective),
        "recipe": plain_recipe(task.recipe),
        "seed": request.seed,
        "part": request.part,
        "steps": task.total,
        "taken after step": trained.step,
        "seconds": trained.seconds,
        "validation": {str(step): miou for step, miou in trained.validation.items()},
        "batches without a label": trained.skipped,
        "steps without a finite loss": trained.broken,
        "diverged": diverged,
        "notes": list(task.start.notes),
    }
    checkpoint = folder / "checkpoint.safetensors"
    if team().leads:
        described = {"objective": str(task.objective), "data": f"{request.dataset.spec} {request.dataset.split}"}
        described |= {"seed": request.seed, "steps": trained.step}
        checkpoint = save_checkpoint(task.start, request.network, folder, described)
        summary = {**facts, "checkpoint": checkpoint.name}
        write_atomically(folder / SUMMARY, json.dumps(summary, indent=1))
        remove_states(folder)
        for kept in folder.glob("features-*.npy"):
            kept.unlink()
    return Training(folder, str(checkpoint), facts, task.start.notes)


def finished(folder: Path) -> Training | None:
    """Return the training that a folder holds, if it has come to its end."""
    path = folder / SUMMARY
    if not path.is_file():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return Training(folder, str(folder / facts["checkpoint"]), facts, tuple(facts["notes"]))
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{path} is damaged; remove {folder} and train again") from None


def identity_of(request: TrainingRequest, recipe: Recipe, objective: Objective) -> str:
    """Return a hash of everything that decides the numbers of a training."""
    dataset = request.dataset
    loading = {name: str(value) for name, value in asdict(request.loading).items() if name != "device"}
    described = [
        plain_recipe(recipe),
        str(objective),
        request.network,
        request.seed,
        request.part,
        request.keep_head,
        loading,
        start_files(request),
        [dataset.spec, dataset.split, list(dataset.names), repr(dataset.labels)],
        [dataset.stamp(index) for index in range(len(dataset))],
        list(request.holdout.names) if request.holdout else None,
        team().size if recipe.norm == "train" else None,
    ]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]


def start_files(request: TrainingRequest) -> list[str]:
    """Return the SHA-256 of the files that a training starts from, as far as its specification names them."""
    named = [request.network, request.network.partition("@")[2]]
    paths = [request.loading.located(text) for text in named if text]
    paths += [request.encoder] if request.encoder else []
    return [fingerprint(path) for path in paths if path.is_file()]


def validator(task: Task, holdout: Dataset, workers: int) -> Callable[[nn.Module], float]:
    """Return a function that gives the mIoU of a module on the hold-out, through the evaluation loop."""
    prepared = prepare(task.start.network, holdout, Measures())

    def miou(module: nn.Module) -> float:
        network = replace(task.start.network, module=module)
        found = carry_out(replace(prepared, segmenter=network), LoopOptions(workers=workers, team=team()))
        return float(mean_iou(class_counts(found.confusion).total()))

    return miou


def _habits(request: TrainingRequest, task: Task, folder: Path, habits: TrainingHabits) -> Habits:
    every = validations(task.total, habits.validate_every)
    validate = validator(task, request.holdout, habits.workers) if request.holdout and every else None
    return Habits(folder, habits.workers, habits.state_every, every, habits.progress, validate, team())


def _completed(request: TrainingRequest) -> Recipe:
    """The recipe, with what the part that is trained settles: the classifier sees no augmentation but mirroring."""
    recipe = request.recipe
    if request.part == "head":
        plain = {"scale": (1.0, 1.0), "shorter": None, "crop": None, "photometric": False, "blur": 0.0}
        colours = dict.fromkeys(("brightness", "tint", "contrast", "saturation"), 0.0)
        recipe = replace(recipe, **plain, **colours)
    if recipe.keep == "best" and request.holdout is None:
        raise RecipeError("--keep best needs a hold-out of the train split; pass --holdout 0.1")
    return recipe


def _notes(request: TrainingRequest, recipe: Recipe, objective: Objective, start: Start) -> tuple[str, ...]:
    notes = [f"classifier {start.classifier!r} alone was trained"] if request.part == "head" else []
    if team().size > 1 and (names := local_terms(objective)):
        notes.append(f"{shorten(names, 6)}: means over the local batches of {team().size} processes")
    if team().size > 1 and recipe.norm == "train":
        notes.append(f"batch norm took its statistics over the local batches of {team().size} processes")
    return tuple(notes)


def _share(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    if not 0 <= share <= 0.5:
        raise RecipeError(f"--holdout is {text}, but must be a share of at most 0.5, or the name of a split")
    return share
