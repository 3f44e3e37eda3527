"""Confusion counts: the fast forms equal the plain one, integer for integer."""

import cv2
import numpy as np
import pytest
import torch
from boundary_oracle import degenerate, map_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from segablate.kernels import confusion
from segablate.kernels.confusion import count_confusion, count_confusion_of_batch, count_confusion_plainly


@settings(max_examples=100, deadline=None)
@given(map_pairs(), st.sampled_from([1, 7, 16, 27, 2**24 - 1]))
def test_fast_form_equals_the_plain_form(pair, part):
    np.testing.assert_array_equal(count_confusion(*pair, part), count_confusion_plainly(*pair))


@degenerate
def test_fast_form_equals_the_plain_form_on_degenerate_maps(labels, predicted, classes):
    found = count_confusion(labels, predicted, classes)
    np.testing.assert_array_equal(found, count_confusion_plainly(labels, predicted, classes))


@pytest.mark.parametrize("run", [1, 5, 8, 37])
@pytest.mark.parametrize("shift", [0, 3])
def test_runs_of_equal_pixels_are_counted_one_by_one(run, shift):
    values = np.random.default_rng(run).integers(0, 9, 200).astype(np.uint8)
    labels, predicted = values.repeat(run), np.roll(values.repeat(run), shift)
    found = count_confusion(labels[1:], predicted[1:], 9)
    np.testing.assert_array_equal(found, count_confusion_plainly(labels[1:], predicted[1:], 9))


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_change_nothing(threads):
    labels, predicted = np.random.default_rng(0).integers(0, 30, (2, 300, 500), dtype=np.uint8)
    labels[labels > 20] = 255
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(threads)
        found = count_confusion(labels, predicted, 21)
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(found, count_confusion_plainly(labels, predicted, 21))


def test_counts_beyond_what_a_float32_holds_are_exact():
    labels = np.zeros((4097, 4097), np.uint8)
    labels[0, :3] = 1
    assert count_confusion(labels, np.zeros_like(labels), 2).tolist() == [[4097**2 - 3, 0, 0], [3, 0, 0], [0, 0, 0]]


def test_single_pixels_beyond_what_a_float32_holds_are_counted_exactly():
    words = 2_400_001
    labels = np.zeros(8 * words, np.uint8)
    labels[::8] = 1  # no word of eight equal pixels
    assert count_confusion(labels, np.zeros_like(labels), 2).tolist() == [[7 * words, 0, 0], [words, 0, 0], [0, 0, 0]]


def test_maps_that_are_views_are_counted_as_their_copies():
    labels, predicted = np.random.default_rng(1).integers(0, 5, (2, 40, 60), dtype=np.uint8)
    found = count_confusion(labels[::2, ::-3], predicted.T[::-3, ::2].T, 5)
    np.testing.assert_array_equal(found, count_confusion_plainly(labels[::2, ::-3], predicted.T[::-3, ::2].T, 5))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("count", [confusion._by_codes, count_confusion_of_batch])
def test_batches_are_counted_image_by_image(count, device):
    labels, predicted = np.random.default_rng(2).integers(0, 256, (2, 3, 20, 30), dtype=np.uint8)
    labels[labels > 6] = 255
    found = count(torch.from_numpy(labels).to(device), torch.from_numpy(predicted).to(device), 7).cpu().numpy()
    assert found.dtype == np.int64
    for table, *pair in zip(found, labels, predicted, strict=True):
        np.testing.assert_array_equal(table, count_confusion_plainly(*pair, 7))
