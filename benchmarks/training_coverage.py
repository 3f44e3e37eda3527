"""How often do 95 % intervals of trainings hold the true difference? On simulated trainings, of which it is known.

::

    python benchmarks/training_coverage.py --simulations 500
    python benchmarks/training_coverage.py --simulations 1000 --separate

Of settings trained under shared seeds, with ``--separate`` of trainings that no seed pairs. Beside the interval that is
printed stand that of the pair alone (the setting and the baseline, t at 95 %), that of the means over images alone, as
two checkpoints would have it, and the median width of the first over the second. "Names" is the share of settings that
are named for their spread or leave the pool. The share of intervals that must hold the truth is 93 to 98.5 %, and 88.5
to 95 % where the compared setting scatters three times as much as the others, or more; the last column says where it
does not, by more than two standard errors of the simulation. "None" is the share without an interval, as two seeds
have it where fewer than five settings scatter alike.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from simulated_trainings import Regime, draw_trainings, true_difference

from segablate.statistics.half_widths import Source, half_width
from segablate.statistics.intervals import degrees_of_freedom
from segablate.statistics.separate_seeds import image_source, over_separate_seeds
from segablate.statistics.shared_seeds import over_shared_seeds
from segablate.statistics.trainings import SettingResult, Trainings, TrainingsResult, image_covariance, variance

ALIKE, SEEDS, IMAGES = Regime(0.15, 0.45), Regime(0.35, 0.3), Regime(0.05, 0.6)
"""Seeds and images matter alike; seeds dominate; images dominate."""

REGIMES = {
    "seeds and images matter alike": ALIKE,
    "seeds dominate": SEEDS,
    "images dominate": IMAGES,
    "30 images": replace(ALIKE, images=30),
    "500 images": replace(ALIKE, images=500),
    "3 settings": replace(ALIKE, spreads=(1, 1, 1)),
    "compared scatters x2": replace(ALIKE, spreads=(1, 2, 1, 1, 1)),
    "compared scatters x3": replace(ALIKE, spreads=(1, 3, 1, 1, 1)),
    "compared scatters x3, 500 images": replace(ALIKE, spreads=(1, 3, 1, 1, 1), images=500),
    "compared scatters x10": replace(ALIKE, spreads=(1, 10, 1, 1, 1)),
    "another scatters x2": replace(ALIKE, spreads=(1, 1, 2, 1, 1)),
    "another scatters x10": replace(ALIKE, spreads=(1, 1, 10, 1, 1)),
}

SIZES = ((2, 2), (3, 3), (5, 5), (2, 5), (3, 5), (5, 3))
"""Trainings of the baseline and of the compared setting."""

SEPARATE = {
    "seeds and images matter alike": replace(ALIKE, spreads=(1, 1), shared=False),
    "seeds dominate": replace(SEEDS, spreads=(1, 1), shared=False),
    "images dominate": replace(IMAGES, spreads=(1, 1), shared=False),
    "30 images": replace(ALIKE, spreads=(1, 1), images=30, shared=False),
    "compared scatters x3": replace(ALIKE, spreads=(1, 3), shared=False),
    "seeds have an effect in common": replace(ALIKE, spreads=(1, 1)),
}


class Found(NamedTuple):
    """One interval: half-widths as printed (nan without), of the pair alone and over images alone; and the error.

    ``table`` numbers the simulation, ``named`` says whether a note names the setting.
    """

    table: int
    printed: float
    pair: float
    images: float
    error: float
    named: bool


@dataclass(frozen=True)
class Coverage:
    """Shares of intervals that hold the truth; of ``printed`` with its standard error.

    Also the median width over that of the pair, and the shares of settings that are named and without an interval.
    """

    printed: float
    error: float
    pair: float
    images: float
    width: float
    named: float
    none: float

    def verdict(self, low: float, high: float) -> str:
        """On which side of the bounds the share printed is, by more than two standard errors."""
        if self.printed < low - 2 * self.error:
            return "too low"
        return "too high" if self.printed > high + 2 * self.error else ""


def simulate(regime: Regime, simulations: int) -> Coverage:
    """Tables of shared seeds; every setting whose spread is the compared one's counts."""
    truth = true_difference(replace(regime, seeds=1, images=100))
    alike = [row for row, spread in enumerate(regime.spreads) if row and spread == regime.spreads[1]]
    return _coverage(
        Found(table, _half(found.settings[row]), *_plain(trainings, row), found.settings[row].difference - truth, named)
        for table, trainings, found in _tables(regime, simulations, over_shared_seeds)
        for row in alike
        if found.pool is not None
        for named in [row in (*found.pool.left, *found.pool.wider)]
    )


