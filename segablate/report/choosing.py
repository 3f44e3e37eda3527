"""Which images of a run are embedded, and in which orders they are looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from segablate.comparison.changes import image_scores
from segablate.errors import minus
from segablate.evaluation.results import Evaluation
from segablate.metrics.confusion import class_counts
from segablate.metrics.image_level import labelled_iou
from segablate.report.matrix import largest_confusions
from segablate.report.page import ImageList

_WORST, _CHANGED, _CONFUSIONS = 12, 8, 60

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The images that are embedded, in the order of the run, and the lists that lead through them."""

    images: tuple[int, ...]
    lists: tuple[ImageList, ...]
    scores: Scores
    """Image-level mIoU of every run and image, (R, N)."""


def choose(runs: Sequence[Evaluation], limit: int | None, *, void_as_error: bool = False) -> Choice:
    """Choose at most `limit` images (None: all) of runs of the same images.

    In turns: the worst image, the most changed ones, the worst of each class, and that in which a confusion is largest.
    """
    scores = np.stack([image_scores(run, void_as_error=void_as_error)[0] for run in runs])
    orders = {"worst": _ascending(scores.mean(axis=0))}
    if len(runs) > 1:
        change = scores[1] - scores[0] if len(runs) == 2 else np.ptp(scores, axis=0)
        orders["risen"] = [i for i in _ascending(-change) if change[i] > 0]
        orders["fallen"] = [i for i in _ascending(change) if change[i] < 0]
    classes = _worst_of_classes(runs, void_as_error=void_as_error)
    ranked = [image for row in zip_longest(*classes.values()) for image in row if image is not None]
    every = [*orders.values(), ranked, _of_confusions(runs)]
    count = runs[0].images if limit is None else min(limit, runs[0].images)
    chosen = _in_turns(every, count)
    lists = [*_score_lists(orders, scores, set(chosen))]
    lists.append(_class_list(runs, classes, set(chosen), void_as_error=void_as_error))
    ordered = tuple(sorted(chosen))
    lists.append(ImageList("All embedded images", tuple((i, _caption(scores[:, i])) for i in ordered)))
    return Choice(ordered, tuple(found for found in lists if found.items), scores)


def _score_lists(orders: dict[str, list[int]], scores: Scores, chosen: set[int]) -> Iterator[ImageList]:
    titles = {
        "worst": ("Lowest mIoU", _WORST),
        "risen": ("Better in B" if len(scores) == 2 else "Most different", _CHANGED),
        "fallen": ("Worse in B", _CHANGED),
    }
    for name, order in orders.items():
        title, most = titles[name]
        items = tuple((i, _caption(scores[:, i])) for i in order[:most] if i in chosen)
        yield ImageList(title, items)


def _class_list(
    runs: Sequence[Evaluation], classes: dict[int, list[int]], chosen: set[int], *, void_as_error: bool
) -> ImageList:
    cells = np.mean([labelled_iou(class_counts(run.confusion, void_as_error=void_as_error)) for run in runs], axis=0)
    names = runs[0].labels.names
    items = [
        (order[0], f"{names[c]}: IoU {100 * cells[order[0], c]:.1f} %")
        for c, order in classes.items()
        if order and order[0] in chosen
    ]
    return ImageList("Worst of each class", tuple(items))


def _worst_of_classes(runs: Sequence[Evaluation], *, void_as_error: bool) -> dict[int, list[int]]:
    """Return, by class, images from the lowest IoU on, among the half of its images that label most of it.

    Those that label a few pixels of it would always come first.
    """
    counts = [class_counts(run.confusion, void_as_error=void_as_error) for run in runs]
    cells = np.mean([labelled_iou(each) for each in counts], axis=0)
    labelled = counts[0].labelled
    found = {}
    for c in range(cells.shape[1]):
        have = np.flatnonzero(labelled[:, c] > 0)
        if len(have):
            large = have[labelled[have, c] >= np.median(labelled[have, c])]
            found[c] = large[np.argsort(cells[large, c], kind="stable")].tolist()
    return found


def _of_confusions(runs: Sequence[Evaluation]) -> list[int]:
    """Return the image in which each confusion is largest, from the largest confusion on."""
    found = []
    for label, predicted in largest_confusions(runs, _CONFUSIONS):
        best = (0, -1)
        for run in runs:
            rows = (run.confusion.label == label) & (run.confusion.predicted == predicted)
            if rows.any():
                at = int(np.argmax(run.confusion.pixels[rows]))
                best = max(best, (int(run.confusion.pixels[rows][at]), int(run.confusion.image[rows][at])))
        found.append(best[1])
    return found


def _in_turns(orders: Sequence[Sequence[int]], count: int) -> list[int]:
    """Take from each order in turn what is not taken yet, until there are `count`."""
    taken: dict[int, None] = {}
    queues = [iter(order) for order in orders]
    while queues and len(taken) < count:
        for queue in list(queues):
            image = next((each for each in queue if each not in taken), None)
            if image is None:
                queues.remove(queue)
            elif len(taken) < count:
                taken[image] = None
    return list(taken)


def _ascending(values: Scores) -> list[int]:
    """Return the places of the values from the lowest on; undefined ones last."""
    return np.argsort(values, kind="stable").tolist()


def _caption(scores: Scores) -> str:
    texts = ["–" if np.isnan(score) else f"{100 * score:.1f}" for score in scores]
    if len(texts) == 1:
        return f"mIoU {texts[0]} %"
    change = 100 * (scores[1] - scores[0])
    tail = f" ({minus(f'{change:+.1f}')})" if len(texts) == 2 and np.isfinite(change) else ""
    return f"mIoU {' → '.join(texts)}{tail}"
