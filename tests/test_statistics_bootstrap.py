"""The draws, the scores under them, and what is sums must be exact."""

import numpy as np
import pytest

from segablate.metrics.boundary import BoundarySums
from segablate.metrics.confusion import ClassCounts
from segablate.statistics import bootstrap, scores
from segablate.statistics.bootstrap import by_cluster, by_image, replicate_weights, resample
from segablate.statistics.bounds import UNBOUNDED
from segablate.statistics.scores import (
    band_scores,
    boundary_iou_scores,
    boundary_scores,
    means,
    of_set,
    of_sums,
    region_scores,
)


def regions(images: int, classes: int, seed: int) -> ClassCounts:
    generator = np.random.default_rng(seed)
    labelled = generator.integers(0, 100_000, (images, classes)) * (generator.random((images, classes)) < 0.5)
    hits = (labelled * generator.random((images, classes))).astype(np.int64)
    return ClassCounts(hits, labelled, hits + generator.integers(0, 9_000, (images, classes)))


def slow_region_scores(counts: ClassCounts, images: np.ndarray) -> dict[str, np.ndarray]:
    """One replicate in plain Python: the images one by one, with repetition."""
    iou, recall = [], []
    for c in range(counts.hits.shape[1]):
        h, n, p = (sum(int(x[i, c]) for i in images) for x in (counts.hits, counts.labelled, counts.predicted))
        iou.append(h / (n + p - h) if n + p - h else np.nan)
        recall.append(h / n if n else np.nan)
    pixels = sum(int(counts.labelled[i].sum()) for i in images)
    return {
        "iou": np.array(iou),
        "recall": np.array(recall),
        "miou": np.mean([x for x in iou if x == x]),
        "mean_recall": np.mean([x for x in recall if x == x]),
        "pixel_accuracy": sum(int(counts.hits[i].sum()) for i in images) / pixels,
    }


def picks(weights: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(weights.size), weights.astype(int))


def test_replicates_are_the_scores_of_the_images_drawn():
    counts = regions(7, 4, 0)
    result = resample([region_scores(counts)], by_image(7, 25, 3))[0]
    for b, weights in enumerate(np.concatenate(list(replicate_weights(by_image(7, 25, 3))))):
        for name, score in slow_region_scores(counts, picks(weights)).items():
            np.testing.assert_allclose(result[name].replicates[b], score, rtol=1e-14)


def test_value_and_jackknife_are_the_scores_with_all_images_and_without_one():
    counts = regions(6, 3, 1)
    result = resample([region_scores(counts)], by_image(6, 2))[0]
    for name, score in slow_region_scores(counts, np.arange(6)).items():
        np.testing.assert_allclose(result[name].value, score, rtol=1e-14)
    for i in range(6):
        for name, score in slow_region_scores(counts, np.delete(np.arange(6), i)).items():
            np.testing.assert_allclose(result[name].jackknife[i], score, rtol=1e-14)


def test_boundary_iou_is_that_of_the_bands_of_the_images_drawn():
    generator = np.random.default_rng(4)
    both = generator.integers(0, 50, (6, 3))
    labelled, predicted = both + generator.integers(0, 50, (2, 6, 3))
    both[:, 1] = labelled[:, 1] = predicted[:, 1] = 0
    weights = generator.integers(0, 3, (5, 6)).astype(float)
    found = boundary_iou_scores(np.stack([both, labelled, predicted], axis=1))(weights)
    for b, row in enumerate(weights):
        h, n, p = (sum(values[i] for i in picks(row)) for values in (both, labelled, predicted))
        expected = [h[c] / (n[c] + p[c] - h[c]) if n[c] else np.nan for c in range(3)]
        np.testing.assert_allclose(found["boundary_iou"][b], expected, rtol=1e-14)
        np.testing.assert_allclose(found["mean_boundary_iou"][b], np.mean([expected[0], expected[2]]), rtol=1e-14)


def test_accuracy_of_bands_is_that_of_the_images_drawn():
    generator = np.random.default_rng(5)
    pixels = generator.integers(1, 90, (6, 3))
    right = (pixels * generator.random((6, 3))).astype(int)
    weights = generator.integers(0, 3, (5, 6)).astype(float)
    found = band_scores(np.stack([pixels, right], axis=-1))(weights)["band_accuracy"]
    for b, row in enumerate(weights):
        drawn = picks(row)
        np.testing.assert_allclose(found[b], right[drawn].sum(axis=0) / pixels[drawn].sum(axis=0), rtol=1e-14)


