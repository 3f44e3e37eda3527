"""What a training is resumed from: files that are there whole or not at all, the last two of which are kept.

``state-STEP.safetensors`` holds the weights (``module/...``), the optimiser (``optimiser/...``), what losses carry from
batch to batch (``loss/...``) and the projection of features (``projection/...``); its metadata key
``segablate_training`` holds the identity of the training, the step and numbers of the course. Order, augmentation and
dropout come from (seed, step), so nothing else is needed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from segablate.errors import RunError, at
from segablate.files import discard, native_path, write_atomically
from segablate.limits import TooLarge
from segablate.plain_values import check
from segablate.text_files import MalformedText, parse_json
from segablate.training.plans import changes

KEPT = 2

_KEY = "segablate_training"
_PARTS = ("module", "optimiser", "loss", "projection")
_SHAPE = {"identity": str, "step": int, "facts": {str: object}}
_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True)
class State:
    """A training after `step` steps; `facts` are plain values of its course."""

    step: int
    module: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    projection: Mapping[str, Tensor] = field(default_factory=dict)


def write_state(folder: Path, state: State, identity: str, training: Mapping[str, Any] = _NONE) -> None:
    """Write a state, whole or not at all, and remove all but the last two. OSError where the disk is full.

    `training`: what the training is of, for the message to one that is of something else.
    """
    from safetensors.torch import save

    held = (state.module, state.optimiser, state.losses, state.projection)
    parts = dict(zip(_PARTS, held, strict=True))
    tensors = {
        f"{part}/{name}": tensor.detach().cpu().contiguous().clone()
        for part, named in parts.items()
        for name, tensor in named.items()
    }
    described = {"identity": identity, "step": state.step, "facts": dict(state.facts), "training": dict(training)}
    write_atomically(folder / _name(state.step), save(tensors, {_KEY: json.dumps(described, sort_keys=True)}))
    for old in sorted(folder.glob("state-*.safetensors"))[:-KEPT]:
        discard(old)


def read_state(folder: Path, identity: str, training: Mapping[str, Any] = _NONE) -> State | None:
    """Return the last whole state of a training; None where there is none yet.

    Raises RunError where states are there and none of them is whole, and for a state of another training, with what
    differs from `training`.
    """
    files = sorted(folder.glob("state-*.safetensors"), reverse=True)
    for file in files:
        found = _read(file)
        if found is None:
            continue
        described, tensors = found
        if described["identity"] != identity:
            differs = in_brackets(described.get("training"), training)
            raise RunError(
                f"{folder} holds a training under other options or of other data{differs}; choose another --save, or "
                f"remove it"
            )
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS}
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor
        module, optimiser, losses, projection = (parts[part] for part in _PARTS)
        return State(described["step"], module, optimiser, losses, described["facts"], projection)
    if files:
        raise RunError(f"{folder}: none of the {len(files)} states is whole; remove the folder and train again")
    return None


def in_brackets(before: Any, now: Mapping[str, Any]) -> str:
    """Return what differs between the descriptions of two trainings, in brackets; empty where that is not known."""
    if not isinstance(before, Mapping) or not before:
        return ""
    found = changes(_objective_once(before), _objective_once(json.loads(json.dumps(now))))
    return f" ({found})" if found else ""


def _objective_once(training: Mapping[str, Any]) -> dict[str, Any]:
    """Leave the objective out of the recipe: it has an entry of its own."""
    recipe = training.get("recipe")
    if not isinstance(recipe, Mapping):
        return dict(training)
    return {**training, "recipe": {name: value for name, value in recipe.items() if name != "objective"}}


def has_states(folder: Path) -> bool:
    """Return whether a folder holds states, whole or not."""
    return any(folder.glob("state-*.safetensors"))


def remove_states(folder: Path) -> None:
    """Remove all states and the best weights, once the training has its result."""
    for file in (*folder.glob("state-*.safetensors"), *folder.glob("best-*.safetensors")):
        discard(file)


def _name(step: int) -> str:
    return f"state-{step:09d}.safetensors"


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """The description and the tensors; None for a damaged file."""
    from safetensors import SafetensorError, safe_open

    with at(file):
        native = native_path(file, "safetensors")
    try:
        with safe_open(native, "pt") as opened:
            described = check(parse_json((opened.metadata() or {})[_KEY]), _SHAPE, "its description")
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError, MalformedText, TooLarge):
        return None
    known = all(name.partition("/")[0] in _PARTS for name in tensors)
    return (described, tensors) if known and described["step"] >= 0 else None
