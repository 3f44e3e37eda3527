"""Simulated trainings with a known truth: overdispersed per-image counts of settings x seeds on the same images.

Three things decide how sure a difference of two settings is, and each has its size here: what a training adds to a
setting's skill (of setting x seed, over all images), what a setting is better or worse at on single images (of
setting x image, over all its trainings), and what a training is better or worse at on single images. What setting and
image, or setting and seed, have in common for all settings cancels in the difference; it is there too.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from segablate.metrics.confusion import ClassCounts, mean_iou
from segablate.statistics.bootstrap import Statistic, by_image
from segablate.statistics.bounds import SHARE
from segablate.statistics.influences import influences
from segablate.statistics.scores import of_sums
from segablate.statistics.trainings import Trainings

PIXELS = 1 << 17
"""Pixels of an image."""


@dataclass(frozen=True)
class Regime:
    """k settings of one skill, in standard deviations of the log odds that a pixel of a class is hit.

    - ``of_seed``: setting x seed; ``of_image``: setting x image x class.
    - ``spreads`` (k,): factors of ``of_seed``; the first is the baseline's, the second that of the compared setting.
    - ``shared``: whether trainings under one seed have an effect in common.
    """

    of_seed: float
    of_image: float
    seeds: int = 3
    images: int = 100
    spreads: tuple[float, ...] = (1, 1, 1, 1, 1)
    shared: bool = True
    classes: int = 8


def draw_trainings(regime: Regime, generator: Generator) -> Trainings:
    """The mIoU of every training on new images, with the influences of the images."""
    size, k = (regime.images, regime.classes), len(regime.spreads)
    labelled, lure, difficulty = draw_images(size, generator)
    of_setting = generator.normal(0, regime.of_image, (k, *size))
    skill = 1.2 + generator.normal(0, regime.of_seed, (k, regime.seeds, regime.classes)) * _column(regime.spreads)
    if regime.shared:
        skill += generator.normal(0, regime.of_seed, (regime.seeds, regime.classes))
    plan, cells = by_image(regime.images), []
    for setting in range(k):
        for seed in range(regime.seeds):
            odds = skill[setting, seed] + of_setting[setting] - difficulty
            counts = draw_counts(odds, labelled, lure, generator)
            cells.append(influences(miou(counts), plan)["miou"])
    return Trainings(
        np.array([cell.value for cell in cells]).reshape(k, -1),
        np.array([cell.influence for cell in cells]).reshape(k, regime.seeds, -1),
        np.array([cell.support for cell in cells]).reshape(k, -1),
    )


def miou(counts: ClassCounts) -> Statistic:
    """``miou`` alone, of counts per image: other region scores would take most of the time."""
    columns = [counts.hits, counts.labelled, counts.predicted]
    return of_sums(columns, lambda *sums: {"miou": mean_iou(ClassCounts(*sums))}, {"miou": SHARE})


def draw_images(size: tuple[int, int], generator: Generator) -> tuple[NDArray, NDArray, NDArray]:
    """Labelled pixels, classes to which misses go, and difficulty, (N, C) each: the same for all trainings."""
    presence = np.geomspace(0.95, 0.3, size[1])
    area = (generator.random(size) < presence) * np.exp(3.0 * presence + generator.normal(0, 1.0, size))
    area[:, 0] += 1e-3  # no image is empty
    labelled = np.floor(PIXELS * area / area.sum(axis=1, keepdims=True))
    lure = ((area > 0) + 0.05) * generator.gamma(0.3, size=size)
    return labelled, lure, generator.normal(0, 0.7, (size[0], 1)) + generator.normal(0, 0.7, size)


def draw_counts(odds: NDArray, labelled: NDArray, lure: NDArray, generator: Generator) -> ClassCounts:
    """The counts (N, C) of one training whose log odds to hit a pixel are ``odds``, and noise of its own."""
    hits = np.floor(labelled / (1.0 + np.exp(-odds - generator.normal(0, 0.3, odds.shape))))
    lure = lure * generator.gamma(2.0, size=lure.shape) + 1e-12
    false = np.floor((labelled - hits).sum(axis=1, keepdims=True) * lure / lure.sum(axis=1, keepdims=True))
    return ClassCounts(hits.astype(np.int64), labelled.astype(np.int64), (hits + false).astype(np.int64))


@cache
def true_difference(regime: Regime, trainings: int = 1500, images: int = 1000) -> float:
    """mIoU of the second setting - that of the first, over all trainings and images.

    0 where their spreads are equal. Elsewhere the mean over as many trainings of each, each on images of its own.
    """
    baseline, compared = regime.spreads[:2]
    if baseline == compared:
        return 0.0
    alone = replace(regime, seeds=1, images=images, spreads=(baseline, compared))
    score = [draw_trainings(alone, np.random.default_rng([1, number])).score for number in range(trainings)]
    return float(np.mean([second - first for first, second in np.reshape(score, (-1, 2))]))


def _column(values: tuple[float, ...]) -> NDArray:
    return np.array(values)[:, None, None]
