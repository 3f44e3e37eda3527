"""The bootstrap over images (or clusters of images): one pass of the weights for many scores of many systems.

A bootstrap replicate is determined by how often each image occurs in it. So a :data:`Statistic` is a function of image
weights: weights of one yield the score itself, multinomial counts its bootstrap replicates (Efron, The Annals of
Statistics 7, 1979), and ones with a single zero its jackknife values. Statistics that are resampled together see the
same weights, which makes a comparison paired.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segablate.statistics.bounds import UNBOUNDED, Bounds, Floats

CELLS = 1 << 20
"""Weights in a chunk, 8 MB of float64: memory stays bounded, and products are large enough for threads of BLAS."""


@dataclass(frozen=True)
class Statistic:
    """Function from image weights, (B, N), to named scores under each row, (B,) or (B, C); nan where undefined.

    ``bounds`` are those of each score by its name.
    """

    scores: Callable[[Floats], dict[str, Floats]]
    bounds: Mapping[str, Bounds]

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Return the scores by name under each row of the weights."""
        return self.scores(weights)


@dataclass(frozen=True)
class Resampling:
    """A resampling plan: ``replicates`` samples with replacement of all G clusters of images, from ``seed``.

    ``groups`` (N,) holds the cluster index, 0..G-1, of each of N images.
    """

    groups: NDArray[np.int64]
    replicates: int = 10_000
    seed: int = 0

    @cached_property
    def clusters(self) -> int:
        """The number of clusters, G."""
        return int(self.groups.max(initial=-1)) + 1

    @cached_property
    def single(self) -> bool:
        """Whether every image is a cluster of its own, in order."""
        return np.array_equal(self.groups, np.arange(self.groups.size))


def by_image(images: int, replicates: int = 10_000, seed: int = 0) -> Resampling:
    """Return the plan that resamples single images."""
    return Resampling(np.arange(images), replicates, seed)


def by_cluster(clusters: ArrayLike, replicates: int = 10_000, seed: int = 0) -> Resampling:
    """Return the plan that resamples whole clusters, named or numbered by ``clusters`` (N,).

    For images that are not independent, such as the frames of one video: resampled one by one, they would yield an
    interval that is too narrow.
    """
    return Resampling(np.unique(np.asarray(clusters), return_inverse=True)[1].reshape(-1), replicates, seed)


@dataclass(frozen=True)
class Distribution:
    """One score, or one per class, with its bootstrap replicates and jackknife values.

    ``value`` has the shape S of the score, () or (C,); ``replicates`` is (B, *S); ``jackknife`` (G, *S) leaves out one
    cluster at a time. ``support`` S counts the clusters that the score rests on: those on which alone it is defined,
    or, for scores of a class, those that label it (:func:`clusters_with`). ``bounds`` are those of the score, to which
    its intervals are cut.
    """

    value: Floats
    replicates: Floats
    jackknife: Floats
    support: NDArray[np.int64]
    bounds: Bounds = UNBOUNDED


def resample(statistics: Sequence[Statistic], plan: Resampling) -> list[dict[str, Distribution]]:
    """Resample several statistics of the same images together; return the distributions of each by name.

    Replicate b of all statistics is of the same weights, so that scores of two systems can be subtracted. Integer sums
    up to 2**53 are exact, whatever the chunks.
    """
    images = plan.groups.size
    values = _apply(statistics, iter([np.ones((1, images))]), 1)
    support = _supports(statistics, plan)
    jackknife = _apply(statistics, _left_out(plan), plan.clusters)
    replicates = _apply(statistics, replicate_weights(plan), plan.replicates)
    return [
        {name: Distribution(value[name][0], b[name], j[name], on[name], statistic.bounds[name]) for name in value}
        for statistic, value, b, j, on in zip(statistics, values, replicates, jackknife, support, strict=True)
    ]


def clusters_with(present: NDArray[np.bool_], plan: Resampling) -> NDArray[np.int64]:
    """Return for each column of ``present`` (N, Q) the number of clusters with an image where it is true, (Q,)."""
    together = np.zeros((plan.clusters, present.shape[1]), bool)
    np.logical_or.at(together, plan.groups, present)
    return together.sum(axis=0)


def replicate_weights(plan: Resampling) -> Iterator[Floats]:
    """Yield image weights in chunks (b, N): how often the cluster of each image occurs in a replicate.

    Multinomial counts are made of uniform integers, several times faster than sampling multinomials; the stream of
    integers does not depend on the chunks.
    """
    generator, n = np.random.default_rng(plan.seed), plan.clusters
    for start, stop in _chunks(plan.replicates, plan):
        rows = np.arange(stop - start)[:, None]
        picks = generator.integers(0, n, size=(stop - start, n)) + n * rows
        counts = np.bincount(picks.reshape(-1), minlength=picks.size).reshape(picks.shape).astype(np.float64)
        yield counts if plan.single else counts[:, plan.groups]


def _left_out(plan: Resampling) -> Iterator[Floats]:
    """Yield image weights in chunks (b, N) that are 0 for one cluster and 1 for the others."""
    for start, stop in _chunks(plan.clusters, plan):
        yield (plan.groups != np.arange(start, stop)[:, None]).astype(np.float64)


def _chunks(rows: int, plan: Resampling) -> Iterator[tuple[int, int]]:
    step = max(1, CELLS // max(1, plan.groups.size))
    return ((start, min(start + step, rows)) for start in range(0, rows, step))


def _supports(statistics: Sequence[Statistic], plan: Resampling) -> list[dict[str, NDArray[np.int64]]]:
    """Return for every statistic the number of clusters on which alone each of its scores is defined."""
    found: list[dict[str, NDArray[np.int64]]] = [{} for _ in statistics]
    for rest in _left_out(plan):
        for supports, statistic in zip(found, statistics, strict=True):
            for name, score in statistic(1.0 - rest).items():
                supports[name] = supports.get(name, 0) + np.sum(~np.isnan(score), axis=0)
    return found


def _apply(statistics: Sequence[Statistic], weights: Iterator[Floats], rows: int) -> list[dict[str, Floats]]:
    """Apply every statistic to every chunk of weights; its scores are gathered to (rows, *S)."""
    gathered: list[dict[str, Floats]] = [{} for _ in statistics]
    start = 0
    for chunk in weights:
        for scores, statistic in zip(gathered, statistics, strict=True):
            for name, score in statistic(chunk).items():
                scores.setdefault(name, np.empty((rows, *score.shape[1:])))[start : start + len(chunk)] = score
        start += len(chunk)
    return gathered
