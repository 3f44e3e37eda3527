"""Boundary IoU: fast forms against dilation per class, and the numbers of small scenes by hand."""

import numpy as np
import pytest
from boundary_oracle import degenerate, map_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from segablate.kernels import bands, bands_reference
from segablate.metrics.boundary_iou import band_width, boundary_iou, count_boundary_iou
from segablate.metrics.tolerance import Tolerance


def assert_same(labels, predicted, classes, width):
    fast, plain = (
        module.count_boundary_bands(labels, predicted, classes, width) for module in (bands, bands_reference)
    )
    assert fast.dtype == np.int64
    np.testing.assert_array_equal(fast, plain)


@settings(max_examples=80, deadline=None)
@given(pair=map_pairs(), width=st.integers(1, 8))
def test_fast_form_equals_the_plain_form(pair, width):
    assert_same(*pair, width)


@degenerate
@pytest.mark.parametrize("width", [1, 3])
def test_fast_form_equals_the_plain_form_on_degenerate_maps(labels, predicted, classes, width):
    assert_same(labels, predicted, classes, width)


def test_as_many_classes_as_there_can_be():
    labels, predicted = np.random.default_rng(0).integers(0, 256, (2, 30, 40), dtype=np.uint8)
    assert_same(labels, predicted, 255, 1)


def halves(at: int) -> np.ndarray:
    """Class 0 left of column ``at``, class 1 from it on, (10, 20)."""
    return (np.arange(20) >= at).astype(np.uint8) * np.ones((10, 1), np.uint8)


def test_a_shifted_edge():
    # Bands of 3 columns a side: labelled 7-9 and 10-12, predicted 8-10 and 11-13; two of four columns are shared.
    counts = count_boundary_iou(halves(10), halves(11), 2, Tolerance(3))
    assert counts.tolist() == [[20, 20], [30, 30], [30, 30]]
    assert boundary_iou(counts).tolist() == [0.5, 0.5]


def test_the_frame_makes_no_band():
    assert count_boundary_iou(halves(10), halves(10), 2, Tolerance(2))[1].tolist() == [20, 20]


def test_void_makes_no_band_and_hides_what_is_predicted_under_it():
    labels = np.zeros((6, 6), np.uint8)
    labels[:, 4:] = 255
    predicted = labels.clip(max=1)
    counts = count_boundary_iou(labels, predicted, 2, Tolerance(1))
    assert not counts.any()
    assert np.isnan(boundary_iou(counts)).all()


def test_widths_are_whole_pixels():
    assert band_width(Tolerance(0.02, True), 1024, 2048) == 46
    assert band_width(Tolerance(0.02, True), 4, 4) == 1
    assert band_width(Tolerance(2.6), 9, 9) == 3
