"""Probabilities of each class against the rest with their binary cross entropy, a few classes at a time, in float64.

Maps are N k H W, for the k classes of a slice. No logarithm is taken of a value that may be rounded to 0.
"""

from collections.abc import Iterable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Binary(Protocol):
    """Interface of :class:`Logistic` and :class:`Softmax`, both made of logits N C H W."""

    logits: Tensor

    def probability(self, classes: slice) -> Tensor:
        """Return p."""
        ...

    def complement(self, classes: slice) -> Tensor:
        """Return 1 - p, exact where p is almost 1."""
        ...

    def entropy(self, classes: slice, target: Tensor) -> Tensor:
        """Return H = -y ln p - (1 - y) ln(1 - p), in nats; the target y is 0 or 1."""
        ...

    def collect(self, classes: slice, target: Tensor, weight: Tensor, slope: Tensor) -> Tensor:
        """Return these classes' share of the gradient, from the weights of H and the gradient at p from elsewhere."""
        ...

    def finish(self, gradient: Tensor, chunks: Iterable[slice]) -> None:
        """Turn the collected shares of all classes (N C H W, in place) into the gradient at the logits, once."""
        ...


class Logistic:
    """p = 1/(1 + exp(-z)), one logit a class."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def probability(self, classes: slice) -> Tensor:
        return self.logits[:, classes].double().sigmoid()

    def complement(self, classes: slice) -> Tensor:
        return (-self.logits[:, classes].double()).sigmoid()

    def entropy(self, classes: slice, target: Tensor) -> Tensor:
        return F.softplus((1 - 2 * target) * self.logits[:, classes])

    def collect(self, classes: slice, target: Tensor, weight: Tensor, slope: Tensor) -> Tensor:
        probability = self.probability(classes)
        return weight * (probability - target) + slope * probability * (1 - probability)

    def finish(self, gradient: Tensor, chunks: Iterable[slice]) -> None:
        """Do nothing: a logit enters the probability of its own class alone."""


class Softmax:
    """p = softmax(z).

    The largest class of a pixel may have a p that rounds to 1: its 1 - p is summed from the others. With b_k = p_k
    times the gradient at p_k, the gradient at z_j is b_j - p_j Σ_k b_k; where the largest class m is not the label, its
    b_m grows without bound and is collected separately: w_m p_m at z_m, -w_m p_m p_j/(1 - p_m) at the others.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.total = logits.double().logsumexp(1, keepdim=True)  # N 1 H W
        self.largest = logits.argmax(1, keepdim=True)  # N 1 H W
        others = logits.double().scatter(1, self.largest, -torch.inf).logsumexp(1, keepdim=True)  # N 1 H W
        self.log_rest = others - self.total  # ln(1 - p) of the largest class
        self.shared = torch.zeros_like(self.total)
        self.mistaken = torch.zeros_like(self.total)

    def probability(self, classes: slice) -> Tensor:
        return self._log_probability(classes).exp()

    def complement(self, classes: slice) -> Tensor:
        return self.log_rest.exp().where(self._is_largest(classes), 1 - self.probability(classes))

    def entropy(self, classes: slice, target: Tensor) -> Tensor:
        log_probability = self._log_probability(classes)
        log_rest = self.log_rest.where(self._is_largest(classes), (-log_probability.exp()).log1p())
        return -log_probability.where(target > 0, log_rest)

    def collect(self, classes: slice, target: Tensor, weight: Tensor, slope: Tensor) -> Tensor:
        probability, largest = self.probability(classes), self._is_largest(classes)  # N k H W
        small = probability.where(~largest, 0)  # at most a half
        share = slope * probability + weight * torch.where(target > 0, -1, small / (1 - small))  # N k H W
        self.shared += share.sum(1, keepdim=True)
        self.mistaken += (weight * probability).where(largest & (target == 0), 0).sum(1, keepdim=True)
        return share

    def finish(self, gradient: Tensor, chunks: Iterable[slice]) -> None:
        for classes in chunks:
            log_probability = self._log_probability(classes)
            relative = (log_probability - self.log_rest).exp().where(~self._is_largest(classes), -1)
            gradient[:, classes] -= log_probability.exp() * self.shared + self.mistaken * relative

    def _log_probability(self, classes: slice) -> Tensor:
        return self.logits[:, classes].double() - self.total

    def _is_largest(self, classes: slice) -> Tensor:
        index = torch.arange(classes.start, classes.stop, device=self.logits.device)
        return self.largest == index.view(1, -1, 1, 1)
