"""Probabilities of each class against the rest with their binary cross entropy, a few classes at a time.

Maps are k R W, for the k classes of a slice and R rows of one image. No logarithm is taken of a value that may be
rounded to 0.
"""

from collections.abc import Iterable
from typing import Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor


class Binary(Protocol):
    """Interface of :class:`Logistic` and :class:`Softmax`, both made of logits C R W."""

    @classmethod
    def of(cls, logits: Tensor) -> Self:
        """Prepare the logits of one image."""
        ...

    def cut(self, rows: slice) -> Self:
        """Return the same for some of the rows."""
        ...

    def probability(self, classes: slice) -> Tensor:
        """Return p, a new tensor in float64."""
        ...

    def complement(self, classes: slice) -> Tensor:
        """Return 1 - p, a new tensor in float64, exact where p is almost 1."""
        ...

    def entropy(self, classes: slice, target: Tensor) -> Tensor:
        """Return H = -y ln p - (1 - y) ln(1 - p), in nats and the type of the target y, which is 0 or 1."""
        ...

    def collect(self, classes: slice, target: Tensor, weight: Tensor, slope: Tensor | None) -> Tensor:
        """Return these classes' share of the gradient, from the weights of H and the gradient at p from elsewhere."""
        ...

    def finish(self, gradient: Tensor, chunks: Iterable[slice]) -> None:
        """Turn the collected shares of all classes (C R W, in place) into the gradient at the logits, once."""
        ...


class Logistic:
    """p = 1/(1 + exp(-z)), one logit a class."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @classmethod
    def of(cls, logits: Tensor) -> Self:
        return cls(logits)

    def cut(self, rows: slice) -> Self:
        return type(self)(self.logits[:, rows])

    def probability(self, classes: slice) -> Tensor:
        return self.logits[classes].to(torch.float64, copy=True).sigmoid_()

    def complement(self, classes: slice) -> Tensor:
        return self.logits[classes].double().neg().sigmoid_()

    def entropy(self, classes: slice, target: Tensor) -> Tensor:
        wrong = F.softplus((1 - 2 * target).mul_(self.logits[classes]))
        return wrong.clamp_(max=torch.finfo(wrong.dtype).max)  # so that 0 times it is 0

    def collect(self, classes: slice, target: Tensor, weight: Tensor, slope: Tensor | None) -> Tensor:
        probability = self.logits[classes].sigmoid()
        share = (probability - target).mul_(weight)
        if slope is not None:
            rest = self.logits[classes].neg().sigmoid_()  # 1 - p would be rounding where p is almost 1
            share.addcmul_(rest.mul_(probability), slope)
        return share

    def finish(self, gradient: Tensor, chunks: Iterable[slice]) -> None:
        """Do nothing: a logit enters the probability of its own class alone."""


class Softmax:
    """p = softmax(z).

    The largest class of a pixel may have a p that rounds to 1: its 1 - p is summed from the others. With b_k = p_k
    times the gradient at p_k, the gradient at z_j is b_j - p_j Σ_k b_k; where the largest class m is not the label, its
    b_m grows without bound and is collected separately: w_m p_m at z_m, -w_m p_m p_j/(1 - p_m) at the others.
    """

    def __init__(self, logits: Tensor, total: Tensor, largest: Tensor, log_rest: Tensor) -> None:
        """Take, R W each, ln Σ exp(z), the largest class and its ln(1 - p)."""
        self.logits, self.total, self.largest, self.log_rest = logits, total, largest, log_rest
        self.shared = torch.zeros_like(total)
        self.mistaken = torch.zeros_like(total)

    @classmethod
    def of(cls, logits: Tensor) -> Self:
        exact = logits.double()  # C R W
        total, largest = exact.logsumexp(0), logits.argmax(0)  # R W
        others = exact.scatter(0, largest.unsqueeze(0), -torch.inf).logsumexp(0)  # R W
        return cls(logits, total, largest, others - total)

    def cut(self, rows: slice) -> Self:
        return type(self)(self.logits[:, rows], self.total[rows], self.largest[rows], self.log_rest[rows])

    def probability(self, classes: slice) -> Tensor:
        return self._log_probability(classes).exp_()

    def complement(self, classes: slice) -> Tensor:
        return self.log_rest.exp().where(self._is_largest(classes), 1 - self.probability(classes))

    def entropy(self, classes: slice, target: Tensor) -> Tensor:
        log_probability = self._log_probability(classes)
        log_rest = self.log_rest.where(self._is_largest(classes), (-log_probability.exp()).log1p())
        return -log_probability.where(target > 0, log_rest).to(target.dtype)

    def collect(self, classes: slice, target: Tensor, weight: Tensor, slope: Tensor | None) -> Tensor:
        probability, largest = self.probability(classes), self._is_largest(classes)  # k R W
        small = probability.where(~largest, 0)  # at most a half
        share = weight * torch.where(target > 0, -1, small / (1 - small))  # k R W
        if slope is not None:
            share += slope * probability
        self.shared += share.sum(0)
        self.mistaken += (weight * probability).where(largest & (target == 0), 0).sum(0)
        return share

    def finish(self, gradient: Tensor, chunks: Iterable[slice]) -> None:
        for classes in chunks:
            log_probability = self._log_probability(classes)
            relative = (log_probability - self.log_rest).exp().where(~self._is_largest(classes), -1)
            gradient[classes] -= log_probability.exp() * self.shared + self.mistaken * relative

    def _log_probability(self, classes: slice) -> Tensor:
        return self.logits[classes].double() - self.total

    def _is_largest(self, classes: slice) -> Tensor:
        index = torch.arange(classes.start, classes.stop, device=self.logits.device)
        return self.largest == index.view(-1, 1, 1)
