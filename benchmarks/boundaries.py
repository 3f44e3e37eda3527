"""Time of boundary F-scores of realistic pairs: the fast form, the plain form, and DAVIS-style dilation per class.

``python benchmarks/boundaries.py`` prints CPU seconds per pair on one thread. The dilation rows follow the DAVIS 2017
procedure for each class in turn, with OpenCV; its boundary sets differ slightly from ours, its work does not.
"""

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from scenes import scene_pair

from segablate.kernels import boundary, boundary_reference
from segablate.labels import IGNORE

CLASSES = 19
TOLERANCES = (1, 3, 5, 9, 18)

Pair = tuple[np.ndarray, np.ndarray]


def main() -> None:
    arguments = parse_arguments()
    cv2.setNumThreads(1)
    pairs = [scene_pair(arguments.height, arguments.width, CLASSES, seed) for seed in range(arguments.pairs)]
    check(pairs[0])
    Console().print(report(pairs))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    return parser.parse_args()


def report(pairs: list[Pair]) -> Table:
    """Return rows of (form, tolerances): median CPU seconds and the ratio to the fast form at all tolerances."""
    everything = ", ".join(map(str, TOLERANCES))
    together = max(TOLERANCES) ** 2
    cases: list[tuple[str, str, Callable[[Pair], object]]] = [
        *(("fast", str(t), partial(exact, boundary, reach=t * t)) for t in TOLERANCES),
        ("fast", everything, partial(exact, boundary, reach=together)),
        ("plain", everything, partial(exact, boundary_reference, reach=together)),
        *(("dilation per class", str(t), partial(dilated, tolerances=(t,))) for t in TOLERANCES),
        ("dilation per class", everything, partial(dilated, tolerances=TOLERANCES)),
    ]
    seconds = [timed(run, pairs) for _, _, run in cases]
    unit = seconds[len(TOLERANCES)]
    height, width = pairs[0][0].shape
    table = Table(title=f"Boundary distances, {len(pairs)} pairs of {height}x{width}, {CLASSES} classes, one thread")
    for heading in ("form", "tolerance, px", "CPU ms per pair", "ratio"):
        table.add_column(heading, justify="left" if heading == "form" else "right")
    for (form, tolerance, _), cpu in zip(cases, seconds, strict=True):
        table.add_row(form, tolerance, f"{1000 * cpu:.0f}", f"{cpu / unit:.1f}")
    return table


def timed(run: Callable[[Pair], object], pairs: list[Pair]) -> float:
    """Return the median CPU seconds per pair, after a warm-up."""
    run(pairs[0])
    seconds = []
    for pair in pairs:
        start = process_time()
        run(pair)
        seconds.append(process_time() - start)
    return median(seconds)


def exact(form, pair: Pair, reach: int) -> boundary_reference.BoundaryDistances:
    return form.boundary_distances(*pair, CLASSES, reach)


def check(pair: Pair) -> None:
    """Check that the two forms that are compared return the same integers."""
    fast, plain = (exact(form, pair, max(TOLERANCES) ** 2) for form in (boundary, boundary_reference))
    for one, other in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(one, other)


def dilated(pair: Pair, tolerances: tuple[int, ...]) -> np.ndarray:
    """Return F-scores (T, C) by dilating the boundary of each class in each map by a disk of each tolerance."""
    labels, predicted = pair
    predicted = np.where(labels == IGNORE, IGNORE, predicted)
    scores = np.ones((len(tolerances), CLASSES))
    for c in range(CLASSES):
        found, wanted = one_sided_edge(predicted == c), one_sided_edge(labels == c)
        for i, tolerance in enumerate(tolerances):
            scores[i, c] = dilated_f(found, wanted, tolerance)
    return scores


def one_sided_edge(mask: np.ndarray) -> np.ndarray:
    """Return the pixels that differ from their right, lower or lower-right neighbour, uint8 (H, W)."""
    edge = np.zeros(mask.shape, bool)
    edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edge[:-1] |= mask[:-1] != mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return edge.view(np.uint8)


def dilated_f(found: np.ndarray, wanted: np.ndarray, tolerance: int) -> float:
    """Return F of two edge maps matched within a disk; 1 where both are empty, 0 where one is."""
    sizes = cv2.countNonZero(found), cv2.countNonZero(wanted)
    offsets = np.arange(-tolerance, tolerance + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= tolerance**2).astype(np.uint8)
    hits = (
        cv2.countNonZero(found & cv2.dilate(wanted, disk)),
        cv2.countNonZero(wanted & cv2.dilate(found, disk)),
    )
    if 0 in sizes:
        return float(sizes == (0, 0))
    precision, recall = hits[0] / sizes[0], hits[1] / sizes[1]
    return 2 * precision * recall / max(precision + recall, 1e-12)


if __name__ == "__main__":
    main()
