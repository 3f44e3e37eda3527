"""``--labels``: what a network is trained from."""

from typing import TYPE_CHECKING

from segablate.cli.options import RunningOptions

if TYPE_CHECKING:
    from segablate.datasets import Dataset
    from segablate.datasets.supervision import Supervision

LABELS = "Labels of the train split: full, scribble, or a FOLDER of label maps NAME.png."


def labelled(data: "Dataset", labels: str, running: RunningOptions) -> "tuple[Dataset, Supervision]":
    """Return a split with the labels to train from, drawn under a progress bar where they are scribbles."""
    from segablate.datasets.supervision import FULL, supervised
    from segablate.render import progress
    from segablate.runtime import team

    if labels == FULL:
        return supervised(data, labels)
    with progress(len(data), "reading scribbles", silent=not team().leads) as advance:
        return supervised(data, labels, running.execution.workers, advance)
