"""The cost of a call: its time, and its peak memory above what was allocated before."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import nan
from statistics import median
from typing import Any

import torch
from torch.autograd.profiler import profile


@dataclass(frozen=True)
class Cost:
    """Median seconds of one call, and bytes of tensors at its peak above those allocated when it began.

    - `processor`: seconds of all threads, which other load does not change; on CUDA `seconds`; nan where not measured.
    """

    seconds: float
    peak_bytes: int
    processor: float = nan


def measure_cost(function: Callable[[], object], repeats: int = 5, device: str | torch.device = "cpu") -> Cost:
    """Measure the cost of one call; see :func:`measure_costs`."""
    return measure_costs([function], repeats, device)[0]


def measure_costs(
    functions: Sequence[Callable[[], object]], repeats: int = 5, device: str | torch.device = "cpu"
) -> list[Cost]:
    """Measure the cost of a call of each function, in turns, so that other load on the machine affects all equally.

    Time is the median over the repeats, after one call that is not timed and measures the memory of tensors: on the CPU
    from the profiler's record of the allocator, on CUDA from the allocator's own peak. Results are freed after each
    call.
    """
    device = torch.device(device)
    peaks = [_peak(function, device) for function in functions]
    rounds = [[_seconds(function, device) for function in functions] for _ in range(repeats)]
    return [Cost(median(times), peak) for times, peak in zip(zip(*rounds, strict=True), peaks, strict=True)]


def measure_once(function: Callable[[], object], device: str | torch.device = "cpu") -> Cost:
    """Measure time and memory in one call, without one before it: for what is too slow to repeat.

    On CUDA the second of two calls, as the first fills workspaces.
    """
    device, found = torch.device(device), []

    def timed() -> None:
        start = time.process_time()
        seconds = _seconds(function, device)
        found.append((seconds, seconds if device.type == "cuda" else time.process_time() - start))

    peak = _peak(timed, device)
    seconds, processor = found[-1]
    return Cost(seconds, peak, processor)


def processor_seconds(function: Callable[[], object]) -> float:
    """Measure the processor time of one call in one thread of torch.

    Several threads that wait for each other, as where other programs want the processors, would count as busy.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        start = time.process_time()
        function()
        return time.process_time() - start
    finally:
        torch.set_num_threads(threads)


def _peak(function: Callable[[], object], device: torch.device) -> int:
    return _cuda_peak(function, device) if device.type == "cuda" else _cpu_peak(function)


def _seconds(function: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _cpu_peak(function: Callable[[], object]) -> int:
    """Return the highest sum of the allocator's events; freeing has a negative size."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler would announce itself on stderr
    recorded = profile(use_kineto=True, profile_memory=True)
    with recorded:
        function()
    assert recorded.kineto_results is not None
    events: Any = [event for event in recorded.kineto_results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(sizes, initial=0))


def _cuda_peak(function: Callable[[], object], device: torch.device) -> int:
    function()  # libraries fill their workspaces on the first call
    _wait(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    function()
    _wait(device)
    return torch.cuda.max_memory_allocated(device) - before
