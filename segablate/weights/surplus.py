"""Keys of a state dict that a network does not have: what they are, and whether weights may be loaded without them."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from segablate.errors import counted, shorten

if TYPE_CHECKING:
    from torch import Tensor

OF_TRAINING = frozenset(
    (
        "loss",
        "losses",
        "criterion",
        "criteria",
        "criterions",
        "metric",
        "metrics",
        "confmat",
        "confusion",
        "iou",
        "miou",
    )
)
"""Words in the names of submodules and buffers that belong to losses and metrics."""

COUNTERS = frozenset(
    ("n_averaged", "num_updates", "updates", "steps", "step", "initted", "decay", "total_ops", "total_params")
)
"""Buffers that count steps: of torch's AveragedModel, LitEma, mmengine, ema-pytorch; and the counts of thop."""

STATE = "_extra_state"
"""What a layer keeps beside its weights, such as scales of low precision: not what evaluation in floats reads."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True)
class Surplus:
    """The keys that a network does not have.

    ``training``: of losses, metrics and counters. ``beside``: of other submodules than the network's. ``inside``: of
    submodules that the network has, so that it is another network.
    """

    training: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)

    def notes(self, where: str) -> tuple[str, ...]:
        """Return the notes on what was not loaded."""
        notes = []
        if self.training:
            number = counted(len(self.training), "entry", "entries")
            notes.append(f"{where}: {number} of losses, metrics or averaging not loaded ({shorten(self.training)})")
        if self.beside:
            number = counted(len(self.beside), "key")
            notes.append(f"{where}: {number} of no part of the network not loaded ({shorten(self.beside)})")
        return tuple(notes)


def sort_surplus(unexpected: Iterable[str], own: Collection[str], tensors: Mapping[str, "Tensor"]) -> Surplus:
    """Sort the keys ``unexpected`` that a network with the keys ``own`` does not have."""
    found = Surplus()
    tops = {_family(name) for name in own}
    for key in unexpected:
        if _of_training(key, tensors.get(key)):
            found.training.append(key)
        elif _family(key) in tops:
            found.inside.append(key)
        else:
            found.beside.append(key)
    return found


def _of_training(key: str, value: "Tensor | None") -> bool:
    words = {word.lower() for word in _WORDS.findall(key)}
    last = key.rpartition(".")[2]
    counter = last == STATE or (last in COUNTERS and (value is None or value.numel() == 1))
    whole = value is not None and value.ndim == 0 and not value.is_floating_point()
    return counter or whole or not words.isdisjoint(OF_TRAINING)


def _family(key: str) -> str:
    """Return the first part of a key without its number: ``layer5`` is a sibling of ``layer4``, ``7`` of ``6``."""
    return key.partition(".")[0].rstrip("0123456789")
