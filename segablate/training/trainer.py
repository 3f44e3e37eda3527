"""The steps of a training: forward, backward, update; then the course, validation and states."""

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segablate.errors import DivergedError, RunError, counted
from segablate.labels import ignored_in
from segablate.plain_values import check
from segablate.text_files import MalformedText
from segablate.training.batch_norm import freeze, set_momentum, synchronise
from segablate.training.batches import NOISE, TrainingBatch
from segablate.training.course import Course
from segablate.training.objectives import Carried, Value, evaluate_outputs
from segablate.training.optimisation import (
    clip_gradients,
    make_optimiser,
    optimiser_tensors,
    restore_optimiser,
    set_rate,
)
from segablate.training.projection import projection_parameters
from segablate.training.scores import scores_of
from segablate.training.sharing import agree, share_step
from segablate.training.states import State, read_state, write_state
from segablate.training.task import Task, Trained, TrainerExecution
from segablate.user_code import own_output

PATIENCE = 10
"""Steps in a row whose loss may be infinite or undefined before a training counts as diverged."""

_LARGEST = 2**63 - 1

_FACTS = {
    **dict.fromkeys(("skipped", "broken", "broken in a row", "auxiliary", "left out"), int),
    "seconds": float,
    "validation": {str: (None, float)},
    "best": (None, {"step": int, "miou": float}),
    "scaler": {str: object},
}
"""Numbers of the course, as a state holds them."""


