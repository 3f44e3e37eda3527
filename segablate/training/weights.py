"""Class weights of cross entropy, computed from the train split or read from a file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segablate.datasets.dataset import Dataset
from segablate.errors import RecipeError, at
from segablate.files import is_file
from segablate.objective.weighted_sum import Objective, WeightedTerm
from segablate.text_files import read_text


class Counts(NamedTuple):
    """Of each class, (C,) int64: its pixels, and all labelled pixels of the images that it is in."""

    pixels: np.ndarray
    around: np.ndarray


def class_weights(objective: Objective, how: str, dataset: Dataset) -> Objective:
    """Return the objective with weights for every `ce` that states none.

    `how`: "none", the name of a rule of :data:`RULES`, or a text file of one number a class. Rules are of the labelled
    pixels of the split. Raises RecipeError where no term takes weights, or for a file that does not fit.
    """
    if how == "none":
        return objective
    if not takes_weights(objective):
        raise RecipeError(f"class weights {how!r} are for ce, which objective '{objective}' lacks; leave them out")
    weights = RULES[how](count_pixels(dataset)) if how in RULES else _read(Path(how), len(dataset.labels))
    return Objective(tuple(_weighted(term, weights) for term in objective.terms))


def takes_weights(objective: Objective) -> bool:
    """Return whether a term is a `ce` that states no weights."""
    return any(_is_plain(term) for term in objective.terms)


def count_pixels(dataset: Dataset) -> Counts:
    """Count the labelled pixels of a split by class. RecipeError where there are none."""
    classes = len(dataset.labels)
    pixels, around = np.zeros((2, classes), np.int64)
    for index in range(len(dataset)):
        counts = np.bincount(dataset.read(index, image=False).labels.ravel(), minlength=classes)[:classes]
        pixels += counts
        around += np.where(counts > 0, counts.sum(), 0)
    if not pixels.any():
        raise RecipeError(f"split {dataset.split!r} of {dataset.spec} has no labelled pixel to weigh classes by")
    return Counts(pixels, around)


def _is_plain(term: WeightedTerm) -> bool:
    return term.loss.name == "ce" and "weights" not in term.settings


def _weighted(term: WeightedTerm, weights: np.ndarray) -> WeightedTerm:
    if not _is_plain(term):
        return term
    return replace(term, settings={**term.settings, "weights": tuple(float(f"{weight:.9g}") for weight in weights)})


def _sqrt_inverse(counts: Counts) -> np.ndarray:
    """The inverse of the square root of the frequency; their mean is 1."""
    return _of_mean_one(np.where(counts.pixels > 0, np.maximum(counts.pixels, 1.0) ** -0.5, 0))


def _inverse(counts: Counts) -> np.ndarray:
    """The inverse of the frequency; their mean is 1."""
    return _of_mean_one(np.where(counts.pixels > 0, 1 / np.maximum(counts.pixels, 1.0), 0))


def _median(counts: Counts) -> np.ndarray:
    """Median frequency balancing: the median of the class frequencies over each of them.

    The frequency of a class is its share of the labelled pixels in the images that it is in (Eigen and Fergus,
    ICCV 2015, arXiv:1411.4734).
    """
    frequency = counts.pixels / np.maximum(counts.around, 1)
    return np.where(frequency > 0, np.median(frequency[frequency > 0]) / np.maximum(frequency, 1e-300), 0)


RULES: dict[str, Callable[[Counts], np.ndarray]] = {
    "sqrt-inverse": _sqrt_inverse,
    "inverse": _inverse,
    "median": _median,
}
"""Weights (C,) from labelled pixels; 0 for a class that the split does not label."""


def _of_mean_one(weights: np.ndarray) -> np.ndarray:
    return weights / weights[weights > 0].mean()


def _read(path: Path, classes: int) -> np.ndarray:
    if not is_file(path):
        raise RecipeError(
            f"--class-weights is {str(path)!r}, but must be none, {', '.join(RULES)} or a file of numbers"
        )
    with at(path):
        words = read_text(path).replace(",", " ").split()
        try:
            weights = np.array(words, np.float64)
        except ValueError:
            raise RecipeError(
                f"is no list of numbers; write {classes}, one a class, apart by spaces or lines"
            ) from None
        if len(weights) != classes:
            raise RecipeError(f"has {len(weights)} numbers; write {classes}, one a class")
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise RecipeError("has a number below 0, or one that is not finite; class weights are at least 0")
        return weights
