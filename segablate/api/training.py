"""``segablate.train``: a checkpoint from a network, a dataset and a recipe."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from segablate.api import frames, options
from segablate.api.surroundings import undisturbed
from segablate.checkpoints import Loading
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.datasets.supervision import supervised
from segablate.errors import did_you_mean
from segablate.locks import held
from segablate.render import render
from segablate.render.html import to_html
from segablate.tables import Report
from segablate.tables.training import training_report
from segablate.training import session
from segablate.training.recipe import HEAD_RATE, SourcedRecipe, open_recipe, parse_field, recipe_fields, refuse_code
from segablate.training.request import TrainingRequest, split_holdout
from segablate.training.session import TrainingExecution

_ONE = threading.RLock()
"""Trainings of one process take turns, as their randomness is that of torch's generators, which are global."""


@dataclass(frozen=True, eq=False)
class Training:
    """A training in a folder: what :func:`segablate.train` returns.

    - `folder`: holds the checkpoint and ``training.json``; `checkpoint`: its specification, for :func:`evaluate`.
    - `facts`: what was trained and what came of it, as plain values; `recipe`: the values of its fields and sources;
      `result`: the same, as the layers below have it.

    Examples:
        >>> import tempfile, segablate
        >>> folder = tempfile.mkdtemp() + "/small"
        >>> training = segablate.train("small", "sample", save=folder, steps=2, batch=2, crop=(64, 64))
        >>> segablate.evaluate(training.checkpoint, "sample", limit=2).overall.images
        2
    """

    folder: Path
    checkpoint: str
    facts: Mapping[str, Any]
    recipe: SourcedRecipe
    result: session.Training

    @property
    def validation(self) -> dict[int, float]:
        """The mIoU on the hold-out, a share in 0..1, by step."""
        return {int(step): miou for step, miou in self.facts["validation"].items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what differs from the recipe, or was left out."""
        return self.result.notes

    @cached_property
    def report(self) -> Report:
        """The tables of ``segablate train``, as data."""
        return training_report(self.result, self.recipe)

    def to_pandas(self, table: str = "recipe") -> Any:
        """Return ``"recipe"`` or ``"validation"`` as a ``pandas.DataFrame``.

        Raises:
            MissingExtra: without pandas.
            UsageError: for another table.
        """
        return frames.to_pandas(frames.rows_of(self.report, table))

    def to_polars(self, table: str = "recipe") -> Any:
        """Return a table as a ``polars.DataFrame``; see :meth:`to_pandas`."""
        return frames.to_polars(frames.rows_of(self.report, table))

    def __repr__(self) -> str:
        return f"Training({self.facts['network']} on {self.facts['dataset']['name']}: {self.checkpoint})"

    def __str__(self) -> str:
        return render(self.report, "rich")

    def _repr_html_(self) -> str:
        return to_html(self.report)


def train(
    network: str,
    dataset: str | None = None,
    *,
    save: str | Path,
    recipe: str | Path | None = None,
    seed: int = 0,
    train_split: str = "train",
    holdout: float | str = 0.1,
    labels: str | Path | None = "full",
    label_size: Literal["label", "image", "refuse"] | None = None,
    validate_every: int | None = None,
    encoder: str | Path | None = None,
    part: Literal["full", "head"] = "full",
    keep_head: bool = False,
    state_every: float = 180.0,
    workers: int = 0,
    progress: bool | Callable[[int, Mapping[str, float]], None] = False,
    **fields_and_loading: Any,
) -> Training:
    """Train a network on a dataset into a checkpoint, deterministically under a seed, as ``segablate train`` does.

    A training that the folder holds unfinished goes on; one that it holds finished is returned. Trainings of several
    threads take turns. The random state of torch is as it was afterwards.

    Args:
        network: a network without weights, such as ``"small"`` or ``"smp:Unet(...)"``, or a checkpoint.
        dataset: ``"LAYOUT:DIRECTORY"``; by default the sample data for ``"small"``.
        save: the folder of the training.
        recipe: a recipe by name, or a YAML file; further keywords override its fields.
        seed: of new weights, order, augmentation and dropout.
        train_split: the split to train on.
        holdout: the share at its end, or another split, to validate on; 0: none.
        labels: of the train split: ``"full"``, ``"scribble"`` for one stroke in each region, or a folder of label maps
            ``NAME.png``; the hold-out has full labels.
        label_size: where images and label maps of different size meet, as in :func:`evaluate`.
        validate_every: steps between validations; by default ten in all, 0: none.
        encoder: a file whose weights are taken where names and shapes fit.
        part: train the network, ``"full"``, or its classifier alone, ``"head"``.
        keep_head: start the classifier from its weights.
        state_every: seconds between states from which to go on.
        workers: threads that read images.
        progress: print a progress bar on standard error, or a function (step, numbers) called after each step.
        fields_and_loading: fields of the recipe, as ``segablate recipes show`` prints them (``objective="ce +
            0.5*rmi"``, ``rate=0.01``, ``steps=1000``, ``crop=(512, 512)``), and options of
            :class:`segablate.LoadingOptions` such as ``device``.

    Returns:
        The :class:`segablate.Training`.

    Raises:
        RecipeError: for a recipe or field that is unknown, malformed or out of range.
        DivergedError: for a loss that stayed infinite or undefined; the folder holds the last finite weights.
        SegablateError: for what cannot be opened or read.
        TypeError: for an unknown keyword.

    Examples:
        >>> import tempfile, segablate
        >>> folder = tempfile.mkdtemp() + "/small"
        >>> training = segablate.train("small", save=folder, objective="ce + 0.5*dice", steps=2, batch=2, crop="64x64")
        >>> training.facts["objective"], training.facts["steps"]
        ('ce + 0.5*dice', 2)
    """
    sourced, loading = _recipe(recipe, fields_and_loading, part)
    refuse_code(sourced, loading.trust_code)
    place = dataset or _dataset_of(network, sourced)
    folder = Path(save)
    with _ONE, undisturbed(), _random_state(), held(folder):
        data, held_out = split_holdout(place, train_split, str(holdout), label_size)
        data, source = supervised(data, "full" if labels is None else str(labels))
        request = TrainingRequest(
            network,
            data,
            sourced.recipe,
            seed,
            held_out if validate_every != 0 else None,
            part,
            keep_head,
            None if encoder is None else Path(encoder),
            loading,
            source,
        )
        with _shown(progress, request) as show:
            execution = TrainingExecution(workers, state_every, validate_every, show)
            found = session.train(request, folder, execution)
    return Training(found.folder, found.checkpoint, found.facts, sourced, found)


def _recipe(name: str | Path | None, given: Mapping[str, Any], part: str) -> tuple[SourcedRecipe, Loading]:
    """Return the recipe with its overridden fields, and the options for loading."""
    known = recipe_fields()
    own = {field.name for field in (*fields(Loading), *fields(Preprocessing))} | {"normalise"}
    for key in given:
        if key not in known and key not in own:
            raise TypeError(f"no option is called {key!r}{did_you_mean(key, sorted({*known, *own}))}")
    values = {key: _field(key, value) for key, value in given.items() if key in known}
    if part == "head" and name is None:
        values.setdefault("rate", HEAD_RATE)
    sourced = open_recipe(str(name)) if name is not None else SourcedRecipe("options")
    return sourced.overridden(values), options.as_loading({k: v for k, v in given.items() if k not in known})


def _field(name: str, value: Any) -> Any:
    """Return the value of a field; a text is read as on the command line."""
    if isinstance(value, str) and recipe_fields()[name].kind.number is not str:
        return parse_field(name, value, as_option=False)
    return tuple(value) if isinstance(value, list) else value


def _dataset_of(network: str, recipe: SourcedRecipe) -> str:
    from segablate.errors import UsageError

    if recipe.dataset == "sample" or network == "small":
        return "sample"
    raise UsageError(f"no dataset given for {network}; give LAYOUT:DIRECTORY")


@contextmanager
def _shown(
    progress: bool | Callable[[int, Mapping[str, float]], None], request: TrainingRequest
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    from segablate.render import training_progress

    if callable(progress):
        yield progress
        return
    total = request.recipe.total(len(request.dataset))
    with training_progress(total, request.recipe.batch, silent=False) if progress else nullcontext(_nothing) as show:
        yield show


def _nothing(step: int, numbers: Mapping[str, float]) -> None:
    """Display no progress."""


@contextmanager
def _random_state() -> Iterator[None]:
    """Restore torch's random state on all devices, and the variable by which CUDA's products are deterministic."""
    import torch

    before = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        if before is None:
            os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
        else:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = before
