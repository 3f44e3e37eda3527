"""Boundary F beside the procedure of DAVIS 2017, restated here in brute force.

DAVIS marks, for the mask of one class, a pixel that differs from its right, lower or lower-right neighbour: one line
of pixels along each edge, on its upper left side, in the mask or out of it; ours is the inner line of each class.
It matches within a disk of whole pixels, as ours does. The two F-scores coincide
  - for edges that cross the whole frame straight up or across: both sets are the same lines, some moved by one pixel
    in both maps alike, as long as an edge has no other edge of its class within the tolerance;
  - where nothing matches, and where everything does.
They differ by a little at curves and corners, where the two lines have different lengths, and by definition for a
class without boundary in both maps (DAVIS 1, ours nan) and along void (DAVIS sets both masks to 0 there, so that the
edge of the void becomes a boundary).
"""

from itertools import product

import numpy as np
import pytest
from boundary_oracle import VOID, disk, slow_f, slow_matches, sums_of

from segablate.metrics.boundary import boundary_f
from segablate.metrics.tolerance import Tolerance


def davis_boundary(mask):
    """The one-sided boundary of a bool mask, pixel by pixel; outside the frame lies a copy of the last line."""
    height, width = mask.shape
    return [
        (y, x)
        for y, x in product(range(height), range(width))
        if any(
            mask[y, x] != mask[min(y + dy, height - 1), min(x + dx, width - 1)] for dy, dx in ((0, 1), (1, 0), (1, 1))
        )
    ]


def davis_f(labels, predicted, c, tolerance):
    found, wanted = davis_boundary(predicted == c), davis_boundary(labels == c)
    if not found and not wanted:
        return 1.0
    if not found or not wanted:
        return 0.0
    return slow_f(
        slow_matches(found, wanted, tolerance), len(found), slow_matches(wanted, found, tolerance), len(wanted)
    )


def stripes(edges, width=72, height=4):
    return np.broadcast_to(np.searchsorted(edges, np.arange(width), side="right").astype(np.uint8), (height, width))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("turned", [False, True])
def test_davis_f_on_straight_edges(seed, turned):
    rng = np.random.default_rng(seed)
    edges = np.array([12, 24, 36, 48, 60])
    labels, predicted = stripes(edges), stripes(edges + rng.integers(-4, 5, 5))
    if turned:
        labels, predicted = labels.T, predicted.T
    scores = []
    for t in range(5):
        ours = boundary_f(sums_of(labels, predicted, 6, Tolerance(t)).total())
        np.testing.assert_allclose(ours, [davis_f(labels, predicted, c, t) for c in range(6)])
        scores.append(ours)
    assert len(np.unique(scores)) >= 3


def test_davis_f_where_all_or_nothing_matches():
    labels = disk((20, 20), 9)
    for predicted, tolerance, expected in [
        (labels, 0, 1),
        (disk((21, 22), 9), 3, 1),
        (disk((20, 20), 12), 5, 1),
        (disk((34, 50), 4), 3, 0),
        (np.zeros_like(labels), 3, 0),
    ]:
        assert davis_f(labels, predicted, 1, tolerance) == expected
        assert boundary_f(sums_of(labels, predicted, 2, Tolerance(tolerance)).total())[1] == expected


def test_davis_f_nearly_on_curves():
    labels, predicted = disk((20, 24), 14), disk((22, 27), 12)
    for t in (1, 2, 3, 4):
        ours = boundary_f(sums_of(labels, predicted, 2, Tolerance(t)).total())[1]
        assert ours == pytest.approx(davis_f(labels, predicted, 1, t), abs=0.1)


def test_davis_differs_for_absent_classes_and_void():
    labels = np.zeros((8, 12), np.uint8)
    assert davis_f(labels, labels, 1, 1) == 1
    assert np.isnan(boundary_f(sums_of(labels, labels, 2, Tolerance(1)).total())[1])
    labels[:, 6:] = VOID
    masked = (labels == 0).astype(np.uint8)
    assert len(davis_boundary(masked == 1)) == 8
    assert sums_of(labels, np.zeros_like(labels), 2, Tolerance(1)).labelled.sum() == 0
