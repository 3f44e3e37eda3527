"""Batches of augmented samples: every number from seed, epoch and index of the image, never from a state."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from segablate.datasets.dataset import Dataset
from segablate.datasets.reading import Failure, ahead_in_threads
from segablate.errors import RecipeError, counted
from segablate.samples import Sample
from segablate.training.augmentation import View, augment, resized
from segablate.training.recipe import Recipe

ORDER, VIEW, NOISE = range(3)
"""The streams of random numbers of a seed: order of the images, augmentation, dropout."""

_KEPT_BYTES = 2**30
"""Decoded images that are kept in memory."""


@dataclass(frozen=True)
class TrainingBatch:
    """A share of one step's images.

    - `images`: N H W 3 uint8 RGB; `labels`: N H W class indices, of :func:`segablate.labels.index_type`.
    - `features`: N D h w float32, what the classifier sees, where it alone is trained.
    - `inside`: N H W bool, false where images are padded; None where none is.
    """

    step: int
    images: np.ndarray
    labels: np.ndarray
    features: np.ndarray | None = None
    inside: np.ndarray | None = None


@dataclass(frozen=True)
class Batches:
    """The batches of a training, by step.

    - `dataset`: the split that is trained on; `seed`: of order and augmentation.
    - `rank`, `size`: which share of every batch this process takes.
    """

    dataset: Dataset
    recipe: Recipe
    seed: int
    rank: int = 0
    size: int = 1
    _kept: "_Kept" = field(default_factory=lambda: _Kept(), repr=False)

    def __post_init__(self) -> None:
        """Raise RecipeError where the split does not fill a batch, or processes cannot share one; for a bad padding."""
        if len(self.dataset) < self.recipe.batch:
            raise RecipeError(
                f"the split {self.dataset.split!r} has {counted(len(self.dataset), 'image')} to train on, fewer than a "
                f"batch of {self.recipe.batch}; use a smaller --batch"
            )
        if self.recipe.batch % self.size:
            raise RecipeError(
                f"a batch of {self.recipe.batch} cannot be shared by {self.size} processes; use a multiple of "
                f"{self.size}, as in --batch {self.size * -(-self.recipe.batch // self.size)}"
            )
        label = self.recipe.pad_label
        if label is not None and label >= len(self.dataset.labels):
            raise RecipeError(
                f"pad_label is {label}, but {self.dataset.labels.name!r} has the classes 0 to "
                f"{len(self.dataset.labels) - 1}; use one of them, or none for void"
            )

    def indices(self, step: int) -> tuple[int, np.ndarray]:
        """Return the epoch of a step and the images of its whole batch, in the order of their seed."""
        in_epoch = len(self.dataset) // self.recipe.batch
        epoch, place = divmod(step, in_epoch)
        order = _order(self.seed, epoch, len(self.dataset))
        return epoch, order[place * self.recipe.batch : (place + 1) * self.recipe.batch]

    def read(self, step: int) -> TrainingBatch:
        """Return this process's share of the batch of a step. Raises a SegablateError that names a broken file."""
        epoch, chosen = self.indices(step)
        views = [self._view(epoch, int(index)) for index in chosen[self.rank :: self.size]]
        if len({view.labels.shape for view in views}) > 1:
            raise RecipeError("images of several sizes do not make a batch; state a --crop, as in --crop 256x256")
        images, labels = np.stack([view.image for view in views]), np.stack([view.labels for view in views])
        return TrainingBatch(step, images, labels, inside=_inside(views))

    @contextmanager
    def ahead(self, steps: range, workers: int) -> Iterator[Iterator[TrainingBatch]]:
        """Yield the batches of these steps in order, read ahead by threads."""
        with ahead_in_threads(self.read, steps, workers) as found:
            yield (or_raise(batch) for batch in found)

    def _view(self, epoch: int, index: int) -> View:
        image, labels = self._kept.get(self.dataset, index, self.recipe.resize)
        return augment(image, labels, self.recipe, np.random.default_rng([self.seed, VIEW, epoch, index]))


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, images: int) -> np.ndarray:
    return np.random.default_rng([seed, ORDER, epoch]).permutation(images)


def _inside(views: list[View]) -> np.ndarray | None:
    if all(view.inside is None for view in views):
        return None
    return np.stack([np.ones(view.labels.shape, bool) if view.inside is None else view.inside for view in views])


class _Kept:
    """Decoded images, as many as fit."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, dataset: Dataset, index: int, size: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
        if (found := self._found.get(index)) is not None:
            return found
        sample: Sample = dataset.read(index)
        image = sample.image_at_labels
        assert image is not None
        pair = resized(image, sample.labels, size) if size else (image, sample.labels)
        with self._lock:
            taken = sum(array.nbytes for array in pair)
            if self._bytes + taken <= _KEPT_BYTES and index not in self._found:
                self._found[index] = pair
                self._bytes += taken
        return pair


def or_raise(batch: TrainingBatch | Failure) -> TrainingBatch:
    """Return a batch; raise the error in the place of one that could not be read."""
    if isinstance(batch, Failure):
        raise batch.error
    return batch
