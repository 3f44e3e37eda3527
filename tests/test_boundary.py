"""Boundary distances: the fast form, the plain form and brute force agree on random and degenerate maps."""

from math import sqrt

import numpy as np
import pytest
from boundary_oracle import VOID, degenerate, disk, map_pairs, noise, slow_sums, sums_of
from hypothesis import given, settings
from hypothesis import strategies as st

from segablate.kernels import boundary, boundary_reference
from segablate.kernels.boundary_reference import BEYOND, LABELLED, PREDICTED
from segablate.metrics.boundary import boundary_f, boundary_sums, count_boundaries
from segablate.metrics.tolerance import Tolerance

PX = tuple(Tolerance(t) for t in (0, 1, sqrt(2), 2, 2.5, 3, sqrt(13), 5))


def assert_same_rows(one, other):
    for name, left, right in zip(one._fields, one, other, strict=True):
        assert left.dtype == right.dtype == np.int32, name
        np.testing.assert_array_equal(left, right, err_msg=name)


# Counts against brute force -------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(map_pairs())
def test_sums_equal_brute_force(pair):
    labels, predicted, classes = pair
    counts = count_boundaries(labels, predicted, classes, PX)
    for tolerance in PX:
        sums = np.stack(boundary_sums(counts, tolerance))[:, 0]
        np.testing.assert_array_equal(sums, slow_sums(labels, predicted, classes, tolerance.amount), str(tolerance))


@degenerate
def test_sums_equal_brute_force_on_degenerate_maps(labels, predicted, classes):
    counts = count_boundaries(labels, predicted, classes, PX)
    for tolerance in (Tolerance(0), Tolerance(1), Tolerance(2.5)):
        sums = np.stack(boundary_sums(counts, tolerance))[:, 0]
        np.testing.assert_array_equal(sums, slow_sums(labels, predicted, classes, tolerance.amount))


@settings(max_examples=150, deadline=None)
@given(map_pairs(), st.sampled_from([0, 1, 2, 4, 5, 9, 50, 10**6]))
def test_fast_form_equals_the_plain_form(pair, reach):
    assert_same_rows(boundary.boundary_distances(*pair, reach), boundary_reference.boundary_distances(*pair, reach))


@degenerate
@pytest.mark.parametrize("reach", [0, 6, 10**6])
def test_fast_form_equals_the_plain_form_on_degenerate_maps(labels, predicted, classes, reach):
    fast = boundary.boundary_distances(labels, predicted, classes, reach)
    assert_same_rows(fast, boundary_reference.boundary_distances(labels, predicted, classes, reach))


def test_fast_form_equals_the_plain_form_on_a_larger_scene():
    rng = np.random.default_rng(5)
    labels = np.kron(noise((9, 14), 7, 9), np.ones((23, 19), np.uint8))[:201, :263]
    predicted = np.roll(labels, (3, -5), axis=(0, 1))
    predicted[rng.random(labels.shape) < 0.02] = 6
    labels[40:90, 100:160] = VOID
    for reach in (0, 25, 324, 90_000):
        fast = boundary.boundary_distances(labels, predicted, 7, reach)
        assert_same_rows(fast, boundary_reference.boundary_distances(labels, predicted, 7, reach))
        assert fast.pixels.sum() > 5000


def test_distances_are_exact_integers_far_away():
    """Two single pixels whose squared distance, beyond 2^24, is not a float32."""
    labels, predicted = np.zeros((2, 41, 4200), np.uint8)
    labels[0, 0], predicted[40, 4151] = 1, 1
    for module in (boundary, boundary_reference):
        rows = module.boundary_distances(labels, predicted, 2, 4151**2 + 40**2)
        of_dot = rows.class_index == 1
        assert rows.squared[of_dot].tolist() == [4151**2 + 40**2] * 2
        short = module.boundary_distances(labels, predicted, 2, 4151**2 + 40**2 - 1)
        assert short.squared[short.class_index == 1].tolist() == [BEYOND] * 2


# What makes a boundary ------------------------------------------------------------------------------------------------


