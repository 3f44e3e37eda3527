"""Logging a training to other programs: one adapter of four calls, behind which each is hidden."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from segablate.errors import UsageError, did_you_mean
from segablate.extras import require
from segablate.training.recipe import plain_recipe
from segablate.training.request import TrainingRequest


class Logger(Protocol):
    """What a training asks of a program that logs."""

    def start(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Open a run, named after the folder of the training; `facts` are plain values of what is trained."""
        ...

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log numbers of a step."""
        ...

    def finish(self) -> None:
        """Close the run of a training that came to its end."""
        ...

    def fail(self) -> None:
        """Close the run of a training that did not."""
        ...


@contextmanager
def open_log(
    name: str | None, folder: Path, request: TrainingRequest
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Yield a function that logs the numbers of a step; one that does nothing where `name` is None.

    Raises UsageError for a program that is not known, MissingExtra for one that is not installed.
    """
    if name is None:
        yield lambda step, numbers: None
        return
    if name not in LOGGERS:
        raise UsageError(f"--log is {name!r}{did_you_mean(name, LOGGERS)}")
    logger = LOGGERS[name]()
    facts = {"network": request.network, "dataset": request.dataset.spec, "seed": request.seed}
    logger.start(folder, {**facts, **plain_recipe(request.recipe)})
    try:
        yield logger.log
    except BaseException:
        logger.fail()
        raise
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

    fail = finish


class _Trackio:
    def start(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.module: Any = require("trackio", "trackio", "--log trackio")
        self.module.init(project="segablate", name=folder.name, config=dict(facts), resume="allow")

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.module.log(dict(numbers), step=step)

    def finish(self) -> None:
        self.module.finish()

    fail = finish


class _WeightsAndBiases:
    def start(self, folder: Path, facts: Mapping[str, Any]) -> None:
        module = require("wandb", "wandb", "--log wandb")
        self.run = module.init(project="segablate", name=folder.name, dir=str(folder), config=dict(facts))

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.run.log(dict(numbers), step=step)

    def finish(self) -> None:
        self.run.finish()

    def fail(self) -> None:
        self.run.finish(exit_code=1)


class _MLflow:
    def start(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.module: Any = require("mlflow", "mlflow", "--log mlflow")
        self.module.start_run(run_name=folder.name)
        self.module.log_params({name: str(value)[:500] for name, value in facts.items()})

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.module.log_metrics({_mlflow_name(name): value for name, value in numbers.items()}, step=step)

    def finish(self) -> None:
        self.module.end_run()

    def fail(self) -> None:
        self.module.end_run(status="FAILED")


def _mlflow_name(name: str) -> str:
    """A name of the signs that MLflow takes: letters, digits, underscores, dashes, periods, spaces and slashes."""
    return "".join(sign if sign.isalnum() or sign in "_-. /" else "_" for sign in name)


LOGGERS: dict[str, Callable[[], Logger]] = {
    "tensorboard": _TensorBoard,
    "trackio": _Trackio,
    "wandb": _WeightsAndBiases,
    "mlflow": _MLflow,
}
"""How to open each, by the name of its extra."""
