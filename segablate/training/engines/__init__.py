"""Who runs the cells of a sweep, one file each, with ``run(folder, sweep, cells, ended, options)``.

Every engine does the same to the cells that are missing, so that numbers do not depend on it. There is no scheduler
here: a cluster's own hands each job a share of the cells, by ``--cells``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from segablate.errors import UsageError, did_you_mean
from segablate.training.sweep import Cell, CellResult, Sweep

Ended = Callable[[CellResult], None]
"""Told of every cell that has ended."""


@dataclass(frozen=True)
class EngineOptions:
    """How an engine runs; none of this changes a number.

    - `processes`: of the local engine; 0: one for each device.
    - `address`: of a Ray cluster; None: a local one.
    """

    processes: int = 0
    address: str | None = None


def engine_names() -> list[str]:
    """Return the engines there are, sorted."""
    return sorted(module.name for module in iter_modules(__path__))


def run_cells(
    name: str, folder: Path, sweep: Sweep, cells: Sequence[Cell], ended: Ended, options: EngineOptions
) -> None:
    """Run cells by the engine of this name. Raises UsageError for an unknown one, and what a cell raises."""
    if name not in engine_names():
        raise UsageError(f"--engine is {name!r}{did_you_mean(name, engine_names())}")
    import_module(f"{__name__}.{name}").run(folder, sweep, cells, ended, options)
