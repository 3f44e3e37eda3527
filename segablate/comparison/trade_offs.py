"""Quality and cost of each run, and the runs that no other run dominates (the Pareto set)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from segablate.comparison.pairing import Runs
from segablate.comparison.scores import Measure
from segablate.evaluation.results import Evaluation
from segablate.statistics.bootstrap import Floats

SAME_TIME = 1.1
"""Times up to this ratio count as equal, being within the noise of the clock."""

_CRITERIA = (("miou", 1, 1.0), ("boundary_f", 1, 1.0), ("milliseconds", -1, SAME_TIME), ("parameters", -1, 1.0))
"""Name; 1 where higher is better, else -1; ratio up to which two values are equal."""


@dataclass(frozen=True)
class TradeOff:
    """Quality and cost of one run: shares in 0..1, milliseconds per image, number of parameters; None where unknown.

    `dominated_by`: indices of the runs that are at least as good in all criteria and better in one.
    """

    miou: float
    boundary_f: float | None
    milliseconds: float | None
    parameters: int | None
    dominated_by: tuple[int, ...] = ()


def trade_offs(runs: Runs, measures: Sequence[Measure], values: dict[str, Floats]) -> tuple[TradeOff, ...]:
    """Return mIoU, the first boundary F, time and parameters of every run, and which runs dominate it.

    A criterion that is not known for every run is left out, as are times on different devices or at different batch
    sizes.
    """
    boundary = next((values[m.key].tolist() for m in measures if m.kind == "boundary"), [None] * len(runs))
    one_clock = len({_clock(run) for run in runs.values()}) == 1
    found = [
        TradeOff(miou, boundary_f, milliseconds(run) if one_clock else None, parameters(run))
        for run, miou, boundary_f in zip(runs.values(), values["miou"].tolist(), boundary, strict=True)
    ]
    return tuple(
        TradeOff(
            *(one.miou, one.boundary_f, one.milliseconds, one.parameters),
            dominated_by=tuple(place for place, other in enumerate(found) if dominates(other, one, found)),
        )
        for one in found
    )


def dominates(a: TradeOff, b: TradeOff, among: Sequence[TradeOff]) -> bool:
    """Whether `a` is as good as `b` in every criterion known for all of `among`, and better in one."""
    gains = []
    for name, sign, margin in _CRITERIA:
        mine, other = getattr(a, name), getattr(b, name)
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


def _clock(run: Evaluation) -> tuple[object, object]:
    return run.facts["checkpoint"].get("device"), run.facts.get("timing", {}).get("batch size")
