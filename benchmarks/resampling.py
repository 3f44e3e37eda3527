"""Time and memory of a full paired comparison with 10 000 replicates, at two sizes of dataset.

::

    python benchmarks/resampling.py

mIoU, mean recall, pixel accuracy, IoU and recall per class and boundary F of two systems, with percentile and BCa
intervals and p of all differences, from per-image counts to the last p. Each size runs in its own process, so that its
peak memory (of the whole process, numpy and scipy included) is its own.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
from simulated import draw_dataset, draw_world

from segablate.metrics.boundary import BoundarySums
from segablate.metrics.confusion import ClassCounts
from segablate.statistics.bootstrap import by_image, resample
from segablate.statistics.multiplicity import holm
from segablate.statistics.paired import compare
from segablate.statistics.scores import boundary_scores, region_scores

SIZES = (500, 19), (2000, 171)


def compare_systems(systems: list[tuple[ClassCounts, BoundarySums]], images: int) -> None:
    statistics = [statistic for r, b in systems for statistic in (region_scores(r), boundary_scores(b))]
    a, a_boundary, b, b_boundary = resample(statistics, by_image(images))
    for first, second in ((a, b), (a_boundary, b_boundary)):
        for name in first:
            difference = compare(first[name], second[name])
            holm(np.atleast_1d(difference.p))


def boundaries(regions: ClassCounts) -> BoundarySums:
    """Return boundary counts of a realistic size."""
    labelled, predicted = (np.sqrt(8 * x).astype(np.int64) for x in (regions.labelled, regions.predicted))
    return BoundarySums(np.minimum(labelled, predicted) // 2, predicted, np.minimum(labelled, predicted) // 3, labelled)


def measure(images: int, classes: int) -> None:
    regions = draw_dataset(draw_world(classes, 0.3, 7), images, np.random.default_rng(0))
    systems = [(r, boundaries(r)) for r in regions]
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        compare_systems(systems, images)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{images} images, {classes} classes: {min(seconds):.2f} s (first {seconds[0]:.2f} s), peak {peak:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("size", nargs="*", type=int, help="images and classes; both targets by default")
    size = parser.parse_args().size
    if size:
        measure(*size)
        return
    for images, classes in SIZES:
        subprocess.run([sys.executable, __file__, str(images), str(classes)], check=True)


if __name__ == "__main__":
    main()
