"""The authors' policy search: a truncated normal for every raw coordinate, whose mean follows the clipped ratio.

The policy is independent in its coordinates: a normal of mean μ = sigmoid(m) and deviation σ, cut off at 0 and 1.
Sample 0 of a round is μ itself and its reward the baseline, so A_s = R_s - R_0. With the ratio q_sd of the density at
sample s and coordinate d to that when it was sampled, each round maximises over m, by Adam, whose moments go on over
rounds::

    Σ_d mean_s min(q_sd A_s, clip(q_sd, 1 - c, 1 + c) A_s)

Ratio and clipping are of each coordinate, not of their joint density, and advantages are not divided by their
deviation, as in the authors' code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from segablate.search.samplers import Design, Scored
from segablate.search.space import Floats

PACKAGE = ""

SIGMA = 0.2
CLIP = 0.2
STEPS = 60
RATE = 0.2
"""Deviation of the normals; half-width of the clipped ratio; steps of Adam in a round, and their learning rate."""

_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8


def propose(design: Design, earlier: Sequence[Scored]) -> Floats:
    """Return μ and samples of the policy that the earlier rounds led to, (S, D)."""
    mean = policy_mean(design.start, earlier)
    uniform = np.random.default_rng([design.seed, len(earlier)]).random((design.samples, len(mean)))
    raw = truncated_normal(mean, uniform)
    raw[0] = mean
    return raw


def truncated_normal(mean: Floats, uniform: Floats) -> Floats:
    """Return samples (S, D) of the policy at uniform numbers in 0..1, by the inverse of its distribution function."""
    below, above = ndtr(-mean / SIGMA), ndtr((1 - mean) / SIGMA)  # D
    return np.clip(mean + SIGMA * ndtri(below + uniform * (above - below)), 0, 1)


@dataclass
class _Adam:
    """The policy's parameters m, D, and the moments of their gradient."""

    place: Floats
    first: Floats
    second: Floats
    steps: int = 0

    def ascend(self, gradient: Floats) -> None:
        self.steps += 1
        self.first = _FIRST * self.first + (1 - _FIRST) * gradient
        self.second = _SECOND * self.second + (1 - _SECOND) * gradient**2
        mean, square = self.first / (1 - _FIRST**self.steps), self.second / (1 - _SECOND**self.steps)
        self.place = self.place + RATE * mean / (np.sqrt(square) + _TINY)


def policy_mean(start: Floats, earlier: Sequence[Scored]) -> Floats:
    """Return μ, (D,), after the updates by all earlier rounds."""
    adam = _Adam(logit(start), np.zeros(len(start)), np.zeros(len(start)))
    for scored in earlier:
        advantages = (scored.rewards - scored.rewards[0])[:, None]  # S 1
        sampled_at = log_density(scored.raw, expit(adam.place))  # S D
        for _ in range(STEPS):
            adam.ascend(_gradient(scored.raw, advantages, sampled_at, adam.place))
    return expit(adam.place)


def log_density(raw: Floats, mean: Floats) -> Floats:
    """Return the log density of the policy at raw coordinates (S, D), up to a constant."""
    inside = ndtr((1 - mean) / SIGMA) - ndtr(-mean / SIGMA)  # D
    return -(((raw - mean) / SIGMA) ** 2) / 2 - np.log(inside)


def _gradient(raw: Floats, advantages: Floats, sampled_at: Floats, place: Floats) -> Floats:
    """Return the gradient of the objective in m, (D,)."""
    mean = expit(place)
    ratio = np.exp(log_density(raw, mean) - sampled_at)  # S D
    free = np.where(advantages > 0, ratio <= 1 + CLIP, ratio >= 1 - CLIP)  # where the minimum is not the clipped side
    of_density = (free * ratio * advantages * _slope(raw, mean)).mean(axis=0)  # D
    return of_density * mean * (1 - mean)


def _slope(raw: Floats, mean: Floats) -> Floats:
    """Return the derivative of the log density in the mean, (S, D)."""
    low, high = -mean / SIGMA, (1 - mean) / SIGMA  # D
    inside = ndtr(high) - ndtr(low)
    return (raw - mean) / SIGMA**2 - (_normal(low) - _normal(high)) / (SIGMA * inside)


def _normal(z: Floats) -> Floats:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
