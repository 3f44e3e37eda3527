"""Spearman's rank correlation over images, for several settings against one target, and its bootstrap."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segablate.statistics.bootstrap import Distribution, Floats, Resampling, Statistic, clusters_with, resample
from segablate.statistics.bounds import CORRELATION


@dataclass(frozen=True)
class _Order:
    """Values (n,) in ascending order: their indices ``order``, the ``starts`` of ties, and the tie of each image."""

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    run: NDArray[np.int64]


def rank_correlation(settings: Floats, target: Floats, plan: Resampling) -> Distribution:
    """Return Spearman's rho of each setting (N, Q) with ``target`` (N,) over N images, resampled.

    Ranks are computed for every replicate, ties sharing their mean rank. An image with a nan in either is left out for
    that setting; rho is nan where either is constant. ``support`` counts the images (or clusters) with a pair, (Q,).
    """
    distribution = resample([spearman(settings, target)], plan)[0]["rho"]
    pairs = ~np.isnan(settings) & ~np.isnan(target)[:, None]
    return replace(distribution, support=clusters_with(pairs, plan))


def spearman(settings: Floats, target: Floats) -> Statistic:
    """Return the statistic ``rho`` (B, Q) of each setting (N, Q) with ``target`` (N,): Pearson's r of mid-ranks.

    A weight of k counts an image k times. With w the weights and r, s the mid-ranks less their mean,
    rho = sum w r s / sqrt(sum w r^2 sum w s^2).
    """
    pairs = ~np.isnan(settings) & ~np.isnan(target)[:, None]
    masks, member = np.unique(pairs, axis=1, return_inverse=True)
    groups = [
        (np.flatnonzero(mask), _sorted(target[mask]), [(q, _sorted(settings[mask, q])) for q in np.flatnonzero(chosen)])
        for mask, chosen in zip(masks.T, member.reshape(-1) == np.arange(masks.shape[1])[:, None], strict=True)
    ]

    def rho(weights: Floats) -> dict[str, Floats]:
        result = np.full((len(weights), settings.shape[1]), np.nan)
        for kept, of_target, of_settings in groups:
            w = weights[:, kept]
            s, s_square = _ranks(w, of_target)
            s *= w
            for q, of_setting in of_settings:
                r, r_square = _ranks(w, of_setting)
                result[:, q] = _correlation(np.einsum("bn,bn->b", r, s), r_square * s_square)
        return {"rho": result}

    return Statistic(rho, {"rho": CORRELATION})


def _sorted(values: Floats) -> _Order:
    order = np.argsort(values, kind="stable")
    first = np.diff(values[order], prepend=np.nan) != 0
    run = np.empty(values.size, dtype=np.int64)
    run[order] = np.cumsum(first) - 1
    return _Order(order, np.flatnonzero(first), run)


def _ranks(weights: Floats, order: _Order) -> tuple[Floats, Floats]:
    """Return mid-ranks of the images less their mean, (B, n), and the weighted sum of their squares (B,).

    Both are exact, being halves of whole numbers, so that constant values have a sum of squares of exactly 0.
    """
    if order.run.size == 0:
        return np.zeros_like(weights), np.zeros(len(weights))
    tied = weights[:, order.order]
    if order.starts.size < order.run.size:
        tied = np.add.reduceat(tied, order.starts, axis=1)
    ranks = np.cumsum(tied, axis=1)
    ranks -= 0.5 * (tied + ranks[:, -1:])
    return ranks[:, order.run], np.einsum("bn,bn,bn->b", tied, ranks, ranks)


def _correlation(product: Floats, squares: Floats) -> Floats:
    known = squares > 0
    rho = product / np.sqrt(np.where(known, squares, 1.0))
    return np.where(known, np.clip(rho, -1.0, 1.0), np.nan)
