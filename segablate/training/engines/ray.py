"""Ray: cells as tasks on this machine or a cluster, on a file system that all of its machines share."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from segablate.extras import require
from segablate.files import is_folder
from segablate.runtime import clean_processes
from segablate.training.cells import result_of
from segablate.training.engines.local import work
from segablate.training.sweep import Cell, CellResult, Sweep

if TYPE_CHECKING:
    from segablate.training.engines import Ended, EngineOptions

_RETRIES = 5
"""How often a task whose worker was killed is run again; it goes on from its last state."""


def run(folder: Path, sweep: Sweep, cells: Sequence[Cell], ended: "Ended", options: "EngineOptions") -> None:
    """Run cells as Ray tasks, in the order of the plan; what Ray prints goes to stderr. MissingExtra without Ray."""
    ray: Any = require("ray", "ray", "--engine ray")
    with redirect_stdout(sys.stderr):
        _run(ray, folder, sweep, cells, ended, options.address)


def _run(ray: Any, folder: Path, sweep: Sweep, cells: Sequence[Cell], ended: "Ended", address: str | None) -> None:
    with _started(ray, sweep.threads, address):
        wants_gpu = sweep.request.loading.device in ("auto", "cuda") and ray.cluster_resources().get("GPU", 0) > 0
        task = ray.remote(num_cpus=sweep.threads, num_gpus=int(wants_gpu), max_retries=_RETRIES)(_work_in)
        start = partial(task.remote, Path.cwd(), folder.resolve(), sweep)
        todo = [cell for cell in cells if result_of(folder, cell) is None]
        jobs = [start(cell) for cell in todo]
        for cell, job in zip(todo, jobs, strict=True):
            result = _result(ray, job)
            while result is None and (result := result_of(folder, cell)) is None:  # somebody else runs it
                result = _result(ray, start(cell))
            ended(result)


@contextmanager
def _started(ray: Any, threads: int, address: str | None) -> Iterator[None]:
    """Start Ray, unless it is, for as long as the context lasts.

    It starts in an empty folder, for it puts the one it starts in on the search path of its workers.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with TemporaryDirectory(prefix="segablate-ray-") as empty:
        with chdir(empty), clean_processes():
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={"env_vars": {"OMP_NUM_THREADS": str(threads)}},
                **({} if address else {"include_dashboard": False}),
            )
        try:
            yield
        finally:
            ray.shutdown()


def _work_in(place: Path, folder: Path, sweep: Sweep, cell: Cell) -> CellResult | None:
    """Run a cell in the working directory of the driver, to which paths refer, where this machine has it."""
    if is_folder(place):
        os.chdir(place)
    return work(folder, sweep, cell)


def _result(ray: Any, job: Any) -> Any:
    """The result of a task; an error of the cell is raised as such, not as Ray wraps it."""
    try:
        return ray.get(job)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause or error) from None
