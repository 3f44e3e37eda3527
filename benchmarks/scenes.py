"""Synthetic street-like pairs of label maps: regions, thin and small objects, void; predictions with typical errors."""

import cv2
import numpy as np

from segablate.labels import IGNORE


def scene_pair(height: int, width: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a pair ``(labels, predicted)``, both uint8 (height, width); only labels have void."""
    rng = np.random.default_rng(seed)
    scene = _scene(height, width, classes, rng)
    labels = _with_objects(scene, classes, rng)
    predicted = _swap_patches(_displace(scene, rng), classes, rng)
    shift = rng.integers(-2, 3, size=2)
    found = np.roll(labels != scene, shift, axis=(0, 1)) & _blobs(height, width, 0.7, rng)  # the other objects are lost
    predicted[found] = np.roll(labels, shift, axis=(0, 1))[found]
    labels[_blobs(height, width, 0.07, rng)] = IGNORE
    return labels, predicted


def _field(height: int, width: int, cell: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise with features of about ``cell`` pixels, float32 (height, width)."""
    coarse = rng.standard_normal((height // cell + 3, width // cell + 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def _blobs(height: int, width: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth mask that covers ``share`` of the image, bool (height, width)."""
    field = _field(height, width, max(2, height // 12), rng)
    return field > np.quantile(field[::4, ::4], 1 - share)


def _scene(height: int, width: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Return regions, the argmax of a few smooth fields with finer noise, uint8 (height, width)."""
    present = rng.permutation(classes)[: max(1, classes * 3 // 4)]
    fields = [_field(height, width, max(2, height // 5), rng) + 0.04 * _field(height, width, 12, rng) for _ in present]
    return present.astype(np.uint8)[np.argmax(np.stack(fields), axis=0)]


def _with_objects(scene: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Add poles and small ellipses on top of the regions."""
    height, width = scene.shape
    labels = scene.copy()
    for _ in range(60):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        size = max(2, int(rng.exponential(height / 60)))
        kind = int(rng.integers(classes))
        if rng.random() < 0.3:
            cv2.rectangle(labels, (x, y), (x + 1 + size // 6, y + 6 * size), kind, -1)
        else:
            cv2.ellipse(labels, (x, y), (size, 2 * size), float(rng.uniform(0, 180)), 0, 360, kind, -1)
    return labels


def _displace(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Displace the scene by a smooth field of a few pixels."""
    height, width = scene.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    cell = max(2, height // 32)
    rows += 2 * _field(height, width, cell, rng)
    columns += 2 * _field(height, width, cell, rng)
    return cv2.remap(scene, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


def _swap_patches(predicted: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Replace blobs of the prediction by another class."""
    predicted = predicted.copy()
    for _ in range(2):
        predicted[_blobs(*predicted.shape, 0.015, rng)] = rng.integers(classes)
    return predicted
