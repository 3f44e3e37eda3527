"""CPU time of metrics on label maps, relative to other implementations of the same numbers.

::

    python benchmarks/metrics.py [--pairs 20] [--repeats 3]

Realistic pairs of label maps (``scenes.py``), one thread everywhere, rows in turns: every pair goes through all rows
before the next, so that a busy machine slows all of them alike. Compared with: torchmetrics' confusion matrix without
validation, called where torchmetrics is installed and restated (its codes and ``bincount``) elsewhere; the compiled
loop of cityscapesScripts where that is built; dilation per class as in DAVIS 2017; boundary IoU by erosion of the mask
of each class, as in its authors' code; and decoding the pair from PNG with OpenCV.

With CUDA, rows "on the GPU" follow for the forms in tensor operations, on maps in GPU memory: the time of the host,
waiting included, until the counts are copied back. The loop of cityscapesScripts is compiled in a copy
of its repository by ``CYTHONIZE_EVAL= python setup.py build_ext --inplace``; put that copy on ``PYTHONPATH``.
"""

import argparse
import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from time import process_time

import cv2
import numpy as np
import torch
from boundaries import TOLERANCES, dilated
from machine import described
from rich.console import Console
from rich.table import Table
from scenes import scene_pair
from scores import torchmetrics

from segablate.kernels.bands import count_boundary_bands, count_boundary_bands_on_device
from segablate.kernels.boundary import boundary_distances
from segablate.kernels.boundary_device import boundary_distances_on_device
from segablate.kernels.confusion import count_confusion, count_confusion_of_batch
from segablate.kernels.error_kinds import count_error_kinds
from segablate.labels import IGNORE

CLASSES = 19
HEIGHT, WIDTH = 1024, 2048
BAND, NEAR = 46, 23
"""0.02 and 0.01 of the diagonal, in pixels."""

