"""The losses, one file each: a file ``x.py`` decorates a function ``x`` with ``@loss``.

Formulas that several losses share, or that are long, are in ``parts/``.
"""

from segablate.objective.catalogue import get_loss, loss_names, loss_summaries
from segablate.objective.loss import EXCEPTIONS, Loss, Parts, loss

__all__ = ["EXCEPTIONS", "Loss", "Parts", "get_loss", "loss", "loss_names", "loss_summaries"]
