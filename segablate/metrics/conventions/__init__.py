"""Conventions of other tools by name: the scores that they report for the same counts."""

from segablate.errors import UsageError, did_you_mean
from segablate.metrics.conventions.boundaries import BOUNDARIES, BoundaryConvention
from segablate.metrics.conventions.convention import Convention, Scores, scores_under
from segablate.metrics.conventions.regions import OURS, REGIONS
from segablate.metrics.conventions.voids import VOIDS

__all__ = [
    "BOUNDARIES",
    "OURS",
    "REGIONS",
    "VOIDS",
    "BoundaryConvention",
    "Convention",
    "Scores",
    "convention_named",
    "scores_under",
]


def convention_named(name: str) -> Convention | BoundaryConvention:
    """Return the convention of this name; raises UsageError with the nearest names where there is none."""
    known = {convention.name: convention for convention in (OURS, *VOIDS, *REGIONS, *BOUNDARIES)}
    if name not in known:
        raise UsageError(f"no convention is called {name!r}{did_you_mean(name, known)}")
    return known[name]