def test_draws_are_whole_and_multinomial():
    weights = np.concatenate(list(replicate_weights(by_image(40, 5000, 0))))
    assert weights.shape == (5000, 40)
    assert np.all(weights.sum(axis=1) == 40)
    np.testing.assert_allclose(weights.mean(), 1.0)
    np.testing.assert_allclose(weights.var(), 39 / 40, rtol=0.02)


def test_same_seed_same_draws_and_another_seed_others():
    one, again, other = (np.concatenate(list(replicate_weights(by_image(9, 50, s)))) for s in (4, 4, 5))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("cells", [1, 100, 777])
def test_chunks_change_nothing(cells, monkeypatch):
    counts = regions(11, 5, 2)
    whole = resample([region_scores(counts)], by_image(11, 200, 1))[0]
    monkeypatch.setattr(bootstrap, "CELLS", cells)
    pieces = resample([region_scores(counts)], by_image(11, 200, 1))[0]
    for name in whole:
        assert np.array_equal(whole[name].replicates, pieces[name].replicates, equal_nan=True)
        assert np.array_equal(whole[name].jackknife, pieces[name].jackknife, equal_nan=True)
        assert np.array_equal(whole[name].support, pieces[name].support)


@pytest.mark.parametrize("largest", [1, 255, 256, 2**16, 2**32, 2**40])
def test_sums_of_whole_numbers_are_exact_in_any_type(largest, monkeypatch):
    monkeypatch.setattr(scores, "_CELLS", 20)
    generator = np.random.default_rng(6)
    counts = generator.integers(0, largest, (11, 4), endpoint=True)
    counts[3] = largest, -largest, 0, largest
    weights = generator.integers(0, 5, (6, 11)).astype(float)
    expected = [
        [sum(int(w) * int(x) for w, x in zip(row, column, strict=True)) for column in counts.T] for row in weights
    ]
    columns, bounds = [counts[:, :1], counts[:, 1:]], {"sums": UNBOUNDED}
    (found,) = of_sums(columns, lambda *sums: {"sums": np.hstack(sums)}, bounds)(weights).values()
    assert found.tolist() == expected


@pytest.mark.parametrize("pixels", [None, [3, 1, 4, 100_000], [0.5, 0.25, 1.5, 2.0]])
def test_means_are_weighted_by_pixels(pixels):
    values = np.array([[0.1, np.nan], [0.7, 0.3], [np.inf, 0.9], [0.2, np.nan]])
    found = means(values, pixels)(np.array([[1.0, 2.0, 3.0, 1.0]]))["mean"][0]
    for column, score in zip(values.T, found, strict=True):
        kept = np.isfinite(column)
        expected = np.average(column[kept], weights=(np.array([1, 2, 3, 1]) * (1 if pixels is None else pixels))[kept])
        np.testing.assert_allclose(score, expected, rtol=1e-14)


def test_scores_of_the_set_are_those_beside_the_classes():
    whole = resample([region_scores(regions(9, 3, 0))], by_image(9, 60))[0]
    alone = resample([of_set(region_scores(regions(9, 3, 0)))], by_image(9, 60))[0]
    assert set(whole) - set(alone) == {"iou", "recall"}
    for name, found in alone.items():
        assert np.array_equal(found.replicates, whole[name].replicates)
        assert found.support == whole[name].support


def test_chunks_hold_as_many_cells_as_stated(monkeypatch):
    monkeypatch.setattr(bootstrap, "CELLS", 100)
    assert [weights.shape for weights in replicate_weights(by_image(40, 5))] == [(2, 40), (2, 40), (1, 40)]
    assert [weights.shape for weights in replicate_weights(by_image(101, 2))] == [(1, 101), (1, 101)]


def test_statistics_resampled_together_see_the_same_draws_as_alone():
    a, b = region_scores(regions(9, 3, 0)), region_scores(regions(9, 3, 1))
    together, alone = resample([a, b], by_image(9, 60))[1], resample([b], by_image(9, 60))[0]
    assert np.array_equal(together["miou"].replicates, alone["miou"].replicates)


