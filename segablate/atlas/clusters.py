"""Clusters of losses by the cosines of their gradients, and how stable they are under resampling of the images.

Average linkage on 1 − cosine (UPGMA; Sokal and Michener, University of Kansas Science Bulletin 38, 1958): the distance
of two clusters is the mean over all pairs across them. The stability of a cluster is its mean largest Jaccard index
over replicates (Hennig, Computational Statistics & Data Analysis 52, 2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segablate.statistics.bootstrap import Distribution, Floats, by_image, resample
from segablate.statistics.bounds import CORRELATION
from segablate.statistics.intervals import Interval, estimate
from segablate.statistics.scores import means

REPLICATES = 1_000

SAME = 0.9
"""The cosine from which on two losses count as the same, unless asked otherwise."""


@dataclass(frozen=True)
class Similarity:
    """The mean cosine of every two of L losses over images, and their tree.

    - `cosine`, `low`, `high`: (L, L), the mean over the images on which both gradients are defined, and its 95 % CI.
    - `merges`: (L-1, 4), the tree as scipy has it; `order`: the losses in the order of its leaves.
    - `clusters`: the members of each, cut at an average cosine of `bound`, in the order of the tree.
    - `stability`: of the clusters.
    """

    names: tuple[str, ...]
    cosine: np.ndarray
    low: np.ndarray
    high: np.ndarray
    merges: np.ndarray
    order: tuple[int, ...]
    clusters: tuple[tuple[int, ...], ...]
    bound: float
    stability: "Stability"

    def place(self, name: str) -> int | None:
        """Return the place of a loss in the matrix; None where it is not in it."""
        return self.names.index(name) if name in self.names else None


@dataclass(frozen=True)
class Stability:
    """How often clusters come back in `replicates` of the images.

    - `same`: share of the replicates with the same clusters, all of them.
    - `together`: (L, L), share of the replicates in which two losses are in one cluster.
    - `jaccard`: for each cluster the mean of the largest Jaccard index with a cluster of the replicate.
    """

    replicates: int
    same: float
    together: np.ndarray
    jaccard: tuple[float, ...]


def similarity(names: Sequence[str], cosines: np.ndarray, bound: float = SAME, seed: int = 0) -> Similarity | None:
    """Return the similarity of losses from cosines (N, L, L) of N images; nan where undefined.

    A loss whose gradient is never defined is left out, see :func:`comparable`. None for fewer than two losses.
    """
    kept = comparable(cosines)
    if len(kept) < 2:
        return None
    pairs = np.triu_indices(len(kept), 1)
    values = cosines[:, kept][:, :, kept][:, pairs[0], pairs[1]]  # N P
    distribution, interval = mean_cosines(values, seed)
    merges = tree(distribution.value, ordered=True)
    order, clusters = leaves(merges), partition(merges, bound)
    return Similarity(
        tuple(names[place] for place in kept),
        square(distribution.value, 1.0),
        square(interval.low, 1.0),
        square(interval.high, 1.0),
        merges,
        order,
        clusters,
        bound,
        stability(clusters, distribution.replicates, bound),
    )


def mean_cosines(values: np.ndarray, seed: int = 0) -> tuple[Distribution, Interval]:
    """Return the means over images of the cosines of pairs, (N, P), nan where undefined, and their 95 % CI in -1..1.

    The interval is BCa: cosines near 1 have a long tail below, for which the percentile one is too low. Its coverage is
    measured by ``benchmarks/cosines.py``.
    """
    distribution = resample([means(values, bounds=CORRELATION)], by_image(len(values), REPLICATES, seed))[0]["mean"]
    return distribution, estimate(distribution).bca


def comparable(cosines: np.ndarray) -> list[int]:
    """Return the losses of which every two have a cosine on some image, (N, L, L).

    Without those whose gradient is nowhere defined; then, one by one, without that with the most undefined pairs.
    """
    defined = np.any(~np.isnan(cosines), axis=0)  # L L
    kept = [place for place in range(len(defined)) if defined[place, place]]
    while kept and not defined[np.ix_(kept, kept)].all():
        undefined = (~defined[np.ix_(kept, kept)]).sum(axis=1)
        kept.pop(len(kept) - 1 - int(np.argmax(undefined[::-1])))
    return kept


def tree(pairs: Floats, *, ordered: bool = False) -> np.ndarray:
    """Return the merges of average linkage on 1 − cosine, (L-1, 4), from the cosines of pairs i < j, (P,).

    With `ordered`, neighbouring leaves are as alike as the tree allows.
    """
    from scipy.cluster.hierarchy import linkage

    return linkage(1.0 - pairs, "average", optimal_ordering=ordered)


def leaves(merges: np.ndarray) -> tuple[int, ...]:
    """Return the losses in the order of the leaves."""
    from scipy.cluster.hierarchy import leaves_list

    return tuple(leaves_list(merges).tolist())


def partition(merges: np.ndarray, bound: float) -> tuple[tuple[int, ...], ...]:
    """Return the clusters whose losses merge at an average cosine of at least `bound`, in the order of the leaves."""
    from scipy.cluster.hierarchy import fcluster

    of_loss = fcluster(merges, 1.0 - bound + 1e-12, "distance")
    found: dict[int, list[int]] = {}
    for place in leaves(merges):
        found.setdefault(int(of_loss[place]), []).append(place)
    return tuple(map(tuple, found.values()))


def stability(clusters: Sequence[Sequence[int]], replicates: Floats, bound: float) -> Stability:
    """Cluster every replicate of the pairs' cosines, (B, P), without those in which one is undefined."""
    known = replicates[~np.isnan(replicates).any(axis=1)]
    members = _members(clusters)  # K L
    together, jaccard, same = np.zeros((members.shape[1],) * 2), np.zeros(len(members)), 0
    for pairs in known:
        of_replicate = _members(partition(tree(pairs), bound))  # k L
        together += of_replicate.T @ of_replicate
        index = _jaccard(members, of_replicate)
        jaccard += index
        same += bool((index == 1).all())
    count = len(known) or np.nan
    return Stability(len(known), same / count, together / count, tuple((jaccard / count).tolist()))


def square(pairs: np.ndarray, diagonal: float) -> np.ndarray:
    """Return the symmetric matrix of the values of pairs i < j."""
    size = round((1 + (1 + 8 * len(pairs)) ** 0.5) / 2)
    whole = np.full((size, size), diagonal)
    rows, columns = np.triu_indices(size, 1)
    whole[rows, columns] = whole[columns, rows] = pairs
    return whole


def _members(clusters: Sequence[Sequence[int]]) -> np.ndarray:
    """Return membership as 0 and 1, clusters by losses."""
    found = np.zeros((len(clusters), sum(map(len, clusters))))
    for row, places in zip(found, clusters, strict=True):
        row[list(places)] = 1
    return found


def _jaccard(members: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each cluster the largest share that it and one of the others have in common of both."""
    common = members @ others.T  # K k
    union = members.sum(axis=1)[:, None] + others.sum(axis=1) - common
    return (common / union).max(axis=1)
