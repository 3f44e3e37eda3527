"""Quality and cost of each run, and the runs that no other run dominates (the Pareto set)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from segablate.comparison.pairing import Runs
from segablate.comparison.scores import Measure
from segablate.evaluation.results import Evaluation
from segablate.statistics.bootstrap import Floats

SAME_TIME = 1.1
"""Times up to this ratio count as equal, being within the noise of the clock."""

Times = Mapping[str, float]
"""Milliseconds per image by the names of runs, measured in one call and in turns."""

_CRITERIA = (("miou", 1, 1.0), ("boundary_f", 1, 1.0), ("milliseconds", -1, SAME_TIME), ("parameters", -1, 1.0))
"""Name; 1 where higher is better, else -1; ratio up to which two values are equal."""


@dataclass(frozen=True)
class TradeOff:
    """Quality and cost of one run: shares in 0..1, milliseconds per image, number of parameters; None where unknown.

    - `in_turns`: whether the time was measured in turns with the other runs; otherwise it takes no part.
    - `evaluated_on`: what was read in the place of images, so that the network was not timed; empty otherwise.
    - `dominated_by`: indices of the runs that are at least as good in all criteria and better in one.
    """

    miou: float
    boundary_f: float | None
    milliseconds: float | None
    parameters: int | None
    in_turns: bool = False
    dominated_by: tuple[int, ...] = ()
    evaluated_on: str = ""


def trade_offs(
    runs: Runs, measures: Sequence[Measure], values: dict[str, Floats], times: Times | None = None
) -> tuple[TradeOff, ...]:
    """Return mIoU, the first boundary F, time and parameters of every run, and which runs dominate it.

    A criterion that is not known for every run is left out. So is time unless `times` has it for every run: times that
    runs measured on their own are of other hours, under other load.
    """
    boundary = next((values[m.key].tolist() for m in measures if m.kind == "boundary"), [None] * len(runs))
    in_turns = times is not None and set(times) >= set(runs)
    found = [
        TradeOff(
            miou,
            boundary_f,
            times[name] if times and in_turns else milliseconds(run),
            parameters(run),
            in_turns,
            evaluated_on=run.facts.get("timing", {}).get("evaluated on", ""),
        )
        for (name, run), miou, boundary_f in zip(runs.items(), values["miou"].tolist(), boundary, strict=True)
    ]
    return tuple(
        replace(one, dominated_by=tuple(place for place, other in enumerate(found) if dominates(other, one, found)))
        for one in found
    )


def dominates(a: TradeOff, b: TradeOff, among: Sequence[TradeOff]) -> bool:
    """Whether `a` is as good as `b` in every criterion known for all of `among`, and better in one."""
    gains = []
    for name, sign, margin in _CRITERIA:
        mine, other = getattr(a, name), getattr(b, name)
        if name == "milliseconds" and not all(one.in_turns for one in among):
            continue
        if all(getattr(one, name) is not None for one in among):
            alike = max(mine, other) <= margin * min(mine, other)
            gains.append(0 if alike else sign * (1 if mine > other else -1))
    return min(gains) >= 0 and max(gains) > 0


def milliseconds(run: Evaluation) -> float | None:
    """Return the milliseconds of the network per image, where the run measured them."""
    return run.facts.get("timing", {}).get("milliseconds per image")


def parameters(run: Evaluation) -> int | None:
    """Return the number of trainable parameters, where the checkpoint states it."""
    stated = run.facts["checkpoint"].get("parameters")
    return None if stated is None else int(re.sub(r"\D", "", str(stated)))
