"""The losses, one file each: a file ``x.py`` decorates a function ``x`` with ``@loss``.

Each is also a class of :mod:`torch.nn.Module`, made when it is first asked for: ``segablate.losses.RMI(radius=3)``.
Formulas that several losses share, or that are long, are in ``parts/``.
"""

from typing import TYPE_CHECKING, Any

from segablate.objective.catalogue import get_loss, loss_names, loss_summaries
from segablate.objective.loss import EXCEPTIONS, Loss, Parts, loss

if TYPE_CHECKING:
    from segablate.objective.modules import LossModule

    ABL = AR = ASL = BCE = CE = CPG = DFR = DenseCRF = Dice = FeatureConsistency = Focal = LAL = LossModule
    Lovasz = RMI = Recall = SSL = Semeda = LossModule

__all__ = [  # noqa: RUF022, the modules come last
    "EXCEPTIONS",
    "Loss",
    "Parts",
    "get_loss",
    "loss",
    "loss_names",
    "loss_summaries",
    "ABL",
    "AR",
    "ASL",
    "BCE",
    "CE",
    "CPG",
    "DFR",
    "DenseCRF",
    "Dice",
    "FeatureConsistency",
    "Focal",
    "LAL",
    "Lovasz",
    "RMI",
    "Recall",
    "SSL",
    "Semeda",
]


def __getattr__(name: str) -> Any:
    if not name[:1].isupper():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from segablate.objective.modules import module_class

    return module_class(name)
