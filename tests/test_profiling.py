"""Costs: the peak is that of the tensors alive at once, the time that of the call."""

import pytest
import torch

from segablate.ablation import cost
from segablate.ablation.cost import measure_cost, measure_costs

MIB = 2**20


def grows_and_shrinks() -> torch.Tensor:
    first = torch.zeros(MIB, dtype=torch.uint8)
    second = torch.zeros(2 * MIB, dtype=torch.uint8)
    del first
    return torch.cat([second, second])


def test_peak_is_what_lives_at_once():
    assert measure_cost(grows_and_shrinks, repeats=1).peak_bytes == 6 * MIB


def test_what_was_there_before_does_not_count():
    held = torch.zeros(8 * MIB, dtype=torch.uint8)
    assert measure_cost(lambda: held.add_(1), repeats=1).peak_bytes < 1024


def test_time_is_the_median_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the calls turn."""
    calls: list[str] = []
    now, durations = [0.0], iter([100.0, 1.0, 9.0, 2.0])  # the first call is not timed
    monkeypatch.setattr(cost.time, "perf_counter", lambda: now[0])

    def slow() -> None:
        calls.append("slow")
        now[0] += next(durations)

    def fast() -> None:
        calls.append("fast")
        now[0] += 0.25

    found = measure_costs([slow, fast], repeats=3)
    assert [each.seconds for each in found] == [2, 0.25]
    assert calls[2:] == ["slow", "fast"] * 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_peak_on_the_device():
    found = measure_cost(lambda: torch.zeros(4 * MIB, dtype=torch.uint8, device="cuda").clone(), device="cuda")
    assert found.peak_bytes == 8 * MIB
