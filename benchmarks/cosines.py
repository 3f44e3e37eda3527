"""Coverage of the 95 % confidence intervals of mean cosines in an atlas, for few images.

::

    python benchmarks/cosines.py [--datasets 4000]

Cosines of single images are drawn from a beta distribution on -1..1 with a known mean, and their mean and interval
computed by the function of ``segablate atlas``. The means and spreads are those of pairs of losses on the sample data:
most pairs share little, ``ce`` and ``focal`` nearly all, and a pair such as ``dice`` and ``lovasz`` nearly all on most
images and little on a few. Prints the share of the intervals that contain the mean, which should be 93 to 97 %.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from segablate.atlas.clusters import mean_cosines
from segablate.statistics.intervals import Interval

IMAGES = 5, 10, 24
PAIRS = {"little in common": (0.2, 0.05), "half": (0.6, 0.1), "nearly all": (0.95, 0.01), "uneven": (0.9, 0.1)}
"""Mean and standard deviation over images."""

TOGETHER = 50
"""Pairs of one mean that are drawn independently for one set of images."""


def draw(mean: float, deviation: float, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Draw cosines of this mean and standard deviation."""
    middle, variance = (mean + 1) / 2, (deviation / 2) ** 2
    both = middle * (1 - middle) / variance - 1
    return 2 * generator.beta(middle * both, (1 - middle) * both, shape) - 1


def coverage(mean: float, deviation: float, images: int, datasets: int) -> float:
    """Return the share of intervals that contain the mean."""
    held = []
    for seed in range(datasets // TOGETHER):
        values = draw(mean, deviation, (images, TOGETHER), np.random.default_rng([seed, images]))
        interval: Interval = mean_cosines(values, seed)[1]
        held.append((interval.low <= mean) & (mean <= interval.high))
    return float(np.mean(held))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--datasets", type=int, default=4000)
    datasets = parser.parse_args().datasets
    table = Table("images", *PAIRS, title=f"Coverage, {datasets} datasets, %")
    for images in IMAGES:
        table.add_row(str(images), *(f"{100 * coverage(*pair, images, datasets):.1f}" for pair in PAIRS.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