def simulate_separate(regime: Regime, sizes: tuple[int, int], simulations: int) -> Coverage:
    """Pairs of settings with these numbers of trainings."""
    truth = true_difference(replace(regime, seeds=1, images=100))

    def rule(trainings: Trainings) -> TrainingsResult:
        for row, size in enumerate(sizes):
            trainings.score[row, size:] = np.nan
        return over_separate_seeds(trainings)

    return _coverage(
        Found(table, half, half, _over_images(trainings, sizes), compared.difference - truth, False)
        for table, trainings, found in _tables(replace(regime, seeds=max(sizes)), simulations, rule)
        for compared in found.settings[1:]
        for half in [_half(compared)]
    )


def _tables(
    regime: Regime, simulations: int, rule: Callable[[Trainings], TrainingsResult]
) -> Iterator[tuple[int, Trainings, TrainingsResult]]:
    for number in range(simulations):
        trainings = draw_trainings(regime, np.random.default_rng([2, number]))
        yield number, trainings, rule(trainings)


def _plain(trainings: Trainings, row: int) -> tuple[float, float]:
    """Half-widths of the pair alone and over images alone."""
    d = trainings.score[row] - trainings.score[0]
    u = trainings.influence[row] - trainings.influence[0]
    mean = u.mean(axis=0, keepdims=True)
    nu = float(degrees_of_freedom(mean[0]))
    crossed = Source(max(0.0, image_covariance(u)), nu)
    pair = half_width([(Source(variance(d) / d.size, d.size - 1), crossed)])
    return pair, half_width([(Source(image_covariance(mean), nu),)])


def _over_images(trainings: Trainings, sizes: tuple[int, int]) -> float:
    baseline, compared = (trainings.influence[row, :size].mean(axis=0) for row, size in enumerate(sizes))
    return half_width([(image_source(compared[None], baseline[None]),)])


def _half(found: SettingResult) -> float:
    return (found.high - found.low) / 2


def _coverage(found: Iterator[Found]) -> Coverage:
    table, printed, pair, images, error, named = (np.array(column, float) for column in zip(*found, strict=True))
    there, error = ~np.isnan(printed), np.abs(error)
    inside = error[there] <= printed[there]
    known = bool(there.any())
    return Coverage(
        printed=float(inside.mean()) if known else np.nan,
        error=_standard_error(inside, table[there]) if known else np.nan,
        pair=float(np.mean(error <= pair)),
        images=float(np.mean(error <= images)),
        width=float(np.median(printed[there] / pair[there])) if known else np.nan,
        named=float(named.mean()),
        none=float(1 - there.mean()),
    )


def _standard_error(inside: NDArray, table: NDArray) -> float:
    """Of the mean, over tables whose intervals are not independent; at least that of one miss."""
    off = np.bincount(table.astype(int), inside - inside.mean())
    return float(max(np.sqrt(np.sum(off**2)), 1.0) / inside.size)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulations", type=int, default=500, help="tables in each regime")
    parser.add_argument("--seeds", type=int, nargs="*", default=[2, 3, 5])
    parser.add_argument("--separate", action="store_true", help="trainings that no seed pairs")
    chosen = parser.parse_args()
    print(f"{'':45s} {'printed':>8} {'±':>4} {'pair':>6} {'images':>7} {'width':>6} {'names':>6} {'none':>6}")
    if chosen.separate:
        for name, regime in SEPARATE.items():
            for sizes in SIZES:
                _show(f"{name}, {sizes[0]} and {sizes[1]}", simulate_separate(regime, sizes, chosen.simulations))
        return
    for seeds in chosen.seeds:
        for name, regime in REGIMES.items():
            bounds = (0.885, 0.95) if regime.spreads[1] >= 3 else (0.93, 0.985)
            found = simulate(replace(regime, seeds=seeds), chosen.simulations)
            _show(f"{name}, {seeds} seeds", found, *bounds)


def _show(name: str, found: Coverage, low: float = 0.93, high: float = 0.985) -> None:
    shares = f"{100 * found.printed:8.1f} {100 * found.error:4.1f} {100 * found.pair:6.1f} {100 * found.images:7.1f}"
    others = f"{found.width:6.2f} {100 * found.named:6.1f} {100 * found.none:6.1f}"
    print(f"{name:45s} {shares} {others}  {found.verdict(low, high)}", flush=True)


if __name__ == "__main__":
    main()
