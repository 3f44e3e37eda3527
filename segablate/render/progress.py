"""A progress bar on standard error, so that standard output contains only the result."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


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

    Nothing is displayed with ``silent`` or when standard error is not a terminal. Warnings printed meanwhile appear
    above the bar.

    :param total: number of images; ``None`` when unknown.
    """
    console = console or Console(stderr=True)
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

    def show(step: int, numbers: Mapping[str, float]) -> None:
        known.update({name: value for name, value in numbers.items() if name in ("loss", "mIoU")})
        said = [f"loss {known['loss']:.4f}"] if "loss" in known else []
        said += [f"mIoU {known['mIoU']:.1%}"] if "mIoU" in known else []
        bar.update(task, completed=step, description=" · ".join(said))

    with bar:
        task = bar.add_task("", total=total)
        yield show


class _PerSecond(ProgressColumn):
    def __init__(self, factor: int = 1, unit: str = "images") -> None:
        super().__init__()
        self.factor, self.unit = factor, unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed * self.factor:.3g} {self.unit}/s", "dim")
