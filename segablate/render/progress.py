"""Progress on standard error, so that standard output contains only the result.

A bar where standard error is a terminal; elsewhere, as in the log of a batch job, a line a minute.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from segablate.errors import thousands

EVERY = 60.0
"""Seconds between two lines where standard error is not a terminal."""


@contextmanager
def progress(
    total: int | None,
    description: str,
    *,
    unit: str = "images",
    silent: bool = False,
    console: Console | None = None,
) -> Iterator[Callable[[int], None]]:
    """Display a bar with images per second and the time left; yield ``advance(images)``; remove the bar at the end.

    Nothing is displayed with ``silent``. Where standard error is not a terminal, a line is printed every minute.
    Warnings printed meanwhile appear above the bar.

    :param total: number of images; ``None`` when unknown.
    """
    console = console or Console(stderr=True)
    if not silent and not console.is_terminal:
        lines = _Lines(console, total, description, unit)
        yield lines.advance
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="cyan"),
        MofNCompleteColumn(),
        _PerSecond(unit=unit),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        redirect_stdout=False,  # the result must stay on standard output
        disable=silent or not console.is_terminal,
    )
    with bar:
        task = bar.add_task(description, total=total)
        yield lambda images: bar.advance(task, images)


@contextmanager
def training_progress(
    total: int, batch: int, *, silent: bool = False, console: Console | None = None
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Yield ``show(step, numbers)``; the bar shows loss, last validation mIoU, images a second and the time left.

    :param total: steps in all; a training that goes on starts in the middle.
    :param batch: images in a step.
    """
    console = console or Console(stderr=True)
    bar = Progress(
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="cyan"),
        TextColumn("{task.description}", markup=False),
        _PerSecond(batch),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        redirect_stdout=False,
        disable=silent or not console.is_terminal,
    )
    known: dict[str, float] = {}
    lines = _Lines(console, total, "training", "steps") if not silent and not console.is_terminal else None

    def show(step: int, numbers: Mapping[str, float]) -> None:
        known.update({name: value for name, value in numbers.items() if name in ("loss", "mIoU")})
        said = [f"loss {known['loss']:.4f}"] if "loss" in known else []
        said += [f"mIoU {100 * known['mIoU']:.1f} %"] if "mIoU" in known else []
        bar.update(task, completed=step, description=" · ".join(said))
        if lines is not None:
            lines.reach(step, said)

    with bar:
        task = bar.add_task("", total=total)
        yield show


class _Lines:
    """Progress as lines: what is done and the time left, at most one every `EVERY` seconds."""

    def __init__(self, console: Console, total: int | None, description: str, unit: str) -> None:
        self._console, self._total, self._description, self._unit = console, total, description, unit
        self._started = self._said = time.monotonic()
        self._first: int | None = None
        self._done = 0

    def advance(self, images: int) -> None:
        """Count more images as done."""
        self.reach(self._done + images)

    def reach(self, done: int, more: Sequence[str] = ()) -> None:
        """Say, if it is time, that so much is done in all, with `more` that is known."""
        self._done, now = done, time.monotonic()
        if self._first is None:  # what was done before: a resumed run
            self._first = done
        if now - self._said >= EVERY:
            self._said = now
            self._console.print(self._line(now - self._started, more), markup=False, highlight=False, soft_wrap=True)

    def _line(self, seconds: float, more: Sequence[str]) -> str:
        of = f" of {thousands(self._total)}" if self._total is not None else ""
        parts = [f"{self._description}: {thousands(self._done)}{of} {self._unit}", *more]
        new = self._done - (self._first or 0)
        if self._total is not None and new > 0:
            parts.append(f"about {duration(seconds / new * (self._total - self._done))} left")
        return " · ".join(parts)


def duration(seconds: float) -> str:
    """Return a time as ``40 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class _PerSecond(ProgressColumn):
    def __init__(self, factor: int = 1, unit: str = "images") -> None:
        super().__init__()
        self.factor, self.unit = factor, unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed * self.factor:.3g} {self.unit}/s", "dim")
