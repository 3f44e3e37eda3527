"""Boundary precision, recall and F per image, pooled and averaged; counts that merge, are saved and read back."""

from math import nan

import numpy as np
import pytest
from boundary_oracle import noise, slow_f, slow_sums, sums_of

from segablate.errors import KnobError, RunError
from segablate.metrics.boundary import (
    BoundaryCounts,
    boundary_f,
    boundary_precision,
    boundary_recall,
    boundary_sums,
    count_boundaries,
    mean_over_images,
    merge,
)
from segablate.metrics.tolerance import Tolerance


def test_scores_of_present_missed_invented_and_absent_classes():
    labels, predicted = np.zeros((2, 20, 20), np.uint8)
    labels[4:10, 4:10], predicted[4:10, 4:10] = 1, 1
    labels[14:17, 2:5] = 2
    predicted[14:17, 12:15] = 3
    sums = sums_of(labels, predicted, 5, Tolerance(1)).total()
    np.testing.assert_allclose(boundary_f(sums)[1:], [1, 0, 0, nan])
    np.testing.assert_allclose(boundary_precision(sums)[1:], [1, nan, 0, nan])
    np.testing.assert_allclose(boundary_recall(sums)[1:], [1, 0, nan, nan])
    np.testing.assert_allclose(boundary_f(sums)[0], slow_f(*slow_sums(labels, predicted, 5, 1)[:, 0]))


def test_pooled_and_per_image_scores_differ_and_both_equal_brute_force():
    pairs = [(noise((9, 11), 3, i), noise((9, 11), 3 if i else 1, 10 + i)) for i in range(4)]
    counts = merge([count_boundaries(*pair, 4, [Tolerance(1)]) for pair in pairs])
    slow = np.array([slow_sums(*pair, 4, 1) for pair in pairs])
    sums = boundary_sums(counts, Tolerance(1))
    per_image = [[slow_f(*slow[i, :, c]) for c in range(4)] for i in range(4)]
    np.testing.assert_allclose(boundary_f(sums), per_image)
    np.testing.assert_allclose(boundary_f(sums.total()), [slow_f(*column) for column in slow.sum(axis=0).T])
    means = mean_over_images(boundary_f(sums))
    np.testing.assert_allclose(means[:3], np.mean(per_image, axis=0)[:3])
    assert np.isnan(means[3])
    assert abs(means[1] - boundary_f(sums.total())[1]) > 1e-3


def test_mean_over_images_leaves_out_undefined_images():
    np.testing.assert_allclose(mean_over_images(np.array([[0.5, nan, nan], [1.0, 0.25, nan]])), [0.75, 0.25, nan])


# Counts of many images ------------------------------------------------------------------------------------------------


def parts():
    tolerances = [Tolerance(2), Tolerance(0.1, of_diagonal=True)]
    shapes = [(8, 9), (30, 40), (1, 1), (12, 5)]
    pairs = [(noise(shape, 3, i), noise(shape, 3, 20 + i)) for i, shape in enumerate(shapes)]
    return [count_boundaries(*pair, 3, tolerances) for pair in pairs]


def assert_same_counts(one: BoundaryCounts, other: BoundaryCounts):
    for name, array in one.to_arrays().items():
        np.testing.assert_array_equal(array, other.to_arrays()[name], err_msg=name)
        assert array.dtype == other.to_arrays()[name].dtype


def test_merging_in_any_grouping_gives_the_same_counts():
    a, b, c, d = parts()
    whole = merge([a, b, c, d])
    assert_same_counts(whole, merge([merge([a, b]), merge([c, d])]))
    assert_same_counts(whole, merge([a, merge([b, c, d])]))
    assert whole.sizes.tolist() == [[8, 9], [30, 40], [1, 1], [12, 5]]
    assert whole.reach.tolist() == [4, 25, 4, 4]


def test_merged_sums_are_the_sums_of_each_image():
    images = parts()
    for tolerance in (Tolerance(1), Tolerance(0.1, of_diagonal=True)):
        separate = np.concatenate([np.stack(boundary_sums(image, tolerance)) for image in images], axis=1)
        merged = np.stack(boundary_sums(merge(images), tolerance))
        assert merged.dtype == np.int64
        np.testing.assert_array_equal(merged, separate)


def test_a_share_of_the_diagonal_is_taken_of_each_image():
    counts = merge(parts())
    shares, pixels = boundary_sums(counts, Tolerance(0.02, of_diagonal=True)), boundary_sums(counts, Tolerance(1))
    same = [np.array_equal(np.stack(shares)[:, i], np.stack(pixels)[:, i]) for i in range(4)]
    assert same == [False, True, True, False]  # 0.24, 1.0, 0.03 and 0.26 px; the third has no boundary


def test_counts_survive_a_file(tmp_path):
    counts = merge(parts())
    np.savez_compressed(tmp_path / "boundary.npz", **counts.to_arrays())
    with np.load(tmp_path / "boundary.npz", allow_pickle=False) as file:
        assert_same_counts(BoundaryCounts.from_arrays(file), counts)


def test_images_without_boundary_are_kept():
    counts = merge([count_boundaries(*np.zeros((2, 3, 3), np.uint8), 2, [Tolerance(1)])] * 3)
    assert np.stack(boundary_sums(counts, Tolerance(1))).shape == (4, 3, 2)
    assert np.isnan(boundary_f(boundary_sums(counts, Tolerance(1)))).all()


def test_damaged_arrays_are_refused():
    arrays = merge(parts()).to_arrays()
    with pytest.raises(RunError, match="boundary counts lack reach, pixels; evaluate again"):
        BoundaryCounts.from_arrays({k: v for k, v in arrays.items() if k not in ("reach", "pixels")})
    for name, value in {
        "pixels": arrays["pixels"][:-1],
        "image": arrays["image"] + 1,
        "class_index": arrays["class_index"] + 1,
        "sizes": arrays["sizes"][:-1],
    }.items():
        with pytest.raises(RunError, match="boundary counts are damaged"):
            BoundaryCounts.from_arrays({**arrays, name: value})


def test_a_tolerance_that_was_not_counted_is_refused():
    counts = merge(parts())
    with pytest.raises(KnobError, match=r"tolerance 3 \(3 px at 8x9\) is beyond the 2 px .* with --tolerance 3$"):
        boundary_sums(counts, Tolerance(3))
    with pytest.raises(KnobError, match=r"tolerance 0.11d \(5.5 px at 30x40\) is beyond the 5 px"):
        boundary_sums(counts, Tolerance(0.11, of_diagonal=True))
