"""Mean and deviation of labels and probabilities in Gaussian windows, and the gradient through them.

Maps are k R W, for k classes and R rows of one image. Means and variances are in float64, as a variance is the
difference of two means and loses the digits of float32. What follows from them has the precision of the logits: none of
its steps cancels.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.labels import ignore_index
from segablate.losses.parts.binary import Logistic, Softmax
from segablate.losses.parts.gaussian import blurred, taps, whole_mass
from segablate.losses.parts.shapes import Labels, Logits, narrow
from segablate.losses.parts.strips import grown, inside

_FLAT = 1e-14
"""A variance below this share of the mean square is rounding: the window is flat."""

_ALMOST_ONE = 1 - 1e-5
"""Where probabilities are larger, their variance is computed from 1 - p: that of p would be rounding."""

_EXACT_MASS = 1e-12
"""A window with no more weight than this beyond the frame and on void is full."""


@dataclass(frozen=True)
class SimilarityOptions:
    """Hyperparameters of ``ssl``, its two-way choices as booleans."""

    window: int
    sigma: float
    c4: float
    beta: float
    softmax: bool
    renormalise: bool
    scope: str
    detach: bool

    @property
    def reach(self) -> int:
        """Return the rows on each side of a pixel that its window covers."""
        return self.window // 2


class Structure(NamedTuple):
    """The structure of a few maps: ``excess`` is (m - μ + C)/(σ + C) - 1.

    The maps m and means μ are in float64; the deviations σ, 0 where flat, and the excess are not.
    """

    maps: Tensor
    mean: Tensor
    deviation: Tensor
    excess: Tensor


class Strip:
    """Rows of one image with all that its classes have in common.

    ``wide`` is made of the logits of these rows and of those that windows reach, ``binary`` of these rows alone;
    ``valid`` (R W) is 1 at labelled pixels and 0 at void ones, in the type of the logits; ``labels`` are R W.
    """

    def __init__(self, logits: Logits, labels: Labels, rows: slice, options: SimilarityOptions) -> None:
        """Take one image's logits C H W and labels H W."""
        wide = grown(rows, options.reach, labels.shape[0])
        self.options, self.here, self.dtype = options, inside(rows, wide), logits.dtype
        self.taps = taps(options.window, options.sigma)
        self.wide = (Softmax if options.softmax else Logistic).of(logits[:, wide])
        self.binary = self.wide.cut(self.here)
        self.wide_labels = narrow(labels[wide], len(logits))  # R' W
        self.labels = self.wide_labels[self.here]
        self.present = frozenset(torch.bincount(self.wide_labels.flatten()).nonzero().flatten().tolist())
        self._set_mass(self.wide_labels != ignore_index(len(logits)))

    def _set_mass(self, valid: Tensor) -> None:
        """Set ``inverse``, 1 over the divisor of sums over a window, and ``outside``, the weight that counts as 0."""
        self.wide_valid = valid.double()  # R' W
        self.valid = self.wide_valid[self.here].to(self.dtype)  # R W
        covered = self._blurred(self.wide_valid)  # R W: weight of the valid pixels in each window
        if self.options.renormalise:
            self.inverse, self.outside = covered.where(covered > 0, 1).reciprocal(), torch.zeros_like(covered)
        else:
            self.inverse = torch.full_like(covered, 1 / whole_mass(self.taps))
            self.outside = (1 - covered * self.inverse).clamp(min=0)
            self.outside *= self.outside > _EXACT_MASS

    def targets(self, classes: slice) -> Tensor:
        """Return the labels of these classes as 0 and 1 in the type of the logits, k R W."""
        return one_hot(self.labels, classes, self.dtype)

    def errors(self, classes: slice) -> Tensor:
        """Return probability minus label, both normalised, k R W; 0 at void pixels."""
        error = self.predicted(classes).excess.mul_(self.valid)
        if self.present.isdisjoint(range(classes.start, classes.stop)):
            return error
        target = one_hot(self.wide_labels, classes, torch.float64)  # k R' W
        mean = self._blurred(target).mul_(self.inverse)  # k R W
        labelled = self._structure(target[:, self.here], mean, self._variance(mean, mean), target[:, self.here] - mean)
        return error.addcmul_(labelled.excess, self.valid, value=-1)

    def predicted(self, classes: slice) -> Structure:
        """Return the structure of the probabilities."""
        probability = self.wide.probability(classes)  # k R' W
        high = bool(probability.amax() > _ALMOST_ONE)
        maps = probability.mul_(self.wide_valid)
        mean, variance = self._moments(maps)  # k R W
        maps = maps[:, self.here]
        centred = maps - mean
        if high:
            above = mean > 0.5  # k R W bool
            rest = self.wide.complement(classes).mul_(self.wide_valid)  # k R' W
            mean_rest, of_rest = self._moments(rest)
            # of the pixels beyond the frame, which count as 0, neither p nor 1 - p is made
            of_rest += self.outside * (1 - self.outside - 2 * mean_rest)
            variance = of_rest.where(above, variance)
            centred = (mean_rest + self.outside - rest[:, self.here]).where(above, centred)
        return self._structure(maps, mean, variance, centred)

    def through_structure(self, slope: Tensor, structure: Structure) -> Tensor:
        """Return the gradient at the probabilities from that at their normalised values, k R W, in float64.

        It is the sum over centre, mean and variance, the latter two through the window.
        """
        at_centre = slope / (structure.deviation + self.options.c4)
        # a deviation of 0 passes no gradient on
        divisor = F.threshold(structure.deviation, 0, math.inf)
        at_variance = torch.addcmul(at_centre, at_centre, structure.excess).div_(divisor).mul_(-0.5).double()
        at_centre = at_centre.double()
        at_mean = torch.addcmul(at_centre, structure.mean, at_variance, value=2).mul_(self.inverse)
        by_mean, by_square = (blurred(each, self.taps) for each in (at_mean, at_variance.mul_(self.inverse)))
        return at_centre.sub_(by_mean).addcmul_(structure.maps, by_square, value=2)

    def _moments(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance in the windows of these rows, of maps of the wide rows."""
        mean, square = (self._blurred(each).mul_(self.inverse) for each in (maps, maps.square()))
        return mean, self._variance(mean, square)

    def _variance(self, mean: Tensor, square: Tensor) -> Tensor:
        """Return the variance; 0 where it is rounding."""
        return torch.addcmul(square, mean, mean, value=-1 - _FLAT).clamp_(min=0)

    def _structure(self, maps: Tensor, mean: Tensor, variance: Tensor, centred: Tensor) -> Structure:
        deviation = variance.to(self.dtype).sqrt()
        excess = (centred.to(self.dtype) - deviation).div_(deviation + self.options.c4)
        return Structure(maps, mean, deviation, excess)

    def _blurred(self, maps: Tensor) -> Tensor:
        return blurred(maps, self.taps)[..., self.here, :]


def one_hot(labels: Labels, classes: slice, dtype: torch.dtype) -> Tensor:
    """Return labels R W of a few classes as 0 and 1, k R W."""
    maps = torch.empty(classes.stop - classes.start, *labels.shape, dtype=dtype, device=labels.device)
    for index, each in zip(range(classes.start, classes.stop), maps, strict=True):
        torch.eq(labels, index, out=each)
    return maps
