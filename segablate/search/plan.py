"""A search: what is searched, and how its proxies are trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segablate.errors import UsageError, counted, did_you_mean
from segablate.search import METRICS
from segablate.search.samplers import Design, described
from segablate.search.space import Space, space_of
from segablate.training.sweep import Sweep, SweepSetting

PLAN = "search.json"

ROUNDS, SAMPLES, STEPS = 4, 8, 60
"""Rounds, proxies in each and steps of a proxy unless said."""

AUTHORS = "12 rounds × 32 proxies × 1 000 steps"
"""What the authors ran."""


@dataclass(frozen=True)
class Search:
    """What is searched.

    - `proxy`: how proxies are trained, without settings: on what, which recipe, the one seed; reported on the hold-out.
    - `sampler`: its name; `seed`: of the sampler and of every proxy.
    """

    space: Space
    sampler: str
    rounds: int
    samples: int
    seed: int
    proxy: Sweep

    @property
    def metric(self) -> str:
        """Return the metric."""
        return self.space.metric

    @property
    def design(self) -> Design:
        """Return what the sampler is asked."""
        return Design(self.space.start(), self.samples, self.seed)

    @property
    def length(self) -> str:
        """Return how much is trained, as text: ``4 rounds × 8 proxies × 60 steps``."""
        steps = self.proxy.request.recipe.total(len(self.proxy.request.dataset))
        counts = (self.rounds, "round", "rounds"), (self.samples, "proxy", "proxies"), (steps, "step", "steps")
        return " × ".join(counted(*each) for each in counts)

    def described(self) -> dict[str, Any]:
        """Return the plan as JSON holds it."""
        proxy = self.proxy.described()
        proxy["held out"] = proxy.pop("reported on")
        return {
            "metric": self.metric,
            "sampler": described(self.sampler),
            "rounds": self.rounds,
            "samples": self.samples,
            **{name: value for name, value in proxy.items() if name not in ("settings", "tolerances")},
        }

    def round(self, thetas: Sequence[Sequence[float]]) -> Sweep:
        """Return the sweep of a round: one proxy for each theta."""
        settings = [SweepSetting(f"sample {k}", objective_of(self.metric, theta)) for k, theta in enumerate(thetas)]
        return replace(self.proxy, settings=tuple(settings))

    def references(self) -> Sweep:
        """Return the sweep of what the samples are compared with, trained as they are."""
        published = SweepSetting(PUBLISHED, objective_of(self.metric))
        return replace(self.proxy, settings=(SweepSetting("ce", "ce"), published))


PUBLISHED = "published"
"""The name of the published parameters."""


def objective_of(metric: str, theta: Sequence[float] | None = None) -> str:
    """Return the surrogate as an objective; without theta, with the published parameters."""
    curves = "" if theta is None else f", theta={':'.join(map(repr, theta))}"
    return f"asl(metric={metric}{curves})"


def metric_named(name: str) -> Space:
    """Return the space of a metric. Raises UsageError, with the nearest name, for one that is none."""
    if name not in METRICS:
        raise UsageError(f"no metric with a surrogate is called {name!r}{did_you_mean(name, METRICS)}")
    return space_of(name)


def round_folder(folder: Path, number: int) -> Path:
    """Return the folder of a round, from 0, in that of its search."""
    return folder / "rounds" / f"{number + 1:02d}"
