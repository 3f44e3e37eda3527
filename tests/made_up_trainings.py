"""Scores of trainings and the influences of images on them: counted from made-up counts, or drawn."""

import numpy as np

from segablate.metrics.confusion import ClassCounts
from segablate.statistics.bootstrap import by_image
from segablate.statistics.influences import influences
from segablate.statistics.scores import region_scores
from segablate.statistics.trainings import Trainings

IMAGES, CLASSES = 30, 4


def counts(seed: int, skill: float = 0.7, images: int = IMAGES) -> ClassCounts:
    """Labels are those of the images, predictions those of the seed."""
    labelled = np.random.default_rng(99).integers(0, 400, (images, CLASSES))
    rng = np.random.default_rng(seed)
    hits = (labelled * np.clip(rng.normal(skill, 0.15, labelled.shape), 0, 1)).astype(int)
    return ClassCounts(hits, labelled, hits + rng.integers(0, 100, labelled.shape))


def trainings(table: list[list[ClassCounts | None]], score: str = "miou", images: int = IMAGES) -> Trainings:
    """As :func:`segablate.comparison.trainings.compare_trainings` puts them together."""
    shape = len(table), len(table[0])
    found = Trainings(np.full(shape, np.nan), np.zeros((*shape, images)), np.zeros(shape, np.int64))
    for place, cell in np.ndenumerate(np.array(table, dtype=object)):
        if cell is not None:
            of_cell = influences(region_scores(cell), by_image(images))[score]
            found.score[place], found.influence[place] = of_cell.value, of_cell.influence
            found.support[place] = of_cell.support
    return found


def made_up(score: list[list[float]] | np.ndarray, noise: float = 0.0, seed: int = 0, images: int = 40) -> Trainings:
    """These scores, with influences of the images that are partly those of the setting, partly of the training."""
    score = np.asarray(score, float)
    rng = np.random.default_rng(seed)
    influence = noise * (rng.normal(size=(len(score), 1, images)) + rng.normal(size=(*score.shape, images)))
    return Trainings(score, influence - influence.mean(axis=2, keepdims=True), np.full(score.shape, images))


def random_scores(settings: int, seeds: int, seed: int = 0) -> np.ndarray:
    """Settings and seeds have effects of their own, and each training one more."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(0, 0.02, (settings, 1)) + rng.normal(0, 0.03, seeds)
    return 0.7 + effects + rng.normal(0, 0.01, (settings, seeds))
