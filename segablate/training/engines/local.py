"""Processes of this machine: a pool of spawned ones, one for each device, the threads of each fixed."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segablate.errors import RunError
from segablate.runtime import clean_processes
from segablate.training.cells import claimed, result_of, run_cell
from segablate.training.sweep import Cell, CellResult, Sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segablate.training.engines import Ended, EngineOptions

_TRIES = 3
"""How often a cell is begun again after its process was killed; it goes on from its last state."""

_POLL = 2.0
"""Seconds between two looks at cells that others run."""


def run(folder: Path, sweep: Sweep, cells: Sequence[Cell], ended: "Ended", options: "EngineOptions") -> None:
    """Run cells; those that others have claimed are waited for, and taken over where their runner is gone."""
    todo = [cell for cell in cells if result_of(folder, cell) is None]
    devices = devices_of(sweep)
    processes = min(options.processes or len(devices), max(len(todo), 1))
    while todo:
        if processes == 1:
            taken = [cell for cell in todo if not _here(folder, sweep, cell, ended)]
        else:
            taken = _in_pool(folder, sweep, todo, ended, devices, processes)
        todo = [cell for cell in taken if not _ended_elsewhere(folder, cell, ended)]
        if todo and len(taken) == len(todo):
            time.sleep(_POLL)


def work(folder: Path, sweep: Sweep, cell: Cell, device: str | None = None) -> CellResult | None:
    """Run a cell in this process, unless somebody else has claimed it; then return None."""
    if device is not None:
        loading = replace(sweep.request.loading, device=device)
        sweep = replace(sweep, request=replace(sweep.request, loading=loading))
    with claimed(folder, cell) as mine:
        if not mine:
            return None
        return result_of(folder, cell) or run_cell(folder, sweep, cell)


def _here(folder: Path, sweep: Sweep, cell: Cell, ended: "Ended") -> bool:
    import torch

    threads = torch.get_num_threads()
    try:
        result = work(folder, sweep, cell)
    finally:
        torch.set_num_threads(threads)
    if result is not None:
        ended(result)
    return result is not None


def _ended_elsewhere(folder: Path, cell: Cell, ended: "Ended") -> bool:
    result = result_of(folder, cell)
    if result is not None:
        ended(result)
    return result is not None


def _in_pool(
    folder: Path, sweep: Sweep, cells: Sequence[Cell], ended: "Ended", devices: Sequence[str], processes: int
) -> list[Cell]:
    """Run cells in a pool; returns those that others have claimed. A pool that breaks is opened again."""
    waiting, taken, tries = list(cells), [], {cell.index: 0 for cell in cells}
    while waiting:
        broken: list[Cell] = []
        with _pool(sweep, devices, processes) as pool:
            jobs: dict[Future[CellResult | None], Cell] = {}
            for cell in waiting:
                with _interrupts_held():
                    jobs[pool.submit(_work, folder, sweep, cell)] = cell
            while jobs:
                done, _ = wait(jobs, return_when=FIRST_COMPLETED)
                for job in done:
                    cell = jobs.pop(job)
                    try:
                        result = job.result()
                    except BrokenProcessPool:
                        broken.append(cell)
                        continue
                    if result is None:
                        taken.append(cell)
                    else:
                        ended(result)
        for cell in broken:
            tries[cell.index] += 1
            if tries[cell.index] > _TRIES + processes:
                raise RunError(
                    f"the process that trains {cell.folder_name} is killed again and again (out of memory?); use fewer "
                    f"--processes, then give the same command again"
                )
        waiting = broken
    return taken


@contextmanager
def _pool(sweep: Sweep, devices: Sequence[str], processes: int) -> "Iterator[ProcessPoolExecutor]":
    """A pool of spawned processes that import nothing from the working directory."""
    with clean_processes(), _spawned(sweep, devices, processes) as pool:
        yield pool


@contextmanager
def _spawned(sweep: Sweep, devices: Sequence[str], processes: int) -> "Iterator[ProcessPoolExecutor]":
    """A pool of spawned processes, whose threads are fixed before torch is imported."""
    context = multiprocessing.get_context("spawn")
    numbers = context.Queue()
    for number in range(processes):
        numbers.put(devices[number % len(devices)])
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(sweep.threads)
    main, sys.modules["__main__"].__spec__ = getattr(sys.modules["__main__"], "__spec__", None), None
    pool = ProcessPoolExecutor(processes, context, _begin, (numbers,))
    try:
        yield pool
    except BaseException:
        for process in list(getattr(pool, "_processes", {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        sys.modules["__main__"].__spec__ = main
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def _interrupts_held() -> "Iterator[None]":
    """Hold Ctrl-C back while the context lasts; processes that start in it hold it back until they release it.

    A spawned process imports for seconds before its initialiser runs, and would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_own_device: str | None = None


def _begin(devices: "multiprocessing.Queue[str]") -> None:
    """At the start of a process of the pool: take a device; Ctrl-C is the parent's to see, and its end is ours."""
    global _own_device
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _own_device = devices.get()


def _end_with_parent() -> None:
    """End this process where its parent has been killed: it would wait for work without end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(folder: Path, sweep: Sweep, cell: Cell) -> CellResult | None:
    return work(folder, sweep, cell, _own_device)


def devices_of(sweep: Sweep) -> list[str]:
    """Return a name for each process that can run at once: each GPU, or the CPU for every share of its cores."""
    import torch

    from segablate.runtime import resolve_device

    device = resolve_device(sweep.request.loading.device)
    if device.type == "cuda":
        asked = sweep.request.loading.device
        return [asked] if ":" in asked else [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ["cpu"] * max(cores // sweep.threads, 1)
