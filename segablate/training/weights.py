"""Class weights of cross entropy, computed from the train split or read from a file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from segablate.datasets.dataset import Dataset
from segablate.errors import RecipeError
from segablate.labels import IGNORE
from segablate.objective.weighted_sum import Objective

Counts = np.ndarray
"""(C,) labelled pixels of each class."""


def class_weights(objective: Objective, how: str, dataset: Dataset) -> Objective:
    """Return the objective with weights for every `ce` that states none.

    `how`: "none", the name of a rule of :data:`RULES`, or a text file of one number a class. Rules are of the labelled
    pixels of the split. Raises RecipeError where no term takes weights, or for a file that does not fit.
    """
    if how == "none":
        return objective
    takers = [term for term in objective.terms if term.loss.name == "ce" and "weights" not in term.settings]
    if not takers:
        raise RecipeError(f"class weights {how!r} are for ce, which objective '{objective}' lacks; leave them out")
    weights = RULES[how](_pixels(dataset)) if how in RULES else _read(Path(how), len(dataset.labels))
    return objective.with_settings("ce", {"weights": tuple(float(f"{weight:.9g}") for weight in weights)})


def _sqrt_inverse(pixels: Counts) -> np.ndarray:
    return _of_mean_one(np.where(pixels > 0, np.maximum(pixels, 1.0) ** -0.5, 0))


def _inverse(pixels: Counts) -> np.ndarray:
    return _of_mean_one(np.where(pixels > 0, 1 / np.maximum(pixels, 1.0), 0))


def _median(pixels: Counts) -> np.ndarray:
    """Median frequency balancing: the median of the class frequencies over each frequency (Eigen and Fergus, 2015)."""
    present = pixels > 0
    return np.where(present, np.median(pixels[present]) / np.maximum(pixels, 1), 0)


RULES: dict[str, Callable[[Counts], np.ndarray]] = {
    "sqrt-inverse": _sqrt_inverse,
    "inverse": _inverse,
    "median": _median,
}
"""Weights (C,) from labelled pixels; 0 for a class that the split does not label."""


def _of_mean_one(weights: np.ndarray) -> np.ndarray:
    return weights / weights[weights > 0].mean()


def _pixels(dataset: Dataset) -> Counts:
    counts = np.zeros(256, np.int64)
    for index in range(len(dataset)):
        counts += np.bincount(dataset.read(index, image=False).labels.ravel(), minlength=256)
    counts[IGNORE] = 0
    return counts[: len(dataset.labels)]


def _read(path: Path, classes: int) -> np.ndarray:
    try:
        weights = np.array([float(word) for word in path.read_text(encoding="utf-8").replace(",", " ").split()])
    except OSError:
        raise RecipeError(
            f"--class-weights is {str(path)!r}, but must be none, {', '.join(RULES)} or a file of numbers"
        ) from None
    except ValueError as error:
        raise RecipeError(f"{path}: {error}; a file of class weights holds one number a class") from None
    if len(weights) != classes or not (np.isfinite(weights) & (weights >= 0)).all():
        raise RecipeError(f"{path}: must hold {classes} numbers of at least 0, one a class; it holds {len(weights)}")
    return weights
