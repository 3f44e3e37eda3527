"""Edge networks as data, and the settings of their training."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

CHANNELS = (16, 32, 2)
"""Output channels of the three 3×3 convolutions; the last are the logits of no edge and edge."""

SURE = 19
"""Odds of the labelled class against all others in the maps that are trained on."""


@dataclass(frozen=True)
class Training:
    """Settings of the training of an edge network.

    - `steps`: Adam steps on `batch` crops of `side` pixels; `rate` falls to 0 along a half cosine.
    - `noise`: standard deviation of the Gaussian noise on the scaled one-hot labels, before the softmax.
    - `onehot_scale`: the scale; None: odds of 19 for the labelled class against all others.
    - `masks`: largest number of masks that are read, evenly spaced over the split; several crops are cut from each.
    """

    seed: int = 0
    steps: int = 300
    noise: float = 0.1
    onehot_scale: float | None = None
    masks: int = 200
    batch: int = 8
    side: int = 64
    rate: float = 0.01

    def scale(self, classes: int) -> float:
        """Return the scale of one-hot labels for this number of classes."""
        return math.log(max(classes - 1, 1) * SURE) if self.onehot_scale is None else self.onehot_scale


@dataclass(frozen=True, eq=False)
class EdgeNetwork:
    """The layers, for ``semeda(..., edge_net=network.layers)``, and their origin.

    - `layers`: three pairs of weight and bias, float32 on the CPU.
    - `facts`: classes, label set, split, masks, the training, and its results (``edge_f1``, ``cross_entropy``).
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    facts: Mapping[str, Any]

    @cached_property
    def hash(self) -> str:
        """Return 16 hexadecimal digits of the SHA-256 of the weights."""
        digest = hashlib.sha256()
        for tensor in (tensor for pair in self.layers for tensor in pair):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]
