"""Augmentation of one image and its label map with OpenCV and numpy, drawn from a generator that the caller seeds."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from segablate.labels import ignored_in
from segablate.training.recipe import Recipe
from segablate.training.recolouring import recolour

_CROPS = 10
"""Crops that are tried where one class may not fill them, as in mmsegmentation."""


class View(NamedTuple):
    """What is seen of one image.

    - `image`: H W 3 uint8 RGB; `labels`: H W class indices, of :func:`segablate.labels.index_type`.
    - `inside`: H W bool, false where it is void padding; None where nothing is.
    """

    image: np.ndarray
    labels: np.ndarray
    inside: np.ndarray | None = None

    def changed(self, change: Callable[[np.ndarray], np.ndarray]) -> "View":
        """Return the view with each of its arrays changed alike."""
        return View(change(self.image), change(self.labels), None if self.inside is None else change(self.inside))


def augment(image: np.ndarray, labels: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> View:
    """Return a rescaled, padded, cropped, mirrored and recoloured view of an image, and its labels.

    The view has the size of the recipe's crop, or of the image where there is none. Labels are resampled by the nearest
    pixel. The same generator state makes the same view.
    """
    size = recipe.crop or labels.shape
    view = _padded(_rescaled(View(image, labels), recipe, rng, size), recipe, size)
    view = _cropped(view, recipe, rng, size)
    turn = -1 if rng.random() < recipe.flip else 1
    view = view.changed(lambda array: np.ascontiguousarray(array[:, ::turn]))
    return view._replace(image=recolour(view.image, recipe, rng))


def resized(image: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return both at this height and width: the image bilinearly, averaged where it shrinks, labels by the nearest."""
    if labels.shape == size:
        return image, labels
    shrinks = size[0] < labels.shape[0]
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image, cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _rescaled(view: View, recipe: Recipe, rng: np.random.Generator, crop: tuple[int, ...]) -> View:
    image, labels, _ = view
    factor = _factor(recipe, rng)
    if recipe.shorter is not None:
        factor *= recipe.shorter / min(labels.shape)
    sides = [max(round(factor * side), 1) for side in labels.shape]
    if recipe.fill:
        sides = [max(side, least) for side, least in zip(sides, crop, strict=True)]
    if labels.shape == tuple(sides):
        return view
    image = cv2.resize(image, sides[::-1], interpolation=cv2.INTER_LINEAR)
    return View(image, cv2.resize(labels, sides[::-1], interpolation=cv2.INTER_NEAREST_EXACT))


def _factor(recipe: Recipe, rng: np.random.Generator) -> float:
    """A factor of the recipe's range, or of the grid in it."""
    low, high = recipe.scale
    if not recipe.scale_step:
        return float(rng.uniform(low, high))
    return low + recipe.scale_step * int(rng.integers(0, int((high - low) / recipe.scale_step + 1e-6) + 1))


def _padded(view: View, recipe: Recipe, size: tuple[int, ...]) -> View:
    """Pad on the right and below to at least this size."""
    image, labels, _ = view
    below, right = (max(crop - side, 0) for side, crop in zip(labels.shape, size, strict=True))
    if not (below or right):
        return view
    edges = (0, below, 0, right, cv2.BORDER_CONSTANT)
    image = cv2.copyMakeBorder(image, *edges, value=recipe.pad_colour or (0, 0, 0))
    if recipe.pad_label is not None:
        return View(image, cv2.copyMakeBorder(labels, *edges, value=recipe.pad_label))
    inside = np.zeros((labels.shape[0] + below, labels.shape[1] + right), bool)
    inside[: labels.shape[0], : labels.shape[1]] = True
    return View(image, cv2.copyMakeBorder(labels, *edges, value=ignored_in(labels)), inside)


def _cropped(view: View, recipe: Recipe, rng: np.random.Generator, size: tuple[int, ...]) -> View:
    """Cut a window of this size out; where one class may not fill it, one of ten that no class does."""
    window = np.s_[:, :]
    for _ in range(_CROPS if recipe.crop_share < 1 else 1):
        places = (int(rng.integers(0, side - crop + 1)) for side, crop in zip(view.labels.shape, size, strict=True))
        top, left = places
        window = np.s_[top : top + size[0], left : left + size[1]]
        if recipe.crop_share == 1 or _largest_share(view.labels[window]) < recipe.crop_share:
            break
    return view.changed(lambda array: array[window])


def _largest_share(labels: np.ndarray) -> float:
    """The largest share of one class in the labelled pixels; 1 where there is one class, or none."""
    counts = np.bincount(labels.ravel())[: ignored_in(labels)]
    return float(counts.max() / counts.sum()) if np.count_nonzero(counts) > 1 else 1.0
