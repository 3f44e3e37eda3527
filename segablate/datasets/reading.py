"""Read ahead: decode the next samples while the current ones are measured.

Threads read images: decoders release Python's lock, and copying an image between processes takes a third of the time
of decoding it. Processes read label maps that are also measured there: numpy holds the lock, and counts are small. They
take half a second each to start, and so start only for work that takes longer.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

from segablate.errors import DatasetError, SegablateError
from segablate.freed_memory import keep_freed_memory
from segablate.images.silence import WATCHES
from segablate.runtime import clean_processes, local_processes

Result = TypeVar("Result")

WORTHWHILE = 2.5
"""Seconds that several processes must save, at the pace of the items so far, for them to start."""

_AHEAD = 4  # finished or running jobs per worker: enough to smooth large and small images, few enough to bound memory


@dataclass(frozen=True)
class Failure:
    """The index of an item that could not be read or measured, and the error."""

    index: int
    error: SegablateError


def default_workers() -> int:
    """Return the number of cores that this process may use, shared with its team on this machine; at most eight."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores // local_processes()))


@contextmanager
def ahead(job: Callable[[int], Result], indices: Sequence[int], workers: int) -> Iterator[Iterator[Result | Failure]]:
    """Yield the results of ``job(index)`` in the order of `indices`, computed by `workers` processes (0: in this one).

    The first are computed in this process, and all where processes would save less than :data:`WORTHWHILE`.

    A SegablateError becomes a :class:`Failure` in its place. `job` must be picklable. Leaving the block, also by an
    error or Ctrl-C, ends the processes. Raises DatasetError when one of them is killed.
    """
    pool = _Pool(job, min(workers, len(indices)))
    keep_freed_memory()
    try:
        with _ONE_THREAD:
            yield _results_of(pool, indices)
    except BrokenProcessPool:
        raise DatasetError(
            "a process that reads images was killed (out of memory?); try fewer --workers, or --workers 0"
        ) from None
    finally:
        pool.stop()


class _Pool:
    """Processes that run a job, and start with the first index that they are given."""

    def __init__(self, job: Callable[[int], Any], workers: int) -> None:
        self.job, self.workers = job, workers
        self._executor: ProcessPoolExecutor | None = None

    def submit(self, index: int) -> Future:
        """Have the job run in one of the processes."""
        with clean_processes():  # also one that tracks semaphores, and the server of the others
            if self._executor is None:
                begin = {"initializer": _begin, "initargs": (self.job,)}
                self._executor = ProcessPoolExecutor(self.workers, _context(self.job), **begin)
            return self._executor.submit(_work, index)

    def stop(self) -> None:
        """End the processes."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)


def _results_of(pool: _Pool, indices: Sequence[int]) -> Iterator[Any]:
    """Yield the results of a job, of the first indices here and of the others in processes if that saves time."""
    pace = _Pace()
    for place, index in enumerate(indices):
        rest = len(indices) - place
        if pool.workers and rest > 1 and pace.seconds_for(rest) * (1 - 1 / pool.workers) >= WORTHWHILE:
            yield from _results(pool.submit, indices[place:], _AHEAD * pool.workers)
            return
        with pace.timed():
            result = _attempt(pool.job, index)
        yield result


class _Pace:
    """The time that items take: the mean of those so far, without the imports of the first.

    Unknown, and taken to be 0, until they took :data:`_ENOUGH` seconds, as another program may delay a single one.
    """

    _IMPORTS = 0.5
    _ENOUGH = 0.5

    def __init__(self) -> None:
        self.items, self.first, self.others = 0, 0.0, 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time one item."""
        start = time.perf_counter()
        yield
        took = time.perf_counter() - start
        if self.items:
            self.others += took
        else:
            self.first = max(0.0, took - self._IMPORTS)
        self.items += 1

    def seconds_for(self, items: int) -> float:
        """Return the seconds that this many more items would take here."""
        took, count = (self.others, self.items - 1) if self.items > 1 else (self.first, 1)
        return items * took / count if took >= self._ENOUGH else 0.0


class _OneThread:
    """Lets OpenCV use one thread: on single label maps, several cost more processor time than they save.

    Their number is global: it is set back when the last of several threads of the program leaves.
    """

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, 0

    def __enter__(self) -> None:
        import cv2

        with self.lock:
            if not self.inside:
                self.before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        import cv2

        with self.lock:
            self.inside -= 1
            if not self.inside:
                cv2.setNumThreads(self.before)


_ONE_THREAD = _OneThread()


@contextmanager
def ahead_in_threads(
    job: Callable[[int], Result], indices: Sequence[int], workers: int
) -> Iterator[Iterator[Result | Failure]]:
    """As :func:`ahead`, by threads of this process: for jobs that release Python's lock and return large arrays."""
    if workers == 0 or len(indices) < 2:
        yield (_attempt(job, index) for index in indices)
        return
    pool = ThreadPoolExecutor(min(workers, len(indices)), "reading")
    try:
        yield _results(lambda index: pool.submit(_attempt, job, index), indices, _AHEAD * workers)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _results(submit: Callable[[int], Future], indices: Sequence[int], depth: int) -> Iterator[Any]:
    pending: deque[Future] = deque()
    for index in indices:
        pending.append(submit(index))
        if len(pending) >= depth:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _context(job: Callable[[int], Any]) -> BaseContext:
    """Return the context of processes that start clean: a fork copies locks held by torch's and OpenCV's threads.

    What the job needs is imported once, by the process that they are forked from.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    module = getattr(getattr(job, "func", job), "__module__", None) or "__main__"
    context.set_forkserver_preload(["segablate.datasets.dataset", "cv2", *([module] if module != "__main__" else [])])
    return context


_job: Callable[[int], object] | None = None


def _begin(job: Callable[[int], object]) -> None:
    """Set up a new worker: keep the job, leave Ctrl-C to the parent, end with it, and use one thread."""
    global _job
    import cv2

    threading.Thread(target=_end_with_parent, name=WATCHES, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    keep_freed_memory()
    _job = job


def _end_with_parent() -> None:
    """End this process with its parent: after the parent is killed, it would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(index: int) -> object:
    assert _job is not None
    return _attempt(_job, index)


def _attempt(job: Callable[[int], Result], index: int) -> Result | Failure:
    try:
        return job(index)
    except SegablateError as error:
        return Failure(index, error)
