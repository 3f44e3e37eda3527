"""A progress bar on standard error, so that standard output holds nothing but the result."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


@contextmanager
def progress(
    total: int | None, description: str, *, silent: bool = False, console: Console | None = None
) -> Iterator[Callable[[int], None]]:
    """Yield ``advance(images)``; the bar shows images a second and the time left, and is gone afterwards.

    Silent where asked to be, and when standard error is not a terminal. Warnings printed meanwhile appear above it.

    :param total: images to come; ``None`` when unknown.
    """
    console = console or Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="cyan"),
        MofNCompleteColumn(),
        _ImagesPerSecond(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        redirect_stdout=False,  # what is printed to standard output belongs there
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
        _ImagesPerSecond(batch),
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


class _ImagesPerSecond(ProgressColumn):
    def __init__(self, images: int = 1) -> None:
        super().__init__()
        self.images = images

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed * self.images:.3g} images/s", "dim")
