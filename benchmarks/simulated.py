"""Simulated datasets with a known truth: overdispersed per-image counts of two systems on the same images.

The model has what makes intervals of real counts difficult: classes in few images; areas over orders of magnitude, so
that a few images dominate a class; images and objects that are difficult for both systems alike; and false positives
that are clustered.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from segablate.metrics.confusion import ClassCounts

PIXELS = 1 << 17
"""Pixels of an image."""

STEP = 20_000
"""Images of the population that are simulated at a time."""


@dataclass(frozen=True)
class World:
    """A population of images: for each class (C,) the share of images that contain it and its log area, and the log
    odds (2, C) of each system to predict a pixel of it right."""

    presence: NDArray
    log_area: NDArray
    skill: NDArray


def draw_world(classes: int, shift: float, seed: int) -> World:
    """Sample a world in which the log odds of the systems differ by shift x N(0.2, 1) per class; 0: equal systems."""
    generator = np.random.default_rng(seed)
    presence = np.geomspace(0.95, 0.06, classes)
    log_area = 3.0 * presence + generator.normal(0, 0.5, classes)
    skill = generator.normal(1.2, 0.8, classes)
    return World(presence, log_area, np.stack([skill, skill + shift * generator.normal(0.2, 1.0, classes)]))


def draw_dataset(world: World, images: int, generator: Generator) -> tuple[ClassCounts, ClassCounts]:
    """Sample the counts of both systems on ``images`` new images."""
    size = images, world.presence.size
    area = (generator.random(size) < world.presence) * np.exp(world.log_area + generator.normal(0, 1.0, size))
    area[:, 0] += 1e-3  # no image is empty
    labelled = np.floor(PIXELS * area / area.sum(axis=1, keepdims=True))
    difficulty = generator.normal(0, 0.7, (images, 1)) + generator.normal(0, 0.7, size)
    # wrong pixels go to few classes, mostly those in the image, and largely the same ones for both systems
    lure = ((area > 0) + 0.05) * generator.gamma(0.3, size=size)
    first, second = (_system(skill - difficulty, labelled, lure, generator) for skill in world.skill)
    return first, second


def _system(odds: NDArray, labelled: NDArray, lure: NDArray, generator: Generator) -> ClassCounts:
    hits = np.floor(labelled / (1.0 + np.exp(-odds - generator.normal(0, 0.5, odds.shape))))
    lure = lure * generator.gamma(2.0, size=lure.shape) + 1e-12
    false = np.floor((labelled - hits).sum(axis=1, keepdims=True) * lure / lure.sum(axis=1, keepdims=True))
    return ClassCounts(hits.astype(np.int64), labelled.astype(np.int64), (hits + false).astype(np.int64))


def draw_population(world: World, images: int = 400_000, seed: int = 1) -> tuple[ClassCounts, ClassCounts]:
    """Return the counts of both systems over a population of ``images``, each (1, C)."""
    generator = np.random.default_rng(seed)
    parts = [[_total(s) for s in draw_dataset(world, STEP, generator)] for _ in range(images // STEP)]
    first, second = (_total(_stack([part[s] for part in parts])) for s in (0, 1))
    return first, second


def _total(counts: ClassCounts) -> ClassCounts:
    return ClassCounts(*(x.sum(axis=0, keepdims=True) for x in (counts.hits, counts.labelled, counts.predicted)))


def _stack(parts: list[ClassCounts]) -> ClassCounts:
    return ClassCounts(*(np.concatenate([getattr(p, x) for p in parts]) for x in ("hits", "labelled", "predicted")))
