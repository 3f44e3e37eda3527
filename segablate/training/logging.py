"""Logging a training to other programs: one adapter of four calls, behind which each lies."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from segablate.errors import UsageError, did_you_mean
from segablate.extras import require

if TYPE_CHECKING:
    from segablate.training.session import TrainingRequest


class Logger(Protocol):
    """What a training asks of a program that logs."""

    def start(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Open a run; `facts` are plain values of what is trained."""
        ...

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log numbers of a step."""
        ...

    def finish(self) -> None:
        """Close the run."""
        ...


@contextmanager
def open_log(
    name: str | None, folder: Path, request: "TrainingRequest"
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Yield a function that logs the numbers of a step; one that does nothing where `name` is None.

    Raises UsageError for a program that is not known, MissingExtra for one that is not installed.
    """
    if name is None:
        yield lambda step, numbers: None
        return
    if name not in LOGGERS:
        raise UsageError(f"--log is {name!r}{did_you_mean(name, LOGGERS)}")
    from segablate.training.recipe import plain_recipe

    logger = LOGGERS[name]()
    facts = {"network": request.network, "dataset": request.dataset.spec, "seed": request.seed}
    logger.start(folder, {**facts, **plain_recipe(request.recipe)})
    try:
        yield logger.log
    finally:
        logger.finish()


class _TensorBoard:
    def start(self, folder: Path, facts: Mapping[str, Any]) -> None:
        module = require("torch.utils.tensorboard", "tensorboard", "--log tensorboard")
        self.writer = module.SummaryWriter(str(folder / "tensorboard"))
        self.writer.add_text("facts", "\n".join(f"    {name}: {value}" for name, value in facts.items()))

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)

    def finish(self) -> None:
        self.writer.close()


class _Tracked:
    """trackio, and Weights & Biases, whose calls trackio takes over."""

    def __init__(self, module: str) -> None:
        self.name = module

    def start(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.module: Any = require(self.name, self.name, f"--log {self.name}")
        self.run = self.module.init(project="segablate", name=folder.name, config=dict(facts))

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.module.log(dict(numbers), step=step)

    def finish(self) -> None:
        self.module.finish()


class _MLflow:
    def start(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.module: Any = require("mlflow", "mlflow", "--log mlflow")
        self.module.start_run(run_name=folder.name)
        self.module.log_params({name: str(value)[:500] for name, value in facts.items()})

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.module.log_metrics(dict(numbers), step=step)

    def finish(self) -> None:
        self.module.end_run()


LOGGERS: dict[str, Callable[[], Logger]] = {
    "tensorboard": _TensorBoard,
    "trackio": lambda: _Tracked("trackio"),
    "wandb": lambda: _Tracked("wandb"),
    "mlflow": _MLflow,
}
"""How to open each, by the name of its extra."""
