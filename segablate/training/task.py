"""What decides a training, what does not, and what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import nn

from segablate.objective.weighted_sum import Objective
from segablate.runtime import Team
from segablate.training.batches import Batches
from segablate.training.recipe import Recipe
from segablate.training.starting import Start

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
    - `auxiliary`: the objective of auxiliary outputs; None: that of the main one.
    - `projection`: what losses take as features, from what the classifier sees; None: that itself.
    - `described`: what is trained, as plain values; see :func:`segablate.training.identity.described`.
    """

    start: Start
    batches: Batches
    recipe: Recipe
    objective: Objective
    identity: str
    needs: frozenset[str] = frozenset()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    part: Part = "full"
    auxiliary: Objective | None = None
    projection: nn.Module | None = None
    described: Mapping[str, Any] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of steps."""
        return self.recipe.total(len(self.batches.dataset))


@dataclass(frozen=True)
class TrainerExecution:
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
    - `auxiliary`: the number of auxiliary outputs that were trained; `left_out`: those with other classes, which were
      not.
    """

    module: nn.Module
    step: int
    seconds: float
    validation: Mapping[int, float] = field(default_factory=dict)
    skipped: int = 0
    broken: int = 0
    auxiliary: int = 0
    left_out: int = 0
