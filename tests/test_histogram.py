"""Counts of bytes: those of numpy, integer for integer."""

import cv2
import numpy as np
import pytest

from segablate.kernels.histogram import count_bytes


@pytest.mark.parametrize("part", [1, 7, 2**24 - 1])
@pytest.mark.parametrize("threads", [1, 4])
def test_counts_are_those_of_numpy(part: int, threads: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (30, 50), dtype=np.uint8)
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(threads)
        found = count_bytes(values[::2, ::-3], part)
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(found, np.bincount(values[::2, ::-3].ravel(), minlength=256))
    assert found.dtype == np.int64


def test_counts_beyond_what_a_float32_holds_are_exact() -> None:
    values = np.zeros((4097, 4097), np.uint8)
    values[0, :2] = 255
    found = count_bytes(values)
    assert (found[0], found[255], found.sum()) == (4097**2 - 2, 2, 4097**2)


def test_nothing_is_counted_of_an_empty_array_and_of_one_that_cannot_be_written() -> None:
    assert not count_bytes(np.zeros((0, 5), np.uint8)).any()
    assert count_bytes(np.frombuffer(b"\1\1\5", np.uint8))[[0, 1, 5]].tolist() == [0, 2, 1]
