"""A sweep: every setting trained under every seed, from the same start, with the same order and augmentation per seed.

A sweep is a folder of cells, one for each setting and seed::

    SWEEP/plan.json                  what is trained, whole; written first
    SWEEP/cells/003-radius_5-seed1/  a training, then run/ as `evaluate --save` writes it, and cell.json, written last
    SWEEP/features-*                 what the classifier sees, where it alone is trained: of the images that are
                                     trained on (.npy), and of those that are evaluated (.npz)

Whoever runs cells, here or elsewhere, does the same to those that are missing; see :mod:`segablate.training.engines`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segablate.checkpoints.catalogue import source_package
from segablate.datasets.dataset import Dataset
from segablate.datasets.supervision import Supervision
from segablate.errors import RunError, UsageError, fact
from segablate.evaluation.measures import LabelCount
from segablate.evaluation.results import Evaluation
from segablate.limits import TooLarge
from segablate.metrics.tolerance import Tolerance
from segablate.objective.weighted_sum import parse_objective
from segablate.plain_values import check
from segablate.text_files import MalformedText, read_json
from segablate.training.identity import packages_of, start_files
from segablate.training.plans import FILES, open_plan
from segablate.training.recipe import plain_recipe
from segablate.training.request import TrainingRequest

PLAN = "plan.json"

_PLAN = {"settings": {str: str}, "seeds": [int], "recipe": {"steps": (None, int), "epochs": (None, float)}}
"""What is read of a plan; the rest is compared."""


@dataclass(frozen=True)
class SweepSetting:
    """One row: its name, the objective that is trained, and whether from full labels in place of the sweep's."""

    name: str
    objective: str
    full_labels: bool = False


@dataclass(frozen=True)
class Sweep:
    """What is trained and evaluated; the first setting is the baseline.

    - `request`: network, data and recipe of every training; its objective and seed are those of each cell.
    - `reported`: the split that the result is reported on; `tolerances`: of its boundary F-scores.
    - `threads`: of torch in a cell, fixed so that numbers do not depend on who runs it.
    - `full`: the train split under full labels, for settings that are trained from them.
    - `summary`: renders an evaluation as the JSON that a saved run holds for scripts; it can be pickled.
    - `counts`: further counts of label maps; `features`: the folder in which what a classifier sees is kept, where it
      is not that of the sweep.
    """

    settings: tuple[SweepSetting, ...]
    seeds: tuple[int, ...]
    request: TrainingRequest
    reported: Dataset
    tolerances: tuple[Tolerance, ...] = ()
    threads: int = 1
    summary: Callable[[Evaluation], str] = lambda run: "{}"
    full: Dataset | None = None
    counts: tuple[LabelCount, ...] = ()
    features: Path | None = None

    @property
    def cells(self) -> "tuple[Cell, ...]":
        """All cells; see :func:`cells_of`."""
        return cells_of(self.settings, self.seeds)

    def request_of(self, cell: "Cell") -> TrainingRequest:
        """Return the training of a cell."""
        recipe = replace(self.request.recipe, objective=cell.setting.objective)
        request = replace(self.request, recipe=recipe, seed=cell.seed)
        if not cell.setting.full_labels:
            return request
        assert self.full is not None, "a setting with full labels needs them"
        return replace(request, dataset=self.full, labels=Supervision())

    def described(self) -> dict[str, Any]:
        """Return the plan as JSON holds it."""
        request = self.request
        recipe = {key: value for key, value in plain_recipe(request.recipe).items() if key != "objective"}
        return {
            "network": request.network,
            "dataset": f"{request.dataset.spec}, split {request.dataset.split}, {len(request.dataset)} images",
            "labels": request.labels.kind,
            "reported on": f"split {self.reported.split}, {len(self.reported)} images",
            "settings": {setting.name: setting.objective for setting in self.settings},
            "seeds": list(self.seeds),
            "train": request.part,
            "keep head": request.keep_head,
            "recipe": recipe,
            "tolerances": [str(tolerance) for tolerance in self.tolerances],
            "threads": self.threads,
            FILES: _digest([start_files(request), *(_stamps(each) for each in self._datasets), *self._packages]),
        }

    @property
    def _datasets(self) -> tuple[Dataset, ...]:
        """All that is read."""
        return (self.request.dataset, self.reported, *([self.full] if self.full is not None else []))

    @property
    def _packages(self) -> list[dict[str, str]]:
        """What other packages bring to the trainings; empty where they bring nothing."""
        objectives = [parse_objective(setting.objective) for setting in self.settings]
        found = packages_of(self.request.dataset, objectives, source_package(self.request.network))
        return [found] if found else []


def _stamps(dataset: Dataset) -> list[list[str]]:
    return [[name, dataset.stamp(index)] for index, name in enumerate(dataset.names)]


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Cell:
    """One training of a sweep."""

    index: int
    setting: SweepSetting
    seed: int

    @property
    def folder_name(self) -> str:
        """A name that sorts by index and can be read."""
        readable = re.sub(r"[^A-Za-z0-9.]+", "_", self.setting.name).strip("_")[:40]
        return f"{self.index:03d}-{readable}-seed{self.seed}"


def cells_of(settings: Sequence[SweepSetting], seeds: Sequence[int]) -> tuple[Cell, ...]:
    """Return the cells of a sweep, seed by seed, so that the first ones already compare all settings."""
    return tuple(
        Cell(place * len(settings) + row, setting, seed)
        for place, seed in enumerate(seeds)
        for row, setting in enumerate(settings)
    )


def open_sweep(folder: Path, sweep: Sweep) -> None:
    """Write the plan into a folder, or check it against the plan that is there.

    Further seeds, after those of the plan, leave the cells that have ended as they are. Raises RunError, with what
    changed, where it is another plan.
    """
    open_plan(folder / PLAN, sweep.described(), "sweep", growing="seeds")


def read_plan(folder: Path) -> dict[str, Any]:
    """Return the plan of a sweep's folder. RunError where it is damaged."""
    try:
        return check(read_json(folder / PLAN), _PLAN, PLAN)
    except (MalformedText, TooLarge) as error:
        raise RunError(f"{folder / PLAN} is damaged ({fact(error)}); remove {folder} and begin again") from None


def share_of(cells: Sequence[Cell], text: str) -> list[Cell]:
    """Return the share of the cells that ``3/8`` means: every eighth, from the third. UsageError for another form."""
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text.strip())
    if not found or int(found[1]) > int(found[2]):
        raise UsageError(f"--cells is {text!r}, but must be a share such as 3/8, the third of eight")
    return list(cells[int(found[1]) - 1 :: int(found[2])])


@dataclass(frozen=True)
class CellResult:
    """What came of a cell: where its run is, or at which step it diverged.

    - `seconds`: of training; `facts`: the summary of the training.
    """

    cell: Cell
    run: Path | None
    diverged: str = ""
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
