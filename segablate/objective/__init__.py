"""Losses as objects: a function with its hyperparameters, its paper and its objective; and weighted sums of losses.

To write one::

    from segablate.objective import Choice, Parts, Range, loss
"""

from segablate.objective.loss import EXCEPTIONS, Loss, Parts, loss
from segablate.objective.ranges import Choice, Range

__all__ = ["EXCEPTIONS", "Choice", "Loss", "Parts", "Range", "loss"]
