"""A recipe, and what a training leaves behind: states to go on from, or its summary."""

import json
from pathlib import Path
from typing import NoReturn

from .pictures import write_pictures
from .saved_runs import run_quietly

_SMALL = "--batch 2 --crop 16x16 --scale 1:1 --steps 2 --train-split val --holdout 0 --device cpu --workers 0"
TRAIN = f"train small folder:data {_SMALL} --save t"
RESUME = f"{TRAIN} --state-every 0 --resume"

RECIPE = {
    "about": "a recipe",
    "network": "small",
    "fields": {
        "objective": {"value": "ce", "source": "paper"},
        "optimiser": {"value": "sgd", "source": "code"},
        "rate": {"value": 0.01, "source": "ours"},
        "decay_norms": {"value": True, "source": "ours"},
        "resize": {"value": [24, 32], "source": "ours"},
        "flip": {"value": 0.5, "source": "ours"},
    },
}


def write_recipe(root: Path) -> None:
    """A recipe beside a dataset; JSON is YAML."""
    write_pictures(root)
    (root / "recipe.yaml").write_text(json.dumps(RECIPE))


def leave_states(root: Path) -> None:
    """Train, and break off before the end, so that states are left."""
    from segablate.errors import RunError
    from segablate.training import session

    def stop(*_: object) -> NoReturn:
        raise RunError("stopped")

    conclude, session.conclude = session.conclude, stop
    run_quietly(root, *RESUME.split()[:-1], code=1)
    session.conclude = conclude


def finish(root: Path) -> None:
    """Train to the end."""
    run_quietly(root, *TRAIN.split())
