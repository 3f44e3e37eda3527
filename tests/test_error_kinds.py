"""Errors by kind: the authors' counts, the plain form, and small scenes by hand."""

from pathlib import Path

import numpy as np
import pytest
from boundary_oracle import degenerate, map_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from segablate.kernels import error_kinds, error_kinds_reference
from segablate.metrics.confusion import Confusion, class_counts, count_confusion, iou
from segablate.metrics.error_kinds import count_errors, error_shares
from segablate.metrics.tolerance import Tolerance

GOLDEN = np.load(Path(__file__).parent / "golden" / "peers" / "beyond_iou.npz")


@pytest.mark.parametrize("form", [error_kinds, error_kinds_reference], ids=["fast", "plain"])
@pytest.mark.parametrize("scene", range(len(GOLDEN.files) // 4))
def test_the_counts_of_the_authors_code(form, scene):
    labels, predicted, counts, width = (
        GOLDEN[f"{scene}_{name}"] for name in ("labels", "predicted", "counts", "width")
    )
    np.testing.assert_array_equal(form.count_error_kinds(labels, predicted, counts.shape[2], int(width)), counts)


def assert_same(labels, predicted, classes, width):
    fast, plain = (
        form.count_error_kinds(labels, predicted, classes, width) for form in (error_kinds, error_kinds_reference)
    )
    assert fast.dtype == np.int64
    np.testing.assert_array_equal(fast, plain)


@settings(max_examples=120, deadline=None)
@given(map_pairs(), st.integers(1, 6))
def test_fast_form_equals_the_plain_form(pair, width):
    assert_same(*pair, width)


@degenerate
def test_fast_form_equals_the_plain_form_on_degenerate_maps(labels, predicted, classes):
    assert_same(labels, predicted, classes, 2)


@pytest.mark.parametrize("width", [60, 127, 128, 150])
def test_wide_boundaries(width):
    labels, predicted = np.zeros((2, 12, 400), np.uint8)
    labels[:, 200:], predicted[:, 330:] = 1, 1
    assert_same(labels, predicted, 2, width)


def test_kinds_by_hand():
    labels, predicted = np.zeros((2, 40, 60), np.uint8)
    labels[10:30, 10:30] = 1
    predicted[10:30, 11:30] = 1  # a column of 20 lost at the boundary
    predicted[15:18, 45:48] = 1  # 9 pixels where there is nothing
    counts = count_errors(labels, predicted, 2, Tolerance(2))
    assert counts[:, :, 1].tolist() == [[0, 0, 9], [20, 0, 0]]


def test_what_reaches_far_beyond_the_boundary_is_extent():
    labels, predicted = np.zeros((2, 40, 60), np.uint8)
    labels[:, 10:30], predicted[:, 10:50] = 1, 1
    counts = count_errors(labels, predicted, 2, Tolerance(2))
    assert counts[:, :, 1].tolist() == [[0, 800, 0], [0, 0, 0]]
    assert counts[:, :, 0].tolist() == [[0, 0, 0], [0, 800, 0]]


def test_with_the_iou_the_shares_sum_to_one():
    labels, predicted = np.random.default_rng(0).integers(0, 4, (2, 30, 40), dtype=np.uint8)
    labels[labels == 3] = 255
    counts = class_counts(Confusion.from_dense([count_confusion(labels, predicted, 3)], 3)).total()
    shares = error_shares(count_errors(labels, predicted, 3, Tolerance(0.01, True)), counts.hits)
    np.testing.assert_allclose(shares.sum(axis=(0, 1)) + iou(counts), 1)


def test_the_least_width_is_one_pixel_and_is_named() -> None:
    labels, predicted = np.zeros((2, 12, 14), np.uint8)
    labels[2:8, 2:8], predicted[2:8, 2:13] = 1, 1
    one = count_errors(labels, predicted, 2, Tolerance(1))
    for width in (Tolerance(0), Tolerance(0.4), Tolerance(0.01, of_diagonal=True)):
        np.testing.assert_array_equal(count_errors(labels, predicted, 2, width), one)
    assert (count_errors(labels, predicted, 2, Tolerance(2)) != one).any()
    reference = (Path(__file__).parents[1] / "docs/reference/cli.md").read_text("utf-8")  # generated from the help
    (line,) = {line for line in reference.splitlines() if line.startswith("| `--error-kinds`")}
    assert "pixels (at least 1)" in line
