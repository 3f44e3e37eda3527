"""Rows of the table, the setting of a run, and timing by the events of a GPU."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from segablate.kernels import tally

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Row:
    """A line of the table: `reached` is None where there is no target, or where it cannot be known without a GPU."""

    what: str
    value: str
    target: str = ""
    reached: bool | None = None


@dataclass(frozen=True)
class Setting:
    """Whether this is a dry run: small sizes, on the CPU, by the operations that a GPU would run."""

    dry: bool

    @property
    def device(self) -> torch.device:
        return torch.device("cpu" if self.dry else "cuda")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of images."""
        return (64, 96) if self.dry else (1024, 2048)

    def limit(self, what: str, value: float, text: str, most: float) -> Row:
        """Return the row of a number that only a GPU tells, and that may be at most `most`."""
        return Row(what, *self._judged(text, f"≤ {most:g}", value <= most))

    def least(self, what: str, value: float, text: str, least: float) -> Row:
        """Return the row of a number that only a GPU tells, and that must be at least `least`."""
        return Row(what, *self._judged(text, f"≥ {least:g}", value >= least))

    def told(self, what: str, text: str) -> Row:
        """Return the row of a number that only a GPU tells, and that has no target."""
        return Row(what, "–" if self.dry else text)

    def _judged(self, text: str, target: str, reached: bool) -> tuple[str, str, bool | None]:
        return ("–", target, None) if self.dry else (text, target, reached)

    @contextmanager
    def as_on_gpu(self) -> Iterator[None]:
        """Count with the operations of a GPU while the context lasts, in a dry run too."""
        before = tally.on_gpu
        if self.dry:
            tally.on_gpu = lambda tensor: True
        try:
            yield
        finally:
            tally.on_gpu = before


def milliseconds(call: Callable[[], object], setting: Setting, repeats: int = 20, warm: int = 3) -> float:
    """Return the median milliseconds of a call, after some that are not timed; on a GPU between two of its events."""
    repeats, warm = (1, 0) if setting.dry else (repeats, warm)
    for _ in range(warm):
        call()
    return median([_once(call, setting.dry) for _ in range(repeats)])


def _once(call: Callable[[], object], dry: bool) -> float:
    if dry:
        start = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - start)
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    began.record()
    call()
    ended.record()
    ended.synchronize()
    return began.elapsed_time(ended)
