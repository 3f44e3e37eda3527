"""The training loop."""

import math

from segablate.objective.processes import summing_by
from segablate.runtime import deterministic
from segablate.training.task import Task, Trained, TrainerExecution
from segablate.training.trainer import Trainer


def fit(task: Task, execution: TrainerExecution) -> Trained:
    """Train, from the last state where there is one.

    Every random number comes from (seed, step), so that a training that is resumed goes on bit for bit as if it had
    never stopped, on the same machine with the same number of threads.

    The module of the start is trained in place and comes back in evaluation mode. Raises DivergedError where the loss
    stays infinite or undefined, after the module has its last finite weights again; its `trained` is what there was.
    """
    team = execution.team
    with deterministic(), summing_by(None if team.size == 1 else team.add):
        trainer = Trainer(task, execution)
        trainer.resume()
        with task.batches.ahead(range(trainer.step, task.total), execution.workers) as batches:
            for batch in batches:
                trainer.advance(batch)
        return trainer.finish()


def validations(total: int, wanted: int | None) -> int:
    """Return the number of steps between validations: as asked for, else ten times a training."""
    return max(math.ceil(total / 10), 1) if wanted is None else wanted
