"""Reading processes start where the work is long enough, after items that are computed in this process."""

import itertools
import os
from concurrent.futures import Future

import cv2
import pytest

from segablate.datasets import reading
from segablate.datasets.reading import ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a job moves on by as many seconds as its index says."""
    now = [0.0]
    monkeypatch.setattr(reading.time, "perf_counter", lambda: now[0])
    return now


class Here:
    """In place of the pool: jobs run in this process, and those that would have been submitted are listed."""

    submitted: list[int]

    def __init__(self, job, workers: int) -> None:
        self.job, self.workers = job, workers
        Here.submitted = []

    def submit(self, index: int) -> Future:
        Here.submitted.append(index)
        future: Future = Future()
        future.set_result(self.job(index))
        return future

    def stop(self) -> None:
        pass


def moved_to_processes(clock: list[float], seconds: list[float], workers: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of items that were computed here before the processes started."""

    def job(index: int) -> int:
        clock[0] += seconds[index]
        return index

    monkeypatch.setattr(reading, "_Pool", Here)
    with ahead(job, range(len(seconds)), workers) as results:
        assert list(results) == list(range(len(seconds)))
    assert Here.submitted == list(range(len(seconds) - len(Here.submitted), len(seconds)))
    return len(seconds) - len(Here.submitted)


def test_short_work_stays_here_and_long_work_does_not(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(seconds: list[float], workers: int = 2) -> int:
        return moved_to_processes(clock, seconds, workers, monkeypatch)

    each = 1 / 16
    assert moved([0.4] + [each] * 87) == 88  # 79 / 16 s are left after half a second, of which two would save half
    assert moved([0.4] + [each] * 88) == 9
    assert moved([0.4, 0.15] + [each] * 60) == 62  # a single image that takes longer decides nothing
    assert moved([0.4] + [each] * 60, workers=8) == 9
    assert moved([0.4] + [each] * 500, workers=1) == 501
    assert moved([4.0] + [4.0] * 9) == 1  # long even without the imports of the first
    assert moved([0.1] * 10 + [3.0] * 10) == 12  # later images are larger
    assert moved([0.1] * 5 + [9.0]) == 6  # the last one would gain nothing
    assert moved([0.4] + [each] * 500, workers=0) == 501


def process(index: int) -> tuple[int, int]:
    return index, os.getpid()


def test_results_come_in_order_from_here_and_from_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = itertools.count(0.0, 0.6)  # an item, timed by two readings, takes 0.6 s however busy the machine is
    monkeypatch.setattr(reading.time, "perf_counter", lambda: next(readings))
    monkeypatch.setattr(reading, "WORTHWHILE", 0.5)
    threads = cv2.getNumThreads()
    with ahead(process, range(8), 2) as results:
        assert cv2.getNumThreads() == 1
        found = list(results)
    assert cv2.getNumThreads() == threads
    assert [index for index, _ in found] == list(range(8))
    places = [pid == os.getpid() for _, pid in found]
    assert places == [True, True] + [False] * 6