class Trainer:
    """A training under way; `step` steps are done."""

    def __init__(self, task: Task, execution: TrainerExecution) -> None:
        self.task, self.execution, self.recipe = task, execution, task.recipe
        network = task.start.network
        self.module, self.device = network.module, network.device
        self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.recipe.norm_momentum is not None:
            set_momentum(self.module, self.recipe.norm_momentum)
        if self.recipe.norm == "sync" and execution.team.size > 1:
            synchronise(self.module, execution.team.add)
        self._mode()
        self.projection, beside = task.projection, [*projection_parameters(task.projection)]
        named = [*self.module.named_parameters(), *beside]
        self.trained = [parameter for _, parameter in named if parameter.requires_grad]
        self.names = {id(parameter): name for name, parameter in named}
        self.optimiser = make_optimiser(self.module, self.recipe, task.start.new, beside)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=network.precision == "fp16")
        self.course = Course(execution.folder, execution.team.leads)
        self.carried: Carried = {}
        self.step = 0
        self.facts: dict[str, Any] = {
            **dict.fromkeys(("skipped", "broken", "broken in a row", "auxiliary", "left out"), 0),
            "seconds": 0.0,
            "validation": {},
            "best": None,
        }
        self.last_state = self.last_step = time.monotonic()

    def _mode(self) -> None:
        """Put what is trained into training mode."""
        if self.task.part == "head":
            self.module.eval()
            self.module.get_submodule(self.task.start.classifier).train()
            return
        self.module.train()
        if self.recipe.norm == "frozen":
            freeze(self.module)

    def resume(self) -> None:
        """Go on from the last state; at the very start write one, to which a divergence goes back."""
        state = read_state(self.execution.folder, self.task.identity, self.task.described)
        if state is not None:
            self._restore(state)
        self.course.go_on(self.step)
        if state is None:
            self._write_state()
        self.last_step = time.monotonic()

    def advance(self, batch: TrainingBatch) -> None:
        """Take one step."""
        rng = np.random.default_rng([self.task.batches.seed, NOISE, batch.step, self.execution.team.rank])
        torch.manual_seed(int(rng.integers(_LARGEST)))
        set_rate(self.optimiser, self.recipe.rate_at(batch.step, self.task.total))
        overdue = time.monotonic() - self.last_state >= self.execution.state_every
        labelled = bool((batch.labels != ignored_in(batch.labels)).any())
        labelled, due = agree(self.execution.team, self.device, labelled, overdue and self.execution.team.leads)
        with own_output():
            value = self._learn(batch) if labelled else None
        self.facts["skipped"] += not labelled
        self.step = batch.step + 1
        self._record(value)
        if self.facts["broken in a row"] == PATIENCE:
            self._diverged()
        self._keep(due)

    def finish(self) -> Trained:
        """Put the weights that are kept into the module. DivergedError where the last are not finite."""
        step, best = self.step, self.facts["best"]
        if self.recipe.keep == "best" and best is not None:
            step = int(best["step"])
            self.module.load_state_dict(self.course.best_weights(step))
            agree(self.execution.team, self.device)  # all have read them before the leading process removes them
        elif not self._whole():
            self._diverged()
        return self._trained(step)

    def _trained(self, step: int) -> Trained:
        facts = self.facts
        validation = {int(at): miou for at, miou in facts["validation"].items()}
        counts = (facts[name] for name in ("skipped", "broken", "auxiliary", "left out"))
        return Trained(self.module.eval(), step, facts["seconds"], validation, *counts)

    def _learn(self, batch: TrainingBatch) -> Value:
        """Evaluate the objective and update the weights, unless its value is infinite or undefined."""
        scores, labels, inputs = scores_of(self.task, batch)
        self.facts["auxiliary"], self.facts["left out"] = len(scores.auxiliary), scores.left_out
        value = evaluate_outputs(self.task, scores, labels, inputs, self.carried, self.execution.team.size)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(value.total).backward()
        if not share_step(value.total.detach(), self.trained, self._own_statistics(), self.execution.team):
            self.facts["broken"] += 1
            self.facts["broken in a row"] += 1
            return value
        self.scaler.unscale_(self.optimiser)
        if self.recipe.clip is not None:
            clip_gradients(self.trained, self.recipe.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.carried, self.facts["broken in a row"] = value.carried, 0
        return value

    def _own_statistics(self) -> list[Tensor]:
        """Running statistics that each process updates from its share of a batch."""
        if self.recipe.norm != "train" or self.task.part == "head":
            return []
        return [
            buffer for name, buffer in self.module.named_buffers() if name.endswith(("running_mean", "running_var"))
        ]

    def _record(self, value: Value | None) -> None:
        now = time.monotonic()
        self.facts["seconds"] += now - self.last_step
        self.last_step = now
        every = max(self.task.total // 1000, 1)
        if value is None or (self.step % every and self.step != self.task.total):
            self.execution.progress(self.step, {})
            return
        team = self.execution.team
        stacked = torch.stack([value.total.detach(), *value.terms.values()]).double()
        loss, *terms = (team.add(stacked) / team.size).tolist()
        numbers = dict(zip(value.terms, terms, strict=True))
        rate = self.recipe.rate_at(self.step - 1, self.task.total)
        self.course.add({"step": self.step, "loss": loss, "terms": numbers, "rate": rate})
        self.execution.progress(self.step, {"loss": loss, "rate": rate, **numbers})

    def _keep(self, due: bool) -> None:
        """Validate and write a state, where one is due; also for weights that are the best so far."""
        every, last = self.execution.validate_every, self.step == self.task.total
        better = False
        if self.execution.validate is not None and every and (self.step % every == 0 or last):
            better = self._validate()
        if due or last or better:
            self._write_state()

    def _validate(self) -> bool:
        """Whether the weights are the best so far; a network that is diverging is not validated."""
        if self.facts["broken in a row"] or not self._whole():
            self.course.add({"step": self.step, "validation mIoU": None})
            return False
        assert self.execution.validate is not None
        began = time.monotonic()
        miou = self.execution.validate(self.module.eval())
        self._mode()
        self.facts["validation"][str(self.step)] = miou
        self.course.add({"step": self.step, "validation mIoU": miou, "seconds": time.monotonic() - began})
        self.execution.progress(self.step, {"mIoU": miou})
        best = self.facts["best"]
        if self.recipe.keep != "best" or (best is not None and not _is_better(miou, best["miou"])):
            return False
        self.facts["best"] = {"step": self.step, "miou": miou}
        self.course.keep_best(self.step, self.module.state_dict())
        return True

    def _whole(self) -> bool:
        """Whether all weights and statistics are finite."""
        state = {**self.module.state_dict(), **dict(projection_parameters(self.projection))}
        tensors = [tensor for tensor in state.values() if tensor.is_floating_point()]
        return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())

    def _write_state(self) -> None:
        """Write a state, unless the weights are not finite. RunError where the disk is full."""
        self.last_state = time.monotonic()
        if not self._whole() or not self.execution.team.leads:
            return
        facts = {**self.facts, "scaler": self.scaler.state_dict()}
        projection = {} if self.projection is None else self.projection.state_dict()
        state = State(self.step, self.module.state_dict(), self._optimiser_state(), self.carried, facts, projection)
        try:
            write_state(self.execution.folder, state, self.task.identity, self.task.described)
        except OSError as error:
            raise RunError(
                f"{self.execution.folder}: a state cannot be written ({error.strerror or error}); "
                f"make room, then go on with --resume"
            ) from None

    def _optimiser_state(self) -> Mapping[str, Tensor]:
        return optimiser_tensors(self.optimiser, self.names)

    def _restore(self, state: State) -> None:
        """Take over a state. RunError for one that does not fit the network, as after an edit."""
        try:
            self._load(state)
        except (RuntimeError, LookupError, TypeError, ValueError, MalformedText) as error:
            reason = " ".join(str(error).split())[:100]
            raise RunError(
                f"{self.execution.folder}: its last state does not fit the network ({reason}); remove the folder and "
                "train again"
            ) from None

    def _load(self, state: State) -> None:
        check(state.facts, _FACTS, "its description")
        if not all(step.isdecimal() for step in state.facts["validation"]):
            raise ValueError("validation is not by step")
        self.module.load_state_dict(dict(state.module))
        if self.projection is not None:
            self.projection.load_state_dict(dict(state.projection))
        restore_optimiser(self.optimiser, self.names, dict(state.optimiser))
        self.carried = {name: tensor.to(self.device) for name, tensor in state.losses.items()}
        self.step = state.step
        self.facts = {name: value for name, value in state.facts.items() if name != "scaler"}
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(dict(state.facts["scaler"]))

    def _diverged(self) -> None:
        """Put the last finite weights back and say so."""
        at = min(self.step - self.facts["broken in a row"] + 1, self.task.total)
        self.course.add({"step": self.step, "diverged": at})
        state = read_state(self.execution.folder, self.task.identity, self.task.described)
        if state is not None:
            self.module.load_state_dict(dict(state.module))
        broken = self.facts["broken in a row"]
        reason = (
            f"the loss was not finite in {counted(broken, 'step')} in a row" if broken else "weights are not finite"
        )
        error = DivergedError(
            f"diverged at step {at} of {self.task.total}: {reason}; use a smaller --rate, a --warmup or --clip"
        )
        error.trained = self._trained(state.step if state else 0)
        raise error


def _is_better(miou: float, best: float) -> bool:
    """Whether a score is higher; an undefined one is the lowest."""
    return miou > best or (math.isnan(best) and not math.isnan(miou))
