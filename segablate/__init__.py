"""segablate: evaluate, compare and ablate semantic-segmentation checkpoints and losses.

From Python, as on the command line (``segablate --help``)::

    import segablate

    evaluation = segablate.evaluate("card.yaml", "camvid:/data/camvid")   # or a module, and pairs of images and labels
    comparison = segablate.compare("runs/ce", "runs/rmi")
    ablation = segablate.ablate("rmi", "card.yaml", "camvid:/data/camvid", {"radius": [1, 2, 3]})
    training = segablate.train("small", "sample", objective="ce + 0.5*rmi")

In a training loop::

    scores = segablate.Scores(19, tolerance=3, calibration=True)   # scores.update(logits, labels); scores.compute()
    criterion = segablate.losses.RMI(radius=3)                      # a torch.nn.Module

Every name is imported when it is first used, so that ``segablate --help`` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segablate import losses
    from segablate.api.ablating import Ablation, SettingScores, ablate
    from segablate.api.comparing import Comparison, compare
    from segablate.api.conventions import ConventionScores
    from segablate.api.differences import ClassDifference, Difference
    from segablate.api.evaluating import evaluate, load
    from segablate.api.evaluation import Evaluation, ImageScores
    from segablate.api.options import LoadingOptions
    from segablate.api.saved import SavedReport
    from segablate.api.scores import Scores
    from segablate.api.summary import ClassScores, OverallScores, Summary
    from segablate.api.training import Training, train
    from segablate.checkpoints import open_checkpoint
    from segablate.datasets import open_dataset
    from segablate.errors import SegablateError
    from segablate.labels import LabelSet
    from segablate.losses import get_loss, loss_names
    from segablate.metrics.tolerance import Tolerance
    from segablate.objective import Choice, Parts, Range, loss
    from segablate.objective.weighted_sum import parse_objective

__version__ = "0.1.0"

_PLACES = {
    "segablate.api.ablating": ("Ablation", "SettingScores", "ablate"),
    "segablate.api.comparing": ("Comparison", "compare"),
    "segablate.api.conventions": ("ConventionScores",),
    "segablate.api.differences": ("ClassDifference", "Difference"),
    "segablate.api.evaluating": ("evaluate", "load"),
    "segablate.api.evaluation": ("Evaluation", "ImageScores"),
    "segablate.api.options": ("LoadingOptions",),
    "segablate.api.saved": ("SavedReport",),
    "segablate.api.scores": ("Scores",),
    "segablate.api.summary": ("ClassScores", "OverallScores", "Summary"),
    "segablate.api.training": ("Training", "train"),
    "segablate.checkpoints": ("open_checkpoint",),
    "segablate.datasets": ("open_dataset",),
    "segablate.errors": ("SegablateError",),
    "segablate.labels": ("LabelSet",),
    "segablate.losses": ("get_loss", "loss_names"),
    "segablate.metrics.tolerance": ("Tolerance",),
    "segablate.objective": ("Choice", "Parts", "Range", "loss"),
    "segablate.objective.weighted_sum": ("parse_objective",),
}

_LOWER = {
    "segablate.ablation.session": ("AblationRequest", "ablate_checkpoint"),
    "segablate.checkpoints": ("Loading",),
    "segablate.comparison": ("Method",),
    "segablate.evaluation.results": ("load_run", "save_run"),
    "segablate.evaluation.session": ("Execution", "Request", "evaluate_checkpoint"),
}
"""Names of the layers below, for programs that import them from here."""

__all__ = sorted(["losses", *(name for names in _PLACES.values() for name in names)])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "losses":
        return import_module("segablate.losses")
    for place, names in (*_PLACES.items(), *_LOWER.items()):
        if name in names:
            return getattr(import_module(place), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
