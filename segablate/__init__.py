"""segablate: evaluate, compare and ablate semantic-segmentation checkpoints and losses.

The command line is the program (``segablate --help``). From Python::

    import segablate

    dataset = segablate.open_dataset("camvid:/data/camvid", "val")
    run = segablate.evaluate_checkpoint("card.yaml", dataset)
    value = segablate.get_loss("rmi")(logits, labels, radius=3)

Every name is imported when it is first used, so that ``segablate --help`` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segablate.ablation.session import AblationRequest, ablate_checkpoint
    from segablate.checkpoints import Loading, open_checkpoint
    from segablate.comparison import Method, compare
    from segablate.datasets import open_dataset
    from segablate.errors import SegablateError
    from segablate.evaluation.results import Evaluation, load_run, save_run
    from segablate.evaluation.session import Execution, Request, evaluate_checkpoint
    from segablate.labels import LabelSet
    from segablate.losses import get_loss, loss_names
    from segablate.metrics.tolerance import Tolerance
    from segablate.objective import Choice, Parts, Range, loss
    from segablate.objective.weighted_sum import parse_objective

__version__ = "0.1.0"

_PLACES = {
    "segablate.ablation.session": ("AblationRequest", "ablate_checkpoint"),
    "segablate.checkpoints": ("Loading", "open_checkpoint"),
    "segablate.comparison": ("Method", "compare"),
    "segablate.datasets": ("open_dataset",),
    "segablate.errors": ("SegablateError",),
    "segablate.evaluation.results": ("Evaluation", "load_run", "save_run"),
    "segablate.evaluation.session": ("Execution", "Request", "evaluate_checkpoint"),
    "segablate.labels": ("LabelSet",),
    "segablate.losses": ("get_loss", "loss_names"),
    "segablate.metrics.tolerance": ("Tolerance",),
    "segablate.objective": ("Choice", "Parts", "Range", "loss"),
    "segablate.objective.weighted_sum": ("parse_objective",),
}

__all__ = sorted(name for names in _PLACES.values() for name in names)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(place), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
