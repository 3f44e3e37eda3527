"""Throughput of ``evaluate`` on label maps, relative to decoding the same files alone; both in two processes.

::

    python benchmarks/throughput.py [--images 500] [--distinct 20]

Pairs of 1024x2048 (``scenes.py``) are written as PNG, the distinct ones repeatedly, and evaluated by two reading
processes; the first 20 images, during which these start, are left out. Images per second of wall-clock time, in turns.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import yaml
from rich.console import Console
from rich.table import Table
from scenes import scene_pair

from segablate.checkpoints import Loading, open_checkpoint
from segablate.datasets import open_dataset
from segablate.datasets.reading import ahead
from segablate.evaluation.loop import evaluate
from segablate.evaluation.measures import Measures
from segablate.metrics.tolerance import Tolerance

CLASSES, START, WORKERS = 19, 20, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--distinct", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, options.images, options.distinct)
        alone = partial(decoded, root, options.images)
        plain, boundaries = (
            partial(evaluated, root, measures) for measures in (Measures(), Measures(tolerances=(Tolerance(3),)))
        )
        rates = {"decoding alone": rate(alone), "confusion": rate(plain), "with boundaries": rate(boundaries)}
    table = Table("", "images/s", "time over decoding alone", title=f"{options.images} pairs, {WORKERS} processes")
    for name, found in rates.items():
        table.add_row(name, f"{found:.1f}", f"{rates['decoding alone'] / found:.2f}")
    Console().print(table)


def write(root: Path, images: int, distinct: int) -> None:
    """Write a folder dataset and predictions for it."""
    for folder in ("images", "labels", "predictions"):
        (root / folder).mkdir()
    for index in range(images):
        for folder, values in (
            zip(("labels", "predictions"), scene_pair(1024, 2048, CLASSES, index), strict=True)
            if index < distinct
            else ()
        ):
            cv2.imwrite(str(root / folder / f"{index:04}.png"), values)
        if index >= distinct:
            for folder in ("labels", "predictions"):
                shutil.copy(root / folder / f"{index % distinct:04}.png", root / folder / f"{index:04}.png")
        shutil.copy(root / "labels" / f"{index:04}.png", root / "images" / f"{index:04}.png")
    describe(root)


def describe(root: Path, classes: int = CLASSES) -> None:
    """Write dataset.yaml for the folders of images and labels."""
    described = {
        "name": "scenes",
        "classes": [{"name": f"class {code}", "code": code} for code in range(classes)],
        "void": [255],
        "splits": {"val": {"images": "images", "labels": "labels"}},
    }
    (root / "dataset.yaml").write_text(yaml.safe_dump(described))


def rate(run: Callable[[Callable[[int], None]], None]) -> float:
    """Return the images per second after the first :data:`START`."""
    moments: list[float] = []
    run(lambda count: moments.append(time.perf_counter()))
    return (len(moments) - START) / (moments[-1] - moments[START - 1])


def decode_pair(root: Path, index: int) -> int:
    """Decode both maps of a pair and do nothing else."""
    return sum(
        cv2.imread(str(root / folder / f"{index:04}.png"), cv2.IMREAD_UNCHANGED).shape[0]
        for folder in ("labels", "predictions")
    )


def decoded(root: Path, images: int, advance: Callable[[int], None]) -> None:
    with ahead(partial(decode_pair, root), range(images), WORKERS) as results:
        for _ in results:
            advance(1)


def evaluated(root: Path, measures: Measures, advance: Callable[[int], None]) -> None:
    segmenter = open_checkpoint(f"predictions:{root / 'predictions'}", Loading())
    evaluate(segmenter, open_dataset(f"folder:{root}"), measures, workers=WORKERS, progress=advance)


if __name__ == "__main__":
    main()
