"""Trainings that processes share, for test_training_team; under torchrun: ``team_trainings.py DATA FOLDER``."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainings import trained

from segablate.runtime import team
from segablate.training.trainer import Trainer

OBJECTIVES = {
    "ce": "ce",
    "weighted": "ce(weights=1:2:3:4)",
    "bce": "bce(extra=1)",
    "focal": "focal(gamma=2)",
    "recall": "recall",
    "recall-momentum": "recall(momentum=0.5, prior_hits=10)",
    "recall-image": "recall(scope=image)",
    "abl-image": "ce + abl(scope=image)",
    "abl-batch": "ce + abl(scope=batch)",
    "whole": "ce + lovasz + dice",
}
NORMS = ("frozen", "sync", "train")
MOVING: dict[str, Any] = {
    "batch": 4,
    "steps": 4,
    "optimiser": "sgd",
    "rate": 0.05,
    "weight_decay": 1e-3,
    "scale": (0.7, 1.5),
    "flip": 0.5,
    "crop": (20, 24),
    "clip": 1.0,
}
"""Small steps, so that rounding stays rounding."""


def cases() -> dict[str, dict[str, Any]]:
    """Trainings by name: every objective with frozen and synchronised batch norm, two with that of each process."""
    every = {
        f"{name}-{norm}": {**MOVING, "objective": objective, "norm": norm}
        for name, objective in OBJECTIVES.items()
        for norm in NORMS[:2]
    }
    own = {"ce-train": {**MOVING, "norm": "train"}, "one-train": {**MOVING, "norm": "train", "steps": 1}}
    return {**every, **own, "network": {**MOVING, "norm": "sync", "network": "NET"}}


def fields_of(data: Path, case: str) -> dict[str, Any]:
    """The fields of a case; its network may be one that has parameters without a gradient."""
    fields = dict(cases()[case])
    if fields.get("network") == "NET":
        fields["network"] = f"python:{data / 'net.py'}:net()"
    return fields


def run(data: Path, folder: Path, case: str) -> None:
    """Train one case into a folder of its name."""
    trained(data, folder / case, **fields_of(data, case))


def run_broken(data: Path, folder: Path) -> None:
    """Train with a batch norm in each process, stop in the middle, and go on."""
    keep = Trainer._keep

    def failing(self: Trainer, due: bool) -> None:
        keep(self, due or self.step == 2)
        if self.step == 3:
            raise ValueError("power cut")

    Trainer._keep = failing  # type: ignore[method-assign]
    with suppress(ValueError):
        trained(data, folder / "broken", **cases()["ce-train"])
    Trainer._keep = keep  # type: ignore[method-assign]
    trained(data, folder / "broken", **cases()["ce-train"])


def main() -> None:
    data, folder = map(Path, sys.argv[1:])
    for case in cases():
        run(data, folder, case)
    run_broken(data, folder)
    team().leave()


if __name__ == "__main__":
    main()
