"""Samplers, one file each, with ``propose(design, earlier)``: the raw coordinates of the next round.

A sampler keeps no state: a fresh one, under the same seed, is told the rounds before. A search that was killed
therefore goes on as if it had not been.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pkgutil import iter_modules
from types import ModuleType

from segablate.errors import UsageError, did_you_mean
from segablate.extras import require
from segablate.search.space import Floats


@dataclass(frozen=True)
class Design:
    """What a sampler is asked: where to start, (D,), how many samples a round, under which seed."""

    start: Floats
    samples: int
    seed: int


@dataclass(frozen=True)
class Scored:
    """A round that was run: raw coordinates (S, D) and rewards (S,)."""

    raw: Floats
    rewards: Floats


Propose = Callable[[Design, Sequence[Scored]], Floats]
"""(design, rounds before) -> raw coordinates in 0..1, (S, D); the first of the first round is the start."""


def sampler_names() -> list[str]:
    """Return the samplers there are, sorted."""
    return sorted(module.name for module in iter_modules(__path__))


def sampler_named(name: str) -> Propose:
    """Return a sampler. Raises UsageError for an unknown one and MissingExtra without its package."""
    return _module(name).propose


def described(name: str) -> str:
    """Return a sampler with the version of the package that it needs: another version may propose others."""
    package = _module(name).PACKAGE
    if not package:
        return name
    require(package, "search", f"--sampler {name}")
    return f"{name} ({package} {metadata.version(package)})"


def _module(name: str) -> ModuleType:
    if name not in sampler_names():
        raise UsageError(f"--sampler is {name!r}{did_you_mean(name, sampler_names())}")
    return import_module(f"{__name__}.{name}")
