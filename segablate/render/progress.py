"""A progress bar on standard error, so that standard output contains only the result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


@contextmanager
def progress(
    total: int | None, description: str, *, silent: bool = False, console: Console | None = None
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
        _ImagesPerSecond(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        redirect_stdout=False,  # the result must stay on standard output
        disable=silent or not console.is_terminal,
    )
    with bar:
        task = bar.add_task(description, total=total)
        yield lambda images: bar.advance(task, images)


class _ImagesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g} images/s", "dim")
