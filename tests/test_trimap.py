"""Counts near the label boundaries against loops over pixels; NSD against its definition."""

from itertools import product

import numpy as np
import pytest
from boundary_oracle import degenerate, degenerate_pairs, slow_boundary, sums_of

from segablate.labels import IGNORE
from segablate.metrics.boundary import boundary_f, surface_dice
from segablate.metrics.confusion import iou
from segablate.metrics.tolerance import Tolerance
from segablate.metrics.trimap import COUNTS, WIDTHS, count_trimap, trimap_counts

PAIRS = degenerate_pairs()


def slow_trimap(labels: np.ndarray, predicted: np.ndarray, classes: int, width: int) -> np.ndarray:
    edges = [place for c in range(classes) for place in slow_boundary(labels, labels, c)]
    sums = np.zeros((3, classes), np.int64)
    for y, x in product(*map(range, labels.shape)):
        label, found = int(labels[y, x]), int(predicted[y, x])
        near = any((y - v) ** 2 + (x - u) ** 2 <= width**2 for v, u in edges)
        if label == IGNORE or not near:
            continue
        sums[1, label] += 1
        if found < classes:
            sums[2, found] += 1
            sums[0, label] += found == label
    return sums


@pytest.mark.parametrize("name", [name for name in PAIRS if "25" not in name])
def test_bands_equal_plain_loops(name: str) -> None:
    labels, predicted, classes = PAIRS[name]
    found = count_trimap(labels, predicted, classes, widths=(1, 2, 5))
    assert found[WIDTHS].tolist() == [1, 2, 5]
    for place, width in enumerate((1, 2, 5)):
        np.testing.assert_array_equal(found[COUNTS][place], slow_trimap(labels, predicted, classes, width))


@degenerate
def test_wide_bands_hold_every_labelled_pixel_of_a_map_with_edges(labels, predicted, classes) -> None:
    counts = trimap_counts(count_trimap(labels, predicted, classes, widths=(1, 500))[COUNTS][None])
    edges = sum(len(slow_boundary(labels, labels, c)) for c in range(classes))
    assert counts.labelled[1].sum() == (np.sum(labels != IGNORE) if edges else 0)
    assert (counts.labelled[0] <= counts.labelled[1]).all()


def test_errors_near_edges_weigh_more_near_edges() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[:, 10:] = 1
    predicted = np.zeros_like(labels)
    predicted[:, 12:] = 1
    counts = trimap_counts(count_trimap(labels, predicted, 2, widths=(1, 3, 9))[COUNTS][None])
    scores = iou(counts)[:, 1]
    assert scores.tolist() == pytest.approx([0.0, 2 / 4, 8 / 10])


def test_nsd_is_matched_over_all_boundary_pixels() -> None:
    labels, predicted, classes = PAIRS["odd sizes"]
    sums = sums_of(labels, predicted, classes, Tolerance(1))
    plain = (sums.matched_predicted + sums.matched_labelled) / (sums.predicted + sums.labelled)
    np.testing.assert_allclose(surface_dice(sums), plain)
    assert not np.allclose(surface_dice(sums), boundary_f(sums))


@degenerate
def test_nsd_is_undefined_where_f_is(labels, predicted, classes) -> None:
    sums = sums_of(labels, predicted, classes, Tolerance(2))
    np.testing.assert_array_equal(np.isnan(surface_dice(sums)), np.isnan(boundary_f(sums)))