def test_neither_frame_nor_void_makes_a_boundary():
    labels = np.ones((6, 8), np.uint8)
    labels[:, 4] = VOID
    labels[:, 5:] = 0
    rows = boundary.boundary_distances(labels, labels, 2, 9)
    assert rows.pixels.size == 0


@settings(max_examples=60, deadline=None)
@given(map_pairs(), st.integers(0, 2**32 - 1))
def test_predictions_under_void_have_no_say(pair, seed):
    labels, predicted, classes = pair
    noisy = np.where(labels == VOID, noise(labels.shape, 256, seed), predicted).astype(np.uint8)
    fast = boundary.boundary_distances(labels, predicted, classes, 25)
    assert_same_rows(fast, boundary.boundary_distances(labels, noisy, classes, 25))


def test_values_outside_the_label_set_are_another_class_without_boundary():
    labels = np.zeros((4, 6), np.uint8)
    predicted = labels.copy()
    predicted[:, 3], predicted[:, 4:] = 40, VOID
    sums = sums_of(labels, predicted, 2, Tolerance(3))
    assert sums.predicted.tolist() == [[4, 0]]
    assert sums.labelled.tolist() == [[0, 0]]


@settings(max_examples=40, deadline=None)
@given(map_pairs())
def test_swapping_the_maps_swaps_the_sides(pair):
    labels, predicted, classes = pair
    predicted = np.where(labels == VOID, VOID, np.minimum(predicted, classes - 1)).astype(np.uint8)
    for tolerance in (Tolerance(0), Tolerance(2)):
        ahead, back = sums_of(labels, predicted, classes, tolerance), sums_of(predicted, labels, classes, tolerance)
        np.testing.assert_array_equal(np.stack(ahead), np.stack(back)[[2, 3, 0, 1]])


@settings(max_examples=40, deadline=None)
@given(map_pairs(), st.sampled_from(["transpose", "rows", "columns", "relabel"]))
def test_flips_and_relabelling_change_nothing(pair, change):
    labels, predicted, classes = pair
    order = np.random.default_rng(0).permutation(classes)
    rename = np.arange(256)
    rename[:classes] = order
    changes = {
        "transpose": lambda m: m.T,
        "rows": lambda m: m[::-1],
        "columns": lambda m: m[:, ::-1],
        "relabel": lambda m: rename[m].astype(np.uint8),
    }
    moved = sums_of(changes[change](labels), changes[change](predicted), classes, Tolerance(2.5))
    plain = sums_of(labels, predicted, classes, Tolerance(2.5))
    columns = order if change == "relabel" else np.arange(classes)
    np.testing.assert_array_equal(np.stack(moved)[..., columns], np.stack(plain))


@pytest.mark.parametrize("shift", [(1, 1), (0, 2), (1, 2), (2, 2), (2, 3), (0, 5), (3, 4)])
def test_a_lone_pixel_matches_from_its_distance_on(shift):
    labels, predicted = np.zeros((2, 12, 12), np.uint8)
    labels[3, 3] = 1
    predicted[3 + shift[0], 3 + shift[1]] = 1
    distance = sqrt(shift[0] ** 2 + shift[1] ** 2)
    for tolerance, matched in ((distance, 1), (distance - 1e-6, 0), (distance + 1e-6, 1)):
        assert sums_of(labels, predicted, 2, Tolerance(tolerance)).matched_labelled[0, 1] == matched


def test_more_tolerance_never_matches_less():
    labels, predicted = disk((20, 30), 12), disk((25, 27), 9)
    counts = count_boundaries(labels, predicted, 2, [Tolerance(20)])
    curve = [boundary_f(boundary_sums(counts, Tolerance(t)).total())[1] for t in np.arange(0, 20.5, 0.5)]
    assert np.all(np.diff(curve) >= 0)
    assert curve[0] < 0.5
    assert curve[-1] == 1


def test_sides_are_named_as_stored():
    labels, predicted = np.zeros((2, 5, 5), np.uint8)
    predicted[2, 2] = 1
    rows = boundary.boundary_distances(labels, predicted, 2, 4)
    assert set(rows.side.tolist()) == {PREDICTED}
    assert set(boundary.boundary_distances(predicted, labels, 2, 4).side.tolist()) == {LABELLED}
