"""The bounds of losses and objectives, to which the intervals of their means over images are cut.

Read from the text of an objective and of the files of its losses: neither imports torch or a user's code, so that a
saved run can be printed without them.
"""

import re
from collections.abc import Sequence

import numpy as np

from segablate.objective.catalogue import own_bounds
from segablate.statistics.bounds import UNBOUNDED, Bounds

_TERM = re.compile(r"\s*([+-]?)\s*(?:(\d[\d.]*(?:[eE][+-]?\d+)?)\*)?([A-Za-z_]\w*)(?:\(([^()]*)\))?\s*")
_CLASS_WEIGHTS = re.compile(r"(?:^|[\s,])weights=([^,]+)")


def bounds_of_objective(text: str) -> Bounds:
    """Return the bounds of the values of an objective, such as ``ce + 0.5*dice``, under which a run keeps them.

    Unbounded where a term is not of this program, or its text is not one that is printed.
    """
    low, high, place = 0.0, 0.0, 0
    while place < len(text) or not place:
        term = _TERM.match(text, place)
        if term is None or term[3] not in own_bounds():
            return UNBOUNDED
        try:
            ends = _of_term(term)
        except ValueError:  # a number that is none
            return UNBOUNDED
        low, high, place = low + ends[0], high + ends[1], term.end()
    return Bounds(low, high)


def bounds_of_loss(bounds: tuple[float | None, float | None], class_weights: Sequence[float] = ()) -> Bounds:
    """Return what a loss declares as its bounds; class weights above 1 raise the upper one."""
    low, high = bounds
    largest = max(1.0, *class_weights, 1.0)
    return Bounds(-np.inf if low is None else low, np.inf if high is None else high * largest)


def _of_term(term: re.Match[str]) -> tuple[float, float]:
    weight = float(f"{term[1]}{term[2] or 1}")
    given = _CLASS_WEIGHTS.search(term[4] or "")
    bounds = bounds_of_loss(own_bounds()[term[3]], [*map(float, given[1].split(":"))] if given else ())
    ends = (0.0, 0.0) if weight == 0 else (weight * float(bounds.low), weight * float(bounds.high))
    return min(ends), max(ends)
