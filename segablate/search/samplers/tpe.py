"""The tree-structured Parzen estimator, by ask and tell of Optuna.

A fresh study is told all earlier samples; its sampler has a seed of its own in every round.
"""

from collections.abc import Sequence

import numpy as np

from segablate.extras import require
from segablate.search.samplers import Design, Scored
from segablate.search.space import LEAST, Floats

PACKAGE = "optuna"


def propose(design: Design, earlier: Sequence[Scored]) -> Floats:
    """Return the samples of the next round, (S, D); those of the first are random, but for the start."""
    optuna = require("optuna", "search", "--sampler tpe")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = [f"raw {place}" for place in range(len(design.start))]
    space = {name: optuna.distributions.FloatDistribution(LEAST, 1 - LEAST) for name in names}
    (seed,) = np.random.SeedSequence([design.seed, len(earlier)]).generate_state(1)
    sampler = optuna.samplers.TPESampler(n_startup_trials=design.samples, seed=int(seed))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for scored in earlier:
        for raw, reward in zip(scored.raw, scored.rewards, strict=True):
            values = dict(zip(names, raw.tolist(), strict=True))
            trial = optuna.trial.create_trial(params=values, distributions=space, value=float(reward))
            study.add_trial(trial)
    if not earlier:
        study.enqueue_trial(dict(zip(names, design.start.tolist(), strict=True)))
    asked = [study.ask(space) for _ in range(design.samples)]
    return np.array([[trial.params[name] for name in names] for trial in asked], np.float64)
