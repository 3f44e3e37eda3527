"""Counts at boundaries in tensor operations: equal to the plain forms, wherever the tensors are."""

import numpy as np
import pytest
import torch
from boundary_oracle import VOID, degenerate, map_pairs, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from segablate.kernels import bands_reference, boundary_device, boundary_reference
from segablate.kernels.bands import count_boundary_bands_on_device
from segablate.kernels.boundary_device import boundary_distances_on_device
from segablate.metrics.boundary import count_boundaries, count_boundaries_on_device
from segablate.metrics.boundary_iou import count_boundary_iou, count_boundary_iou_on_device
from segablate.metrics.tolerance import Tolerance

DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
REACHES = (0, 1, 2, 5, 9, 50, 10**6)


def tensors(labels, predicted, device="cpu"):
    return [torch.tensor(values, device=device) for values in (labels, predicted)]


def assert_as_plain(labels, predicted, classes, reach, device="cpu"):
    found = boundary_distances_on_device(*tensors(labels, predicted, device), classes, reach)
    plain = boundary_reference.boundary_distances(labels, predicted, classes, reach)
    for name, left, right in zip(found._fields, found, plain, strict=True):
        assert left.dtype == right.dtype == np.int32, name
        np.testing.assert_array_equal(left, right, err_msg=name)


def scene():
    """Blocks of 7 classes, moved and spotted in the prediction, with a hole of void in the labels."""
    labels = np.kron(noise((9, 14), 7, 9), np.ones((23, 19), np.uint8))[:201, :263]
    predicted = np.roll(labels, (3, -5), axis=(0, 1))
    predicted[noise(labels.shape, 50, 5) == 0] = 6
    labels[40:90, 100:160] = VOID
    return labels, predicted


@settings(max_examples=150, deadline=None)
@given(map_pairs(), st.sampled_from(REACHES))
def test_distances_equal_the_plain_form(pair, reach):
    assert_as_plain(*pair, reach)


@degenerate
@pytest.mark.parametrize("reach", [0, 6, 10**6])
def test_distances_equal_the_plain_form_on_degenerate_maps(labels, predicted, classes, reach):
    assert_as_plain(labels, predicted, classes, reach)


@DEVICES
@pytest.mark.parametrize("reach", [0, 25, 324, 90_000])
def test_distances_equal_the_plain_form_on_a_larger_scene(reach, device):
    assert_as_plain(*scene(), 7, reach, device)


@pytest.mark.gpu
@degenerate
def test_distances_on_the_gpu_of_degenerate_maps(labels, predicted, classes):
    for reach in REACHES:
        assert_as_plain(labels, predicted, classes, reach, "cuda")


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_however_many_rows_are_looked_at_at_once(monkeypatch, rows):
    monkeypatch.setattr(boundary_device, "_ROWS", rows)
    assert_as_plain(*scene(), 7, 324)


@DEVICES
def test_distances_are_exact_integers_far_away(device):
    labels, predicted = np.zeros((2, 41, 4200), np.uint8)
    labels[0, 0], predicted[40, 4151] = 1, 1
    apart = 4151**2 + 40**2  # beyond 2^24, and no float32
    for reach, expected in ((apart, apart), (apart - 1, boundary_reference.BEYOND)):
        rows = boundary_distances_on_device(*tensors(labels, predicted, device), 2, reach)
        assert rows.squared[rows.class_index == 1].tolist() == [expected] * 2


@settings(max_examples=60, deadline=None)
@given(map_pairs(), st.integers(1, 6))
def test_bands_equal_the_plain_form(pair, width):
    labels, predicted, classes = pair
    found = count_boundary_bands_on_device(*tensors(labels, predicted), classes, width)
    np.testing.assert_array_equal(found, bands_reference.count_boundary_bands(labels, predicted, classes, width))


@degenerate
def test_bands_equal_the_plain_form_on_degenerate_maps(labels, predicted, classes):
    found = count_boundary_bands_on_device(*tensors(labels, predicted), classes, 3)
    np.testing.assert_array_equal(found, bands_reference.count_boundary_bands(labels, predicted, classes, 3))


@DEVICES
def test_what_an_evaluation_keeps_is_the_same(device):
    """Also from tensors made in inference mode, of which no view may be changed afterwards."""
    labels, predicted = scene()
    with torch.inference_mode():
        pair = tensors(labels, predicted, device)
    tolerances = [Tolerance(1), Tolerance(0.0075, True)]
    found = count_boundaries_on_device(*pair, 7, tolerances).to_arrays()
    for name, expected in count_boundaries(labels, predicted, 7, tolerances).to_arrays().items():
        assert found[name].dtype == expected.dtype, name
        np.testing.assert_array_equal(found[name], expected, err_msg=name)
    bands = count_boundary_iou_on_device(*pair, 7, Tolerance(0.02, True))
    assert bands.dtype == np.int64
    np.testing.assert_array_equal(bands, count_boundary_iou(labels, predicted, 7, Tolerance(0.02, True)))
