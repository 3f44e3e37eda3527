"""Ray: cells as tasks on this machine or a cluster, on a file system that all of its machines share."""

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.extras import require
from segablate.training.cells import result_of
from segablate.training.engines.local import work
from segablate.training.sweep import Cell, Sweep

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
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    started = not ray.is_initialized()
    if started:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(sweep.threads)}},
            **({} if address else {"include_dashboard": False}),
        )
    try:
        wants_gpu = sweep.request.loading.device in ("auto", "cuda") and ray.cluster_resources().get("GPU", 0) > 0
        task = ray.remote(num_cpus=sweep.threads, num_gpus=int(wants_gpu), max_retries=_RETRIES)(work)
        todo = [cell for cell in cells if result_of(folder, cell) is None]
        jobs = [task.remote(folder.resolve(), sweep, cell) for cell in todo]
        for cell, job in zip(todo, jobs, strict=True):
            result = _result(ray, job)
            while result is None and (result := result_of(folder, cell)) is None:  # somebody else runs it
                result = _result(ray, task.remote(folder.resolve(), sweep, cell))
            ended(result)
    finally:
        if started:
            ray.shutdown()


def _result(ray: Any, job: Any) -> Any:
    """The result of a task; an error of the cell is raised as such, not as Ray wraps it."""
    try:
        return ray.get(job)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause or error) from None
