"""Read ahead: decode the next samples while the current ones are measured.

Threads read images: decoders release Python's lock, and copying an image between processes takes a third of the time
of decoding it. Processes read label maps that are also measured there: numpy holds the lock, and counts are small.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

from segablate.errors import DatasetError, SegablateError
from segablate.runtime import clean_processes, local_processes

Result = TypeVar("Result")

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

    A SegablateError becomes a :class:`Failure` in its place. `job` must be picklable. Leaving the block, also by an
    error or Ctrl-C, ends the processes. Raises DatasetError when one of them is killed.
    """
    if workers == 0 or len(indices) < 2:
        yield (_attempt(job, index) for index in indices)
        return
    with clean_processes():  # one that tracks semaphores starts here, the others when there is work
        pool = ProcessPoolExecutor(min(workers, len(indices)), _context(), initializer=_begin, initargs=(job,))

    def submit(index: int) -> Future:
        with clean_processes():
            return pool.submit(_work, index)

    try:
        yield _results(submit, indices, _AHEAD * workers)
    except BrokenProcessPool:
        raise DatasetError(
            "a process that reads images was killed (out of memory?); try fewer --workers, or --workers 0"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


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


def _context() -> BaseContext:
    """Return the context of processes that start clean: a fork copies locks held by torch's and OpenCV's threads."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["segablate.datasets.dataset", "cv2"])
    return context


_job: Callable[[int], object] | None = None


def _begin(job: Callable[[int], object]) -> None:
    """Set up a new worker: keep the job, leave Ctrl-C to the parent, end with it, and use one thread."""
    global _job
    import cv2

    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
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
