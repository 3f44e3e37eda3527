"""The training loop: steps, states, validation, and the end.

Every random number comes from (seed, step), so that a training resumed from a state goes on bit for bit as if it had
never stopped, on the same machine with the same number of threads.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from segablate.errors import DivergedError, RunError
from segablate.labels import IGNORE
from segablate.objective.processes import summing_by
from segablate.objective.weighted_sum import Objective
from segablate.runtime import Team
from segablate.training.batch_norm import freeze, synchronise
from segablate.training.batches import NOISE, Batches, TrainingBatch
from segablate.training.course import Course
from segablate.training.forward import forward, forward_head
from segablate.training.objectives import Value, evaluate_objective
from segablate.training.optimisation import (
    clip_gradients,
    make_optimiser,
    optimiser_tensors,
    restore_optimiser,
    set_rate,
)
from segablate.training.recipe import Recipe
from segablate.training.starting import Start
from segablate.training.states import State, read_state, write_state

PATIENCE = 10
"""Steps in a row whose loss may be infinite or undefined before a training counts as diverged."""

_LARGEST = 2**63 - 1

Part = Literal["full", "head"]

Validate = Callable[[nn.Module], float]
"""The mIoU of the network on the hold-out, 0..1."""


@dataclass(frozen=True)
class Task:
    """All that decides a training.

    - `objective`: with the class weights of the recipe; `inputs`: what losses take that is the same for all images.
    - `needs`: the inputs that losses need beside logits and labels.
    - `identity`: a hash of everything that decides the numbers.
    - `part`: what is trained, the full network or its classifier alone; all else then stays in evaluation mode.
    """

    start: Start
    batches: Batches
    recipe: Recipe
    objective: Objective
    identity: str
    needs: frozenset[str] = frozenset()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    part: Part = "full"

    @property
    def total(self) -> int:
        """Number of steps."""
        return self.recipe.total(len(self.batches.dataset))


@dataclass(frozen=True)
class Habits:
    """What changes no number of a training.

    - `folder`: where states and the course are written; `workers`: threads that read ahead.
    - `state_every`: seconds between states; `validate_every`: steps between validations; 0: none.
    - `progress`: called after each step with the step, and numbers to show.
    """

    folder: Path
    workers: int = 0
    state_every: float = 180.0
    validate_every: int = 0
    progress: Callable[[int, Mapping[str, float]], None] = lambda step, numbers: None
    validate: Validate | None = None
    team: Team = field(default_factory=Team)


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    - `step`: after which the weights were taken; `validation`: mIoU on the hold-out by step.
    - `skipped`: steps without a labelled pixel; `broken`: steps whose loss was infinite or undefined.
    """

    module: nn.Module
    step: int
    seconds: float
    validation: Mapping[int, float] = field(default_factory=dict)
    skipped: int = 0
    broken: int = 0


def fit(task: Task, habits: Habits) -> Trained:
    """Train, from the last state where there is one.

    The module of the start is trained in place and comes back in evaluation mode. Raises DivergedError where the loss
    stays infinite or undefined, after the module has its last finite weights again.
    """
    trainer = _Trainer(task, habits)
    trainer.resume()
    steps = range(trainer.step, task.total)
    with task.batches.ahead(steps, habits.workers) as batches, summing_by(_adder(habits.team)):
        for batch in batches:
            trainer.advance(batch)
    return trainer.finish()


