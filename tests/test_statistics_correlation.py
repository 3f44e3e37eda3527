"""Spearman under weights against scipy on repeated images."""

import numpy as np
import pytest
from scipy.stats import norm, spearmanr, t

from segablate.statistics.bootstrap import by_cluster, by_image, replicate_weights
from segablate.statistics.correlation import rank_correlation, spearman
from segablate.statistics.intervals import estimate, estimate_quantiles


def sample(images: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Settings that follow the target, go against it in steps, and have gaps."""
    generator = np.random.default_rng(0)
    target = generator.normal(size=images)
    settings = np.stack([target + generator.normal(size=images), -np.round(2 * target), target**3], axis=1)
    settings[2:4, 2] = np.nan
    return settings, target


def test_replicates_are_scipys_rho_of_the_images_drawn():
    settings, target = sample()
    plan = by_image(12, 40, 1)
    found = rank_correlation(settings, target, plan)
    for b, weights in enumerate(np.concatenate(list(replicate_weights(plan)))):
        images = np.repeat(np.arange(12), weights.astype(int))
        for q in range(3):
            kept = images[~np.isnan(settings[images, q])]
            np.testing.assert_allclose(
                found.replicates[b, q], spearmanr(settings[kept, q], target[kept])[0], atol=1e-12
            )


def test_value_and_pairs():
    settings, target = sample()
    found = rank_correlation(settings, target, by_image(12, 10))
    np.testing.assert_allclose(found.value, [spearmanr(settings[:, q], target, nan_policy="omit")[0] for q in range(3)])
    assert found.value[2] == pytest.approx(1.0, abs=1e-15)
    assert list(found.support) == [12, 12, 10]


def test_jackknife_leaves_one_image_out():
    settings, target = sample()
    found = rank_correlation(settings, target, by_image(12, 10))
    for i in range(12):
        rest = np.arange(12) != i
        np.testing.assert_allclose(found.jackknife[i, 0], spearmanr(settings[rest, 0], target[rest])[0])


def test_constant_and_undefined_settings_have_no_rho():
    settings = np.stack([np.full(8, 0.1), np.full(8, np.nan), np.arange(8.0)], axis=1)
    found = estimate(rank_correlation(settings, np.arange(8.0), by_image(8, 50)))
    assert np.array_equal(np.isnan(found.value), [True, True, False])
    assert np.array_equal(np.isnan(found.percentile.low), [True, True, False])
    assert list(found.support) == [8, 0, 8]


def test_undefined_target_drops_the_image():
    target = np.array([1.0, np.nan, 2.0, 3.0])
    rho = spearman(np.array([[1.0], [9.0], [3.0], [2.0]]), target)(np.ones((1, 4)))["rho"]
    np.testing.assert_allclose(rho, [[0.5]])


@pytest.mark.parametrize("images", [5, 6, 10, 29])
def test_intervals_of_few_images_are_quantiles_of_replicates_and_stay_within_one(images: int) -> None:
    generator = np.random.default_rng(images)
    target = generator.normal(size=images)
    settings = target[:, None] + generator.normal(0, (0.05, 0.3, 1, 3), (images, 4))
    found = rank_correlation(settings, target, by_image(images, 500))
    uncertain = estimate_quantiles(found)
    for interval in (uncertain.percentile, uncertain.bca):
        assert np.all((interval.low >= -1) & (interval.low <= interval.high) & (interval.high <= 1))
    for q in range(4):
        tail = norm.sf(t.ppf(0.975, uncertain.freedom[q]))
        plain = np.nanquantile(found.replicates[:, q], [tail, 1 - tail])
        np.testing.assert_allclose((uncertain.percentile.low[q], uncertain.percentile.high[q]), plain)
    student = uncertain.value + t.ppf(0.975, uncertain.freedom) * uncertain.standard_error
    assert np.any(student > 1), "Student's interval would leave the range"
    assert np.all(estimate(found).percentile.high <= 1)


def test_many_images_have_the_intervals_of_other_scores() -> None:
    settings, target = sample(40)
    found = rank_correlation(settings, target, by_image(40, 200))
    np.testing.assert_equal(vars(estimate_quantiles(found).percentile), vars(estimate(found).percentile))


def test_interval_covers_and_clusters_count():
    generator = np.random.default_rng(2)
    target = generator.normal(size=300)
    settings = (target + generator.normal(size=300))[:, None]
    found = estimate(rank_correlation(settings, target, by_image(300, 2000)))
    # population value for correlation 1 / sqrt 2 of normal variables: 6 / pi asin(rho / 2)
    assert found.percentile.low[0] < 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2) < found.percentile.high[0]
    np.testing.assert_allclose(found.standard_error, (1 - 0.69**2) * 1.06 / np.sqrt(300), rtol=0.25)
    clusters = np.arange(300) // 10
    assert rank_correlation(settings, target, by_cluster(clusters, 20)).support[0] == 30
