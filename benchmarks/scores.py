"""Processor time of segablate.Scores in a validation loop, relative to torchmetrics on the same logits.

::

    python benchmarks/scores.py [--batches 100] [--turns 3]

Batches of 4 images of 512x1024 with logits of 19 classes, from realistic pairs of label maps (``scenes.py``), on the
CPU by one thread. Three batches are different, and are taken in turns up to the number asked for: no row keeps anything
of a batch but its counts. Rows take turns: every batch goes through all rows before the next, and the time of a row is
the least of several turns. The confusion counts of both are compared under the convention of torchmetrics, which stops
at predictions outside the classes and leaves out the ignored label.

With CUDA, the same on the GPU: the time of the host, waiting included, and the operations for which ``update`` waits
according to torch's profiler, of which there must be none.
"""

import argparse
import sys
from collections.abc import Callable
from time import process_time
from types import ModuleType

import cv2
import numpy as np
import torch
from machine import described
from rich.console import Console
from rich.table import Table
from scenes import scene_pair

from segablate import Scores

CLASSES, IMAGES, SIZE, DISTINCT = 19, 4, (512, 1024), 3
Batch = tuple[torch.Tensor, torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    batches = [batch_of(seed) for seed in range(DISTINCT)]
    rows = metrics()
    seconds = timed(rows, batches, options.batches, options.turns)
    check_counts(rows)
    Console().print(costs(seconds), claims(seconds), described(), sep="\n")
    if torch.cuda.is_available():
        Console().print(on_gpu(batches[0]))


def batch_of(seed: int) -> Batch:
    """Return logits that favour realistic predictions over smooth noise, and labels with void."""
    pairs = [scene_pair(*SIZE, CLASSES, seed * IMAGES + place) for place in range(IMAGES)]
    labels, predicted = (torch.from_numpy(np.stack(maps)).long() for maps in zip(*pairs, strict=True))
    noise = torch.randn(IMAGES, CLASSES, SIZE[0] // 4, SIZE[1] // 4, generator=torch.Generator().manual_seed(seed))
    logits = torch.nn.functional.interpolate(noise, size=SIZE, mode="bilinear")
    favoured = predicted.where(predicted < CLASSES, 0)[:, None]
    return logits.scatter_add_(1, favoured, torch.full(favoured.shape, 4.0)), labels


def metrics() -> dict[str, object]:
    """Return the metrics by the name of their row; those of torchmetrics first."""
    classification = torchmetrics()
    options = {"task": "multiclass", "num_classes": CLASSES, "ignore_index": 255}
    return {
        "torchmetrics JaccardIndex": classification.JaccardIndex(**options),
        "torchmetrics ConfusionMatrix": classification.ConfusionMatrix(**options),
        "Scores": Scores(CLASSES),
        "Scores, per image": Scores(CLASSES, per_image=True),
        "Scores, boundary F": Scores(CLASSES, tolerance=3),
        "Scores, boundary F and ECE": Scores(CLASSES, tolerance=3, calibration="ece"),
        "Scores, boundary F and all calibration": Scores(CLASSES, tolerance=3, calibration=True),
    }


def torchmetrics() -> ModuleType:
    """Import torchmetrics, beside a torchvision too whose compiled part does not load."""
    try:
        import torchvision  # noqa: F401
    except ImportError:
        pass
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        sys.modules["_torchvision_operators"] = library  # type: ignore[assignment]  # kept, or they are gone
    import torchmetrics
    import torchmetrics.classification

    return torchmetrics


def timed(rows: dict[str, object], batches: list[Batch], count: int, turns: int) -> dict[str, float]:
    """Return the least processor time of a batch, in seconds, over all turns; metrics are reset between turns."""
    least = dict.fromkeys(rows, float("inf"))
    for _ in range(turns):
        total = dict.fromkeys(rows, 0.0)
        for metric in rows.values():
            metric.reset()  # type: ignore[attr-defined]
        for place in range(count):
            for name, metric in rows.items():
                start = process_time()
                metric.update(*batches[place % len(batches)])  # type: ignore[attr-defined]
                total[name] += process_time() - start
        least = {name: min(least[name], total[name] / count) for name in rows}
    return least


def check_counts(rows: dict[str, object]) -> None:
    """Raise AssertionError where the confusion counts or the mean IoU of the two differ."""
    theirs = rows["torchmetrics ConfusionMatrix"].compute().numpy()  # type: ignore[attr-defined]
    for name, scores in rows.items():
        if isinstance(scores, Scores):
            ours = scores.under("torchmetrics")
            assert np.array_equal(confusion(scores), theirs), name
            jaccard = float(rows["torchmetrics JaccardIndex"].compute())  # type: ignore[attr-defined]
            assert abs(ours.miou - jaccard) < 1e-6, name


def confusion(scores: Scores) -> np.ndarray:
    """Return the counts of labelled pixels by label and prediction, C x C."""
    return scores.confusion()[:-1, :-1]


def costs(seconds: dict[str, float]) -> Table:
    """Return the times as a table."""
    table = Table(title=f"processor time of a batch of {IMAGES} x {CLASSES} x {SIZE[0]} x {SIZE[1]}, one thread")
    for title in ("metric", "ms", "of JaccardIndex", "of ConfusionMatrix"):
        table.add_column(title, justify="left" if title == "metric" else "right")
    jaccard, matrix = list(seconds.values())[:2]
    for name, value in seconds.items():
        table.add_row(name, f"{1000 * value:.1f}", f"{value / jaccard:.2f}", f"{value / matrix:.2f}")
    return table


def claims(seconds: dict[str, float]) -> str:
    """Return whether the two claims of the documentation hold here."""
    share = seconds["Scores"] / seconds["torchmetrics JaccardIndex"]
    both = seconds["Scores, boundary F and ECE"] / seconds["torchmetrics ConfusionMatrix"]
    return (
        f"Scores in {share:.2f} of the time of JaccardIndex (at most 0.33: {share <= 1 / 3}); with boundary F and ECE "
        f"in {both:.2f} of that of ConfusionMatrix alone (at most 1: {both <= 1}); equal counts"
    )


def on_gpu(batch: Batch) -> str:
    """Return the time of the host for an update on the GPU, and the operations it waits for."""
    logits, labels = (each.cuda() for each in batch)
    scores = Scores(CLASSES, tolerance=3, calibration=True)
    for _ in range(3):
        scores.update(logits, labels)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as profile:
        scores.update(logits, labels)
    torch.cuda.synchronize()
    waits = [event.name for event in profile.events() if event.name.endswith("Synchronize")]
    elapsed = gpu_milliseconds(lambda: scores.update(logits, labels))
    return f"on the GPU: {elapsed:.2f} ms a batch; waits in update: {waits or 'none'}"


def gpu_milliseconds(call: Callable[[], object], repeats: int = 20) -> float:
    """Return the time of a call on the GPU in milliseconds."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / repeats


if __name__ == "__main__":
    main()
