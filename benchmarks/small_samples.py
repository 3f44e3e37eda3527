"""Coverage of 95 % confidence intervals of classes in few images, and of scores over few groups of images.

::

    python benchmarks/small_samples.py [--datasets 2000]

Simulated comparisons of two systems with a known true difference, through the same functions as ``segablate compare``.
Classes are labelled in exactly 3, 5, 10 and 20 of 100 images and predicted falsely in others; groups are scenes of ten
images that are resampled together, as with ``--group-by``. Prints the share of datasets with an interval, and the share
of the intervals that contain the true difference, which should be 93 to 97 %.
"""

import argparse
import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from simulated import World, draw_dataset, draw_population

from segablate.statistics.bootstrap import Resampling, by_cluster, by_image, clusters_with, resample
from segablate.statistics.intervals import Interval
from segablate.statistics.paired import compare
from segablate.statistics.scores import region_scores

IMAGES, SCENE = 100, 10
LABELLED = 3, 5, 10, 20
GROUPS = 5, 6, 8, 10, 20
COMMON = 0.95, 0.9, 0.7, 0.5
"""Shares of the images with the other classes."""

Truth = dict[str, NDArray]


def draw_rare_world(seed: int, each: int = 4) -> World:
    """Sample a world with `each` classes in 3, 5, 10 and 20 % of the images, beside common ones."""
    generator = np.random.default_rng(seed)
    presence = np.array([*COMMON, *np.repeat(np.array(LABELLED) / IMAGES, each)])
    log_area = np.where(presence >= min(COMMON), 3 * presence, 0.3) + generator.normal(0, 0.5, presence.size)
    skill = generator.normal(1.2, 0.8, presence.size)
    return World(presence, log_area, np.stack([skill, skill + 0.3 * generator.normal(0.2, 1.0, presence.size)]))


def true_differences(world: World, group: int = 1) -> Truth:
    first, second = (region_scores(counts)(np.ones((1, 1))) for counts in draw_population(world, group=group))
    return {name: (second[name] - first[name])[0] for name in ("miou", "iou")}


def trial(seed: int, world: World, truth: Truth, groups: int | None, replicates: int) -> dict[str, NDArray]:
    """Simulate a dataset: whether the percentile and the BCa interval of each score contain the truth, else nan."""
    generator, images = np.random.default_rng([4, seed]), groups * SCENE if groups else IMAGES
    counts = draw_dataset(world, images, generator, fixed=groups is None, group=SCENE if groups else 1)
    plan = by_cluster(np.arange(images) // SCENE, replicates, seed) if groups else by_image(images, replicates, seed)
    return held(counts, plan, truth)


def held(counts: Iterable, plan: Resampling, truth: Truth) -> dict[str, NDArray]:
    """Whether the intervals contain the truth, by kind and score."""
    first, second = counts
    a, b = resample([region_scores(first), region_scores(second)], plan)
    labelled = clusters_with(first.labelled > 0, plan)
    a, b = ({**scores, "iou": replace(scores["iou"], support=labelled)} for scores in (a, b))
    found = {name: compare(a[name], b[name]).change for name in truth}
    return {
        f"{kind} {name}": _holds(getattr(change, kind), truth[name])
        for name, change in found.items()
        for kind in ("percentile", "bca")
    }


def _holds(interval: Interval, truth: NDArray) -> NDArray:
    return np.where(np.isnan(interval.low), np.nan, (interval.low <= truth) & (truth <= interval.high))


def trials(world: World, groups: int | None, datasets: int, replicates: int) -> dict[str, NDArray]:
    """Run ``datasets`` trials in parallel; return results by kind and score, (datasets,) or (datasets, C)."""
    truth = true_differences(world, SCENE if groups else 1)
    one = partial(trial, world=world, truth=truth, groups=groups, replicates=replicates)
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read by the processes as they start
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(one, range(datasets), chunksize=20))
    return {name: np.array([d[name] for d in done]) for name in done[0]}


def of_classes(world: World, results: dict[str, NDArray], labelled: int) -> tuple[NDArray, NDArray]:
    """Return the results, percentile and BCa, of the classes labelled in this many of 100 images."""
    chosen = np.isclose(world.presence, labelled / IMAGES)
    return results["percentile iou"][:, chosen], results["bca iou"][:, chosen]


def shares(percentile: NDArray, bca: NDArray) -> tuple[float, float, float]:
    """Return the share of intervals that are there, and the coverage of both kinds, nan where there is none."""
    there = ~np.isnan(percentile)
    if not there.any():
        return 0.0, np.nan, np.nan
    return float(there.mean()), float(percentile[there].mean()), float(bca[there].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--datasets", type=int, default=2000)
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7, help="seed of the simulated classes and systems")
    chosen = parser.parse_args()
    world = draw_rare_world(chosen.seed)
    run = partial(trials, world, datasets=chosen.datasets, replicates=chosen.replicates)
    results = run(None)
    rows = {f"IoU of a class labelled in {m} of {IMAGES} images": of_classes(world, results, m) for m in LABELLED}
    for groups in GROUPS:
        results = run(groups)
        common = [results[f"{kind} iou"][:, : len(COMMON)] for kind in ("percentile", "bca")]
        rows[f"mIoU over {groups} groups"] = results["percentile miou"], results["bca miou"]
        rows[f"IoU of a common class over {groups} groups"] = common[0], common[1]
    table = Table("score", "intervals", "percentile", "BCa", title=f"Coverage, {chosen.datasets} datasets, %")
    for name, found in rows.items():
        table.add_row(name, *("–" if np.isnan(share) else f"{100 * share:.1f}" for share in shares(*found)))
    Console().print(table)


if __name__ == "__main__":
    main()
