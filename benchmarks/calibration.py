"""Coverage of 95 % confidence intervals and rate of false positives of the tests, on simulated datasets.

::

    python benchmarks/calibration.py --datasets 2000 --images 300 --classes 12

Prints, for two systems that differ, the share of datasets whose intervals of mIoU, mean recall and IoU differences
contain the true difference; and for two equal ones, the share of p below 0.05, uncorrected and corrected. Classes count
where they are labelled in at least 30 images; "rarer" are the others that have an interval.
"""

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from simulated import World, draw_dataset, draw_population, draw_world

from segablate.statistics.bootstrap import Distribution, by_image, resample
from segablate.statistics.intervals import Interval, percentile_interval
from segablate.statistics.multiplicity import benjamini_hochberg, holm
from segablate.statistics.paired import Difference, compare, subtract
from segablate.statistics.scores import region_scores

SCORES = "miou", "mean_recall", "iou"
OFTEN = 30
"""Number of images in which a frequent class is labelled, at least."""


def true_differences(world: World) -> dict[str, NDArray]:
    first, second = (region_scores(counts)(np.ones((1, 1))) for counts in draw_population(world))
    return {name: (second[name] - first[name])[0] for name in SCORES}


def trial(seed: int, world: World, truth: dict[str, NDArray], images: int, replicates: int) -> dict[str, NDArray]:
    """Simulate a dataset: for each interval and score whether it contains the truth, and p; nan where undefined."""
    counts = draw_dataset(world, images, np.random.default_rng([2, seed]))
    first, second = resample([region_scores(c) for c in counts], by_image(images, replicates, seed))
    often = (counts[0].labelled > 0).sum(axis=0) >= OFTEN
    results = {}
    for name in SCORES:
        difference = compare(first[name], second[name])
        intervals = {
            "plain": _plain(subtract(first[name], second[name])),
            "percentile": difference.change.percentile,
            "bca": difference.change.bca,
        }
        results |= {f"{kind} {name}": _holds(interval, truth[name]) for kind, interval in intervals.items()}
        results[f"p {name}"] = difference.p
        if name == "iou":
            results |= _corrected(difference, often)
    return results | {"often": often}


def _plain(distribution: Distribution) -> Interval:
    """Return the textbook percentile interval, for comparison."""
    ordered = np.sort(distribution.replicates.reshape(len(distribution.replicates), -1).T, axis=1)
    return percentile_interval(ordered, np.full(distribution.value.shape, ndtri(0.975)))


def _holds(interval: Interval, truth: NDArray) -> NDArray:
    inside = (interval.low <= truth) & (truth <= interval.high)
    return np.where(np.isnan(interval.low), np.nan, inside)


def _corrected(difference: Difference, often: NDArray) -> dict[str, NDArray]:
    """Whether any class is a false positive after correction, among the frequent ones and among all."""
    return {
        "holm often": np.any(holm(difference.p[often]) < 0.05),
        "holm all": np.any(holm(difference.p) < 0.05),
        "benjamini-hochberg often": np.any(benjamini_hochberg(difference.p[often]) < 0.05),
    }


def trials(world: World, datasets: int, images: int, replicates: int) -> dict[str, NDArray]:
    """Run ``datasets`` trials in parallel; return results by name, (datasets,) or (datasets, C)."""
    one = partial(trial, world=world, truth=true_differences(world), images=images, replicates=replicates)
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read by the processes as they start
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(one, range(datasets), chunksize=20))
    return {name: np.array([d[name] for d in done]) for name in done[0]}


def coverage(results: dict[str, NDArray]) -> dict[str, float]:
    """Return the shares of intervals that contain the truth, for each kind of interval and score."""
    often = results["often"]
    shares = {}
    for kind in ("plain", "percentile", "bca"):
        shares |= {f"{kind}: {name}": float(np.mean(results[f"{kind} {name}"])) for name in ("miou", "mean_recall")}
        iou = results[f"{kind} iou"]
        shares[f"{kind}: IoU of a class"] = float(np.nanmean(iou[often]))
        rare = ~often & ~np.isnan(results["percentile iou"])
        shares[f"{kind}: IoU of a rarer class"] = float(np.mean(iou[rare])) if rare.any() else np.nan
    return shares


def false_alarms(results: dict[str, NDArray]) -> dict[str, float]:
    """Return the shares of p below 0.05 where there is no difference, and of datasets with any after correction."""
    alone = {f"p < 0.05: {name}": float(np.mean(results[f"p {name}"] < 0.05)) for name in ("miou", "mean_recall")}
    alone["p < 0.05: IoU of a class"] = float(np.mean(results["p iou"][results["often"]] < 0.05))
    corrected = ("holm often", "holm all", "benjamini-hochberg often")
    return alone | {f"any false positive, {name}": float(np.mean(results[name])) for name in corrected}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--datasets", type=int, default=2000)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7, help="seed of the simulated classes and systems")
    chosen = parser.parse_args()
    run = partial(trials, datasets=chosen.datasets, images=chosen.images, replicates=chosen.replicates)
    differ = coverage(run(draw_world(chosen.classes, 0.3, chosen.seed)))
    equal = false_alarms(run(draw_world(chosen.classes, 0.0, chosen.seed)))
    for name, share in (differ | equal).items():
        print(f"{name:45s} {100 * share:6.2f} %")


if __name__ == "__main__":
    main()
