"""CMA-ES, by ask and tell of the package cma; a round is a generation.

A fresh strategy under the seed is asked and told every earlier round again. The package takes its random numbers from
numpy's global generator, whose state is therefore set aside meanwhile.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from segablate.errors import UsageError
from segablate.extras import require
from segablate.search.samplers import Design, Scored
from segablate.search.space import LEAST, Floats

PACKAGE = "cma"

_SIGMA, _FEWEST = 0.2, 4


def propose(design: Design, earlier: Sequence[Scored]) -> Floats:
    """Return the next generation, (S, D). Raises UsageError for fewer than four samples a round."""
    if design.samples < _FEWEST:
        raise UsageError(f"--samples is {design.samples}, but --sampler cma needs at least {_FEWEST} in a round")
    with _own_randomness():
        strategy = _strategy(design)
        for scored in earlier:
            strategy.ask()
            strategy.tell(list(scored.raw), (-scored.rewards).tolist())
        raw = np.clip(np.array(strategy.ask(), np.float64), 0, 1)
    if not earlier:
        raw[0] = design.start
    return raw


def _strategy(design: Design) -> Any:
    cma = require("cma", "search", "--sampler cma")
    options = {
        "bounds": [LEAST, 1 - LEAST],
        "popsize": design.samples,
        "seed": design.seed + 1,  # 0 is the time
        "verbose": -9,
    }
    return cma.CMAEvolutionStrategy(design.start.tolist(), _SIGMA, options)


@contextmanager
def _own_randomness() -> Iterator[None]:
    state = np.random.get_state()  # noqa: NPY002, the package seeds it
    try:
        with catch_warnings():
            simplefilter("ignore")
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