class _Trainer:
    """A training under way."""

    def __init__(self, task: Task, habits: Habits) -> None:
        self.task, self.habits, self.recipe = task, habits, task.recipe
        self.module = task.start.network.module
        self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._mode()
        if self.recipe.norm == "sync" and habits.team.size > 1:
            synchronise(self.module, habits.team.add)
        self.trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        self.optimiser = make_optimiser(self.module, self.recipe, task.start.new)
        self.names = {id(parameter): name for name, parameter in self.module.named_parameters()}
        network = task.start.network
        self.scaler = torch.amp.GradScaler(network.device.type, enabled=network.precision == "fp16")
        self.course = Course(habits.folder, habits.team.leads)
        self.carried: dict[str, Tensor] = {}
        self.step = self.broken_in_a_row = 0
        self.facts: dict[str, Any] = {"skipped": 0, "broken": 0, "seconds": 0.0, "validation": {}, "best": None}
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
        state = read_state(self.habits.folder, self.task.identity)
        if state is not None:
            self._restore(state)
        self.course.go_on(self.step)
        if state is None:
            self._write_state()
        self.last_step = time.monotonic()

    def advance(self, batch: TrainingBatch) -> None:
        """Take one step."""
        device = self.task.start.network.device
        labels = torch.from_numpy(batch.labels).to(device).long()
        rng = np.random.default_rng([self.task.batches.seed, NOISE, batch.step, self.habits.team.rank])
        torch.manual_seed(int(rng.integers(_LARGEST)))
        set_rate(self.optimiser, self.recipe.rate_at(batch.step, self.task.total))
        labelled = self.habits.team.add(torch.tensor(int((batch.labels != IGNORE).any())))
        value = self._value(batch, labels, device) if bool(labelled) else None
        if value is None:
            self.facts["skipped"] += 1
        elif self._finite(value):
            self._update(value)
            self.broken_in_a_row = 0
        else:
            self.facts["broken"] += 1
            self.broken_in_a_row += 1
        self.step = batch.step + 1
        self._record(value)
        if self.broken_in_a_row == PATIENCE:
            self._diverged()
        self._keep()

    def finish(self) -> Trained:
        """Put the weights that are kept into the module."""
        step = self.step
        if self.recipe.keep == "best" and self.facts["best"] is not None:
            step = int(self.facts["best"]["step"])
            self.module.load_state_dict(self.course.best_weights(step))
        self.module.eval()
        validation = {int(step): miou for step, miou in self.facts["validation"].items()}
        counts = self.facts["skipped"], self.facts["broken"]
        return Trained(self.module, step, self.facts["seconds"], validation, *counts)

    def _value(self, batch: TrainingBatch, labels: Tensor, device: torch.device) -> Value:
        needs, task = self.task.needs, self.task
        images = torch.from_numpy(batch.images).to(device)
        if batch.features is not None:
            features = torch.from_numpy(batch.features).to(device)
            scores = forward_head(task.start, features, (labels.shape[1], labels.shape[2]))
        else:
            scores = forward(task.start, images, auxiliary=self.recipe.auxiliary > 0, features="features" in needs)
        inputs = dict(task.inputs)
        if "image" in needs:
            inputs["image"] = images.permute(0, 3, 1, 2).float()  # N 3 H W
        if "features" in needs and scores.features is not None:
            inputs["features"] = scores.features
        size, one = self.habits.team.size, scores.one_channel
        value = evaluate_objective(task.objective, scores.logits, labels, inputs, self.carried, size, one_channel=one)
        total, terms = value.total, dict(value.terms)
        for place, logits in enumerate(scores.auxiliary):
            with_others = evaluate_objective(task.objective, logits, labels, inputs, {}, size, one_channel=one)
            total = total + self.recipe.auxiliary * with_others.total
            terms[f"auxiliary {place}"] = self.recipe.auxiliary * with_others.total.detach()
        return Value(total, terms, value.carried)

    def _finite(self, value: Value) -> bool:
        """Whether the value is finite in every process."""
        broken = (~value.total.detach().isfinite()).sum()
        return not bool(self.habits.team.add(broken))

    def _update(self, value: Value) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(value.total).backward()
        self.scaler.unscale_(self.optimiser)
        _average(self.trained, self.habits.team)
        if self.recipe.clip is not None:
            clip_gradients(self.trained, self.recipe.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.carried = dict(value.carried)

    def _record(self, value: Value | None) -> None:
        now = time.monotonic()
        self.facts["seconds"] += now - self.last_step
        self.last_step = now
        every = max(self.task.total // 1000, 1)
        if value is None or (self.step % every and self.step != self.task.total):
            self.habits.progress(self.step, {})
            return
        team = self.habits.team
        stacked = torch.stack([value.total.detach(), *value.terms.values()]).double()
        loss, *terms = (team.add(stacked) / team.size).tolist()
        numbers = dict(zip(value.terms, terms, strict=True))
        rate = self.recipe.rate_at(self.step - 1, self.task.total)
        self.course.add({"step": self.step, "loss": loss, "terms": numbers, "rate": rate})
        self.habits.progress(self.step, {"loss": loss})

    def _keep(self) -> None:
        """Validate and write a state, where one is due. All processes decide alike."""
        every = self.habits.validate_every
        last = self.step == self.task.total
        overdue = time.monotonic() - self.last_state >= self.habits.state_every
        due = last or bool(self.habits.team.add(torch.tensor(int(overdue and self.habits.team.leads))))
        if due or (every and self.step % every == 0):
            self._share_statistics()
        if self.habits.validate is not None and every and (self.step % every == 0 or last):
            self._validate()
        if due:
            self._write_state()

    def _share_statistics(self) -> None:
        """Give all processes the mean of their running statistics, where each has its own."""
        team = self.habits.team
        if team.size > 1:
            for buffer in self.module.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(team.add(buffer) / team.size)

    def _validate(self) -> None:
        assert self.habits.validate is not None
        began = time.monotonic()
        miou = self.habits.validate(self.module.eval())
        self._mode()
        self.facts["validation"][str(self.step)] = miou
        self.course.add({"step": self.step, "validation mIoU": miou, "seconds": time.monotonic() - began})
        self.habits.progress(self.step, {"mIoU": miou})
        best = self.facts["best"]
        if self.recipe.keep == "best" and (best is None or miou > best["miou"]):
            self.facts["best"] = {"step": self.step, "miou": miou}
            self.course.keep_best(self.step, self.module.state_dict())
            self._write_state()

    def _write_state(self) -> None:
        weights = self.module.state_dict()
        if not all(bool(tensor.isfinite().all()) for tensor in weights.values() if tensor.is_floating_point()):
            return
        if self.habits.team.leads:
            facts = {**self.facts, "scale": self.scaler.get_scale()}
            kept = optimiser_tensors(self.optimiser, self.names)
            try:
                write_state(
                    self.habits.folder, State(self.step, weights, kept, self.carried, facts), self.task.identity
                )
            except OSError as error:
                raise RunError(
                    f"{self.habits.folder}: a state cannot be written ({error.strerror or error}); make room, then "
                    f"go on with --resume"
                ) from None
        self.last_state = time.monotonic()

    def _restore(self, state: State) -> None:
        self.module.load_state_dict(dict(state.module))
        restore_optimiser(self.optimiser, self.names, dict(state.optimiser))
        device = self.task.start.network.device
        self.carried = {name: tensor.to(device) for name, tensor in state.losses.items()}
        self.step = state.step
        self.facts = {name: value for name, value in state.facts.items() if name != "scale"}
        if self.scaler.is_enabled():
            self.scaler.load_state_dict({**self.scaler.state_dict(), "scale": state.facts["scale"]})

    def _diverged(self) -> None:
        """Put the last finite weights back and say so."""
        at = self.step - PATIENCE + 1
        state = read_state(self.habits.folder, self.task.identity)
        if state is not None:
            self.module.load_state_dict(dict(state.module))
        self.module.eval()
        self.course.add({"step": self.step, "diverged": at})
        raise DivergedError(
            f"diverged at step {at} of {self.task.total}: the loss was not finite in {PATIENCE} steps in a row; use a "
            f"smaller --rate, a --warmup or --clip"
        )


def _average(parameters: Sequence[Tensor], team: Team) -> None:
    """The mean of the gradients over all processes, in place."""
    if team.size == 1:
        return
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = team.add(torch.cat([gradient.flatten() for gradient in gradients])) / team.size
    sizes = [gradient.numel() for gradient in gradients]
    for parameter, part in zip(parameters, flat.split(sizes), strict=True):
        parameter.grad = part.view_as(parameter).clone()


def _adder(team: Team) -> Callable[[Tensor], Tensor] | None:
    return None if team.size == 1 else team.add


def validations(total: int, wanted: int | None) -> int:
    """Return the number of steps between validations: as asked for, else ten times a training."""
    return max(math.ceil(total / 10), 1) if wanted is None else wanted
