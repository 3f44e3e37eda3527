"""Augmentation of one image and its label map with OpenCV and numpy, drawn from a generator that the caller seeds."""

import cv2
import numpy as np

from segablate.labels import IGNORE
from segablate.training.recipe import Recipe

Image = np.ndarray
"""H W 3 uint8 RGB."""

Labels = np.ndarray
"""H W uint8 class indices, 255 void."""

_MEAN_COLOUR = (124, 116, 104)
"""ImageNet's mean colour, which pads where the recipe names no colour."""


def augment(image: Image, labels: Labels, recipe: Recipe, rng: np.random.Generator) -> tuple[Image, Labels]:
    """Return a rescaled, padded, cropped, mirrored and recoloured view of an image, and its labels.

    The view has the size of the recipe's crop, or of the image where there is none. Labels are resampled by the nearest
    pixel. The same generator state gives the same view.
    """
    size = recipe.crop or labels.shape
    image, labels = _rescaled(image, labels, recipe, rng, size)
    image, labels = _padded(image, labels, recipe, size)
    top, left = (int(rng.integers(0, side - crop + 1)) for side, crop in zip(labels.shape, size, strict=True))
    window = np.s_[top : top + size[0], left : left + size[1]]
    image, labels = image[window], labels[window]
    if rng.random() < recipe.flip:
        image, labels = image[:, ::-1], labels[:, ::-1]
    image = recolour(np.ascontiguousarray(image), recipe, rng)
    return image, np.ascontiguousarray(labels)


def recolour(image: Image, recipe: Recipe, rng: np.random.Generator) -> Image:
    """Return the image under other light, contrast and saturation, distorted and blurred as the recipe says."""
    if recipe.photometric:
        image = _photometric(image, rng)
    if recipe.brightness or recipe.tint or recipe.contrast or recipe.saturation:
        view = image.astype(np.float32) / 255
        view *= np.float32(_around_one(rng, recipe.brightness) * _around_one(rng, recipe.tint, 3))
        view = 0.5 + np.float32(_around_one(rng, recipe.contrast)) * (view - 0.5)
        grey = view.mean(axis=2, keepdims=True)
        view = grey + np.float32(_around_one(rng, recipe.saturation)) * (view - grey)
        image = (view.clip(0, 1) * 255).round().astype(np.uint8)
    if recipe.blur and rng.random() < recipe.blur:
        image = cv2.GaussianBlur(image, (0, 0), max(float(rng.random()), 1e-3))
    return image


def resized(image: Image, labels: Labels, size: tuple[int, int]) -> tuple[Image, Labels]:
    """Return both at this height and width: the image bilinearly, averaged where it shrinks, labels by the nearest."""
    if labels.shape == size:
        return image, labels
    shrinks = size[0] < labels.shape[0]
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image, cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _rescaled(
    image: Image, labels: Labels, recipe: Recipe, rng: np.random.Generator, crop: tuple[int, int]
) -> tuple[Image, Labels]:
    factor = float(rng.uniform(*recipe.scale))
    if recipe.shorter is not None:
        factor *= recipe.shorter / min(labels.shape)
    sides = [max(round(factor * side), 1) for side in labels.shape]
    if recipe.fill:
        sides = [max(side, least) for side, least in zip(sides, crop, strict=True)]
    size = (sides[0], sides[1])
    if labels.shape == size:
        return image, labels
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    return image, cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _padded(image: Image, labels: Labels, recipe: Recipe, size: tuple[int, int]) -> tuple[Image, Labels]:
    """Pad on the right and below to at least this size."""
    below, right = (max(crop - side, 0) for side, crop in zip(labels.shape, size, strict=True))
    if not (below or right):
        return image, labels
    colour = recipe.pad_colour or _MEAN_COLOUR
    label = IGNORE if recipe.pad_label is None else recipe.pad_label
    image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=colour)
    return image, cv2.copyMakeBorder(labels, 0, below, 0, right, cv2.BORDER_CONSTANT, value=label)


def _around_one(rng: np.random.Generator, spread: float, count: int = 1) -> np.ndarray:
    return rng.uniform(1 - spread, 1 + spread, count) if spread else np.ones(count)


def _photometric(image: Image, rng: np.random.Generator) -> Image:
    """Brightness by up to 32 levels, contrast and saturation by a half, hue by 18 of 180: each in half of the views."""
    view = image.astype(np.float32)
    if rng.random() < 0.5:
        view += np.float32(rng.uniform(-32, 32))
    contrast_first = rng.random() < 0.5
    contrast = np.float32(rng.uniform(0.5, 1.5)) if rng.random() < 0.5 else np.float32(1)
    view = (view * contrast if contrast_first else view).clip(0, 255)
    hsv = cv2.cvtColor(view.round().astype(np.uint8), cv2.COLOR_RGB2HSV)
    if rng.random() < 0.5:
        hsv[..., 1] = (hsv[..., 1] * rng.uniform(0.5, 1.5)).clip(0, 255)
    if rng.random() < 0.5:
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(rng.integers(-18, 19))) % 180
    view = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)
    return (view if contrast_first else view * contrast).clip(0, 255).round().astype(np.uint8)