Pair = tuple[np.ndarray, np.ndarray]
Case = Callable[[Pair], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    pairs = [scene_pair(HEIGHT, WIDTH, CLASSES, seed) for seed in range(options.pairs)]
    seconds = timed(cases(pairs), pairs, options.repeats)
    Console().print(costs(seconds, options.pairs), claims(seconds), described(), sep="\n")


def cases(pairs: list[Pair]) -> dict[str, Case]:
    """Return the cases that are timed, by name."""
    files = {id(pair): [cv2.imencode(".png", values)[1] for values in pair] for pair in pairs}
    as_tensors = {id(pair): [torch.from_numpy(values).long()[None] for values in pair] for pair in pairs}
    peer, name = torchmetrics_confusion()
    compiled = {"cityscapesScripts, compiled": cityscapes_loop()} if compiled_loop_is_there() else {}
    return {
        "decoding two PNG": lambda pair: [cv2.imdecode(file, cv2.IMREAD_UNCHANGED) for file in files[id(pair)]],
        "confusion": lambda pair: count_confusion(*pair, CLASSES),
        name: lambda pair: peer(*as_tensors[id(pair)]),
        **compiled,
        "boundary F": lambda pair: boundary_distances(*pair, CLASSES, max(TOLERANCES) ** 2),
        "dilation per class": lambda pair: dilated(pair, TOLERANCES),
        "boundary IoU": lambda pair: count_boundary_bands(*pair, CLASSES, BAND),
        "erosion per class": lambda pair: eroded(pair, BAND),
        "error kinds": lambda pair: count_error_kinds(*pair, CLASSES, NEAR),
        **(on_gpu(pairs) if torch.cuda.is_available() else {}),
    }


def on_gpu(pairs: list[Pair]) -> dict[str, Case]:
    """Return the forms for tensors, each with its result on the host."""
    maps = {id(pair): [torch.from_numpy(values).cuda() for values in pair] for pair in pairs}

    def confusion(pair: Pair) -> object:
        return count_confusion_of_batch(*(values[None] for values in maps[id(pair)]), CLASSES).cpu()

    return {
        "confusion on the GPU": confusion,
        "boundary F on the GPU": lambda pair: boundary_distances_on_device(
            *maps[id(pair)], CLASSES, max(TOLERANCES) ** 2
        ),
        "boundary IoU on the GPU": lambda pair: count_boundary_bands_on_device(*maps[id(pair)], CLASSES, BAND).cpu(),
    }


def timed(rows: dict[str, Case], pairs: list[Pair], repeats: int) -> dict[str, float]:
    """Return the median over the pairs of the least CPU seconds among the repeats."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for run in rows.values():
        run(pairs[0])
    for pair in pairs:
        turns = [{name: once(run, pair) for name, run in rows.items()} for _ in range(repeats)]
        for name, found in seconds.items():
            found.append(min(turn[name] for turn in turns))
    return {name: median(found) for name, found in seconds.items()}


def once(run: Case, pair: Pair) -> float:
    start = process_time()
    run(pair)
    return process_time() - start


def torchmetrics_confusion() -> tuple[Callable[[torch.Tensor, torch.Tensor], object], str]:
    """Return an update of the confusion matrix of (1, H, W) int64 labels and predictions, and its name."""
    if find_spec("torchmetrics") is None:
        return restated_torchmetrics, "torchmetrics, restated"
    metric = torchmetrics().classification.MulticlassConfusionMatrix(CLASSES, ignore_index=IGNORE, validate_args=False)
    return lambda labels, predicted: metric.update(predicted, labels), "torchmetrics"


def restated_torchmetrics(labels: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
    """Do what the unvalidated update does: drop void, form codes, count them."""
    labels, predicted = labels.flatten(), predicted.flatten()
    kept = labels != IGNORE
    codes = labels[kept] * CLASSES + predicted[kept]
    return torch.bincount(codes, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def compiled_loop_is_there() -> bool:
    package = "cityscapesscripts"
    return find_spec(package) is not None and find_spec(f"{package}.evaluation.addToConfusionMatrix") is not None


def cityscapes_loop() -> Case:
    from cityscapesscripts.evaluation import addToConfusionMatrix  # type: ignore[import-not-found]

    codes = [*range(CLASSES), IGNORE]
    kept = np.zeros((256, 256), np.ulonglong)

    def count(pair: Pair) -> object:
        return addToConfusionMatrix.cEvaluatePair(pair[1], pair[0], kept, codes)

    return count


def eroded(pair: Pair, width: int) -> np.ndarray:
    """Count the bands of the mask of each class, padded by one pixel and eroded ``width`` times, (C, 3)."""
    square = np.ones((3, 3), np.uint8)
    counts = np.zeros((CLASSES, 3), np.int64)
    for c in range(CLASSES):
        masks = [(values == c).view(np.uint8) for values in pair]
        padded = [cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0) for mask in masks]
        inner = [cv2.erode(mask, square, iterations=width)[1:-1, 1:-1] for mask in padded]
        wanted, found = (mask - core for mask, core in zip(masks, inner, strict=True))
        counts[c] = (wanted & found).sum(), wanted.sum(), found.sum()
    return counts


def costs(seconds: dict[str, float], pairs: int) -> Table:
    table = Table("", "CPU ms a pair", title=f"{pairs} pairs of {WIDTH}x{HEIGHT}, {CLASSES} classes, one thread")
    for name, found in seconds.items():
        table.add_row(name, f"{1000 * found:.1f}")
    return table


def claims(seconds: dict[str, float]) -> Table:
    """Return the ratios, and the memory of 1 and of 4 images."""
    matrix = next(name for name in seconds if name.startswith("torchmetrics"))
    together = seconds["confusion"] + seconds["boundary F"] + seconds["boundary IoU"]
    table = Table("", "is", title="Ratios")
    for slow, fast in (
        (matrix, "confusion"),
        ("dilation per class", "boundary F"),
        ("erosion per class", "boundary IoU"),
    ):
        table.add_row(f"{slow} over {fast}", f"{seconds[slow] / seconds[fast]:.1f}")
    if "cityscapesScripts, compiled" in seconds:
        ratio = seconds["cityscapesScripts, compiled"] / seconds["confusion"]
        table.add_row("cityscapesScripts, compiled over confusion", f"{ratio:.1f}")
    table.add_row("all three over decoding", f"{together / seconds['decoding two PNG']:.1f}")
    table.add_row("peak memory, MiB, 1 and 4 images", ", ".join(f"{peak(images):.1f}" for images in (1, 4)))
    return table


def peak(images: int) -> float:
    """Return the peak memory of Python and numpy, in MiB, while all three are counted on this number of images."""
    pair = scene_pair(HEIGHT, WIDTH, CLASSES, 0)
    tracemalloc.start()
    kept = [
        (
            count_confusion(*pair, CLASSES),
            count_boundary_bands(*pair, CLASSES, BAND),
            boundary_distances(*pair, CLASSES, max(TOLERANCES) ** 2),
        )
        for _ in range(images)
    ]
    assert len(kept) == images
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 2**20


if __name__ == "__main__":
    main()