def test_clusters_are_drawn_whole_and_equal_images_summed_beforehand():
    counts, drives = regions(10, 3, 5), np.array(list("bbaaaccbca"))
    clustered = resample([region_scores(counts)], by_cluster(drives, 80, 6))[0]
    summed = ClassCounts(
        *(np.stack([x[drives == d].sum(0) for d in "abc"]) for x in (counts.hits, counts.labelled, counts.predicted))
    )
    beforehand = resample([region_scores(summed)], by_image(3, 80, 6))[0]
    for name in clustered:
        assert np.array_equal(clustered[name].replicates, beforehand[name].replicates, equal_nan=True)
        assert np.array_equal(clustered[name].jackknife, beforehand[name].jackknife, equal_nan=True)
        assert np.array_equal(clustered[name].support, beforehand[name].support)


def test_clusters_of_one_image_in_another_order_are_images():
    plan = by_cluster(np.array([2, 0, 1]), 40)
    assert not plan.single
    result = resample([means(np.array([5.0, 7.0, 9.0]))], plan)[0]["mean"]
    assert set(np.round(result.jackknife, 12)) == {8.0, 7.0, 6.0}


def test_sums_stay_exact_beyond_float32():
    huge = np.array([[2**40 + 1], [2**40 + 3]])
    counts = ClassCounts(huge, huge, huge)
    column = np.array([1.0, 2.0]) @ huge.astype(np.float64)
    assert column[0] == 3 * 2**40 + 7
    assert resample([region_scores(counts)], by_image(2, 5))[0]["iou"].value[0] == 1.0


def test_a_class_that_never_occurs_is_undefined_and_left_out_of_the_mean():
    counts = regions(8, 3, 0)
    for x in (counts.hits, counts.labelled, counts.predicted):
        x[:, 1] = 0
    result = resample([region_scores(counts)], by_image(8, 30))[0]
    assert np.isnan(result["iou"].value[1])
    assert np.isnan(result["iou"].replicates[:, 1]).all()
    assert result["iou"].support[1] == 0
    np.testing.assert_allclose(result["miou"].value, result["iou"].value[[0, 2]].mean())


def test_a_class_in_one_image_is_undefined_where_that_is_not_drawn():
    counts = regions(8, 2, 0)
    for x in (counts.hits, counts.labelled, counts.predicted):
        x[:, 1] = [0, 0, 5, 0, 0, 0, 0, 0]
    result = resample([region_scores(counts)], by_image(8, 400))[0]["iou"]
    weights = np.concatenate(list(replicate_weights(by_image(8, 400))))
    assert np.array_equal(np.isnan(result.replicates[:, 1]), weights[:, 2] == 0)
    assert np.isnan(result.jackknife[2, 1])
    assert result.support[1] == 1


def test_boundary_f_is_the_harmonic_mean_of_pooled_shares():
    counts = BoundarySums(
        *(np.array(x) for x in ([[3, 0], [1, 0]], [[6, 0], [4, 2]], [[2, 0], [2, 0]], [[5, 0], [3, 0]]))
    )
    score = boundary_scores(counts)(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 2.0]]))
    p, r = 4 / 10, 4 / 8
    np.testing.assert_allclose(score["boundary_f"][0, 0], 2 * p * r / (p + r))
    np.testing.assert_allclose(score["boundary_f"][2, 0], 2 * (1 / 4) * (2 / 3) / (1 / 4 + 2 / 3))
    assert score["boundary_f"][0, 1] == 0  # a predicted boundary where none is labelled
    assert np.isnan(score["boundary_f"][1, 1])  # no boundary in either
    np.testing.assert_allclose(score["mean_boundary_f"][:2], [score["boundary_f"][0].mean(), score["boundary_f"][1, 0]])


def test_boundary_f_without_any_match_is_0():
    counts = BoundarySums(*(np.array([[x]]) for x in (0, 4, 0, 3)))
    assert boundary_scores(counts)(np.ones((1, 1)))["boundary_f"][0, 0] == 0


def test_means_leave_undefined_images_out_and_take_pixels_as_weights():
    values = np.array([[1.0, np.nan], [2.0, 5.0], [4.0, np.nan]])
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
    np.testing.assert_allclose(means(values)(weights)["mean"], [[7 / 3, 5.0], [2.0, np.nan]])
    pixels = np.array([10, 20, 30])
    np.testing.assert_allclose(means(values[:, 0], pixels)(weights)["mean"], [170 / 60, 140 / 50])
    np.testing.assert_allclose(means(values, pixels)(weights)["mean"][:, 0], [170 / 60, 140 / 50])
