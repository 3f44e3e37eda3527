"""Augmentation of colours: light, contrast, saturation, hue, blur."""

import cv2
import numpy as np

from segablate.training.recipe import Recipe

Image = np.ndarray
"""H W 3 uint8 RGB."""


def recolour(image: Image, recipe: Recipe, rng: np.random.Generator) -> Image:
    """Return the image under other light, contrast and saturation, distorted and blurred as the recipe says."""
    if recipe.photometric:
        image = distort(image, rng)
    if recipe.brightness or recipe.tint or recipe.contrast or recipe.saturation:
        image = _relit(image, recipe, rng)
    if recipe.blur and rng.random() < recipe.blur:
        image = cv2.GaussianBlur(image, (0, 0), max(float(rng.random()), 1e-3))
    return image


def distort(image: Image, rng: np.random.Generator) -> Image:
    """Return a photometric distortion as in mmsegmentation.

    Brightness by up to 32 levels, contrast and saturation by up to a half, hue by up to 18 of 180: each in half of the
    views, contrast before or after saturation and hue.
    """
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


def _relit(image: Image, recipe: Recipe, rng: np.random.Generator) -> Image:
    """The factors of brightness, tint, contrast and saturation: one affine map of colours, rounded once."""
    light = _around_one(rng, recipe.brightness) * _around_one(rng, recipe.tint, 3)
    contrast = float(_around_one(rng, recipe.contrast)[0])
    saturation = float(_around_one(rng, recipe.saturation)[0])
    mixing = contrast * (saturation * np.eye(3) + (1 - saturation) / 3) * light  # 3 3, from colours to colours
    grey = (1 - contrast) * 127.5
    affine = np.concatenate([mixing, np.full((3, 1), grey)], axis=1).astype(np.float32)
    return cv2.transform(image, affine)


def _around_one(rng: np.random.Generator, spread: float, count: int = 1) -> np.ndarray:
    return rng.uniform(1 - spread, 1 + spread, count) if spread else np.ones(count)
