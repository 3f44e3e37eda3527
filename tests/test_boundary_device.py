"""Counts at boundaries in tensor operations: equal to the plain forms, wherever the tensors are."""

import numpy as np
import pytest
import torch
from boundary_oracle import VOID, degenerate, map_pairs, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from segablate.kernels import bands_reference, boundary_dense, boundary_device, boundary_reference
from segablate.kernels.bands import count_boundary_bands_on_device
from segablate.kernels.boundary_device import boundary_distances_on_device
from segablate.metrics.bands import band_map, band_maps_on_device, nested_bands
from segablate.metrics.boundary import count_boundaries, count_boundaries_on_device
from segablate.metrics.boundary_iou import count_boundary_iou, count_boundary_iou_on_device
from segablate.metrics.tolerance import Tolerance

DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
REACHES = (0, 1, 2, 5, 9, 25, 50, 10**6)
FORMS = (boundary_distances_on_device, boundary_device.search)


def tensors(labels, predicted, device="cpu"):
    return [torch.tensor(values, device=device) for values in (labels, predicted)]


def assert_as_plain(labels, predicted, classes, reach, device="cpu", count=boundary_distances_on_device):
    found = count(*tensors(labels, predicted, device), classes, reach)
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
@given(map_pairs(), st.sampled_from(REACHES), st.sampled_from(FORMS))
def test_distances_equal_the_plain_form(pair, reach, form):
    assert_as_plain(*pair, reach, count=form)


@degenerate
@pytest.mark.parametrize("reach", [0, 6, 25, 26, 10**6])
@pytest.mark.parametrize("form", FORMS)
def test_distances_equal_the_plain_form_on_degenerate_maps(labels, predicted, classes, reach, form):
    assert_as_plain(labels, predicted, classes, reach, count=form)


@DEVICES
@pytest.mark.parametrize("reach", [0, 25, 26, 324, 90_000])
@pytest.mark.parametrize("form", FORMS)
def test_distances_equal_the_plain_form_on_a_larger_scene(reach, device, form):
    assert_as_plain(*scene(), 7, reach, device, form)


@pytest.mark.parametrize("classes", [2, 254, 255])
def test_many_classes_of_which_most_are_absent(classes):
    labels, predicted = (noise((40, 60), classes, seed).astype(np.uint8) for seed in (3, 4))
    labels[:9], labels[20:22, 30:50] = classes - 1, VOID
    predicted[labels % 3 == 0] = labels[labels % 3 == 0]
    for reach in (0, 9, 25):
        assert_as_plain(labels, predicted, classes, reach)


def test_a_batch_is_counted_image_by_image():
    pairs = [scene(), scene()[::-1]]
    pairs[1][1][pairs[0][0] == VOID] = 0
    labels, predicted = (torch.tensor(np.stack(maps)) for maps in zip(*pairs, strict=True))
    tables = boundary_dense.boundary_tables(labels, predicted, 7, 9)
    for table, pair in zip(tables, pairs, strict=True):
        plain = boundary_reference.boundary_distances(*pair, 7, 9)
        for left, right in zip(boundary_dense.unpacked(table.numpy(), 9), plain, strict=True):
            np.testing.assert_array_equal(left, right)


@settings(max_examples=60, deadline=None)
@given(map_pairs())
def test_bands_by_distance_equal_those_of_the_host(pair):
    labels = pair[0]
    found = band_maps_on_device(torch.tensor(np.stack([labels, labels[::-1]])))
    for band, maps in zip(found, (labels, labels[::-1]), strict=True):
        np.testing.assert_array_equal(band, band_map(nested_bands(maps)))


@DEVICES
def test_bands_by_distance_on_a_larger_scene(device):
    labels = scene()[0]
    found = band_maps_on_device(torch.tensor(labels[None], device=device))[0].cpu()
    np.testing.assert_array_equal(found, band_map(nested_bands(labels)))


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
