"""Curves as numbers, for tables and plots."""

from collections.abc import Sequence

import numpy as np
import torch

from segablate.losses.asl import THETAS
from segablate.losses.parts.curves import CURVES, read_curves
from segablate.search.running import Found
from segablate.search.space import Floats

_NAMES = {1: ("AND",), 2: ("AND", "OR"), 4: ("AND, map", "AND, eroded", "OR, map", "OR, eroded")}


def curve_names(metric: str) -> tuple[str, ...]:
    """Return the names of the curves of a metric, in the order of theta."""
    return _NAMES[CURVES[metric]]


def curves_at(found: Found, probabilities: Sequence[float]) -> dict[str, Floats]:
    """Return h at probabilities, (curves, P), of identity curves, the published ones and those found, by name."""
    metric, space = found.search.metric, found.search.space
    thetas = {"identity": space.theta(space.start()), "published": THETAS[metric], "found": found.theta}
    at = torch.tensor([list(probabilities)], dtype=torch.float64)  # 1 P
    return {
        name: np.stack([curve(at)[0].numpy() for curve in read_curves(theta, CURVES[metric])])
        for name, theta in thetas.items()
    }
