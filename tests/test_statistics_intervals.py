"""Intervals and p against scipy, closed forms and degenerate sets."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr, ndtri, stdtrit

from segablate.metrics.confusion import ClassCounts
from segablate.statistics.bootstrap import Distribution, by_cluster, by_image, resample
from segablate.statistics.intervals import (
    FEWEST,
    acceleration,
    bca_interval,
    bias_correction,
    degrees_of_freedom,
    estimate,
    p_value,
    percentile_interval,
)
from segablate.statistics.paired import compare, detectable, images_needed, signed_rank, subtract
from segablate.statistics.scores import means, region_scores


def skewed(images: int = 40) -> np.ndarray:
    return np.random.default_rng(1).exponential(1.0, images)


def mean_of(values: np.ndarray, replicates: int = 10_000, seed: int = 0) -> Distribution:
    return resample([means(values)], by_image(len(values), replicates, seed))[0]["mean"]


def influence(values: np.ndarray) -> np.ndarray:
    """Closed form for the mean of n values: (x - mean) / (n - 1)."""
    return (values - values.mean()) / (len(values) - 1)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_intervals_before_the_expansion_are_those_of_scipy(method):
    values = skewed()
    theirs = stats.bootstrap(
        (values,), np.mean, method=method, n_resamples=60_000, rng=np.random.default_rng(5), vectorized=True
    ).confidence_interval
    ours = mean_of(values, 60_000)
    ordered, z = np.sort(ours.replicates)[None], np.float64(ndtri(0.975))
    bias, bend = bias_correction(ours), acceleration(influence(values))
    interval = percentile_interval(ordered, z) if method == "percentile" else bca_interval(ordered, z, bias, bend)
    np.testing.assert_allclose([interval.low, interval.high], theirs, atol=0.03)


def test_bca_is_that_of_scipy_on_the_same_replicates():
    values = skewed(25)
    ours = mean_of(values, 3000)
    held = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=0, bootstrap_result=_Held(ours.replicates))
    interval = bca_interval(
        np.sort(ours.replicates)[None], np.float64(ndtri(0.975)), bias_correction(ours), acceleration(influence(values))
    )
    np.testing.assert_allclose([interval.low, interval.high], held.confidence_interval, rtol=1e-9)


class _Held:
    """What scipy wants of an earlier result."""

    def __init__(self, replicates: np.ndarray) -> None:
        self.bootstrap_distribution = replicates


def test_standard_error_and_freedom_of_a_mean_are_the_textbook_ones():
    values = skewed()
    found = estimate(mean_of(values, 100))
    np.testing.assert_allclose(found.standard_error, stats.sem(values))
    np.testing.assert_allclose(found.freedom, 3 * 40 / stats.kurtosis(values, fisher=False))


def test_freedom_counts_the_images_that_matter():
    u = np.random.default_rng(0).normal(size=(100_000, 1))
    u[1000:] = 0
    np.testing.assert_allclose(degrees_of_freedom(u), 1000, rtol=0.1)
    assert degrees_of_freedom(np.zeros((7, 1)))[0] == 7


def test_percentile_interval_is_expanded_to_student():
    distribution = mean_of(skewed(), 5000)
    found = estimate(distribution)
    share = ndtr(stdtrit(found.freedom, 0.975))
    assert share > 0.975
    expected = np.quantile(distribution.replicates, [1 - share, share])
    np.testing.assert_allclose([found.percentile.low, found.percentile.high], expected)


def test_a_higher_level_is_a_wider_interval():
    narrow, wide = (estimate(mean_of(skewed()), level) for level in (0.8, 0.99))
    for kind in ("percentile", "bca"):
        assert (
            getattr(wide, kind).low < getattr(narrow, kind).low < getattr(narrow, kind).high < getattr(wide, kind).high
        )


def test_p_is_below_5_percent_just_where_the_interval_excludes_0():
    generator = np.random.default_rng(0)
    values = generator.normal(0.3, 1.0, (40, 300))
    distribution = mean_of(values, 4000)
    found = estimate(distribution)
    p, studentised = p_value(distribution, found)
    excludes = (found.percentile.low > 0) | (found.percentile.high < 0)
    # between neighbouring replicates the interval is interpolated and p is not
    decided = ~studentised & (np.abs(p - 0.05) > 0.002)
    assert decided.sum() > 200
    assert np.array_equal(excludes[decided], p[decided] < 0.05)
    t = stats.ttest_1samp(values, 0).pvalue
    assert np.corrcoef(np.log(p), np.log(t))[0, 1] > 0.99


def test_p_beyond_the_replicates_is_studentised_and_never_0():
    values = np.random.default_rng(0).normal(1.0, 0.1, (500, 2))
    values[:, 1] = np.random.default_rng(1).normal(0.0, 0.1, 500)
    distribution = mean_of(values, 1000)
    p, studentised = p_value(distribution, estimate(distribution))
    assert list(studentised) == [True, False]
    assert 0 < p[0] < 1e-50
    assert p[1] > 0.01


def counts(images: int, seed: int, hits: float) -> ClassCounts:
    generator = np.random.default_rng(seed)
    labelled = generator.integers(1, 1000, (images, 3))
    found = (labelled * generator.beta(hits, 2, (images, 3))).astype(np.int64)
    return ClassCounts(found, labelled, found + generator.integers(0, 50, (images, 3)))


def test_equal_systems_differ_by_nothing_with_p_1():
    both = [region_scores(counts(30, 0, 4))] * 2
    a, b = resample(both, by_image(30, 500))
    for name in a:
        difference = compare(a[name], b[name])
        assert np.all(difference.p == 1)
        assert np.all(difference.change.percentile.low == 0)
        assert np.all(difference.change.bca.high == 0)
        assert np.all(difference.change.standard_error == 0)
        assert np.all(detectable(difference.change) == 0)


def test_a_difference_that_is_the_same_in_every_image_is_as_sure_as_the_replicates_can_say():
    a, b = (mean_of(np.full(20, x), 999) for x in (0.25, 0.75))
    difference = compare(a, b)
    assert difference.change.value == 0.5
    assert not difference.studentised
    assert 0 < difference.p < 0.01


def test_pairing_makes_the_interval_narrower_than_either_score():
    labelled = np.random.default_rng(0).integers(500, 1000, (200, 1))
    share = np.random.default_rng(1).beta(2, 2, (200, 1))
    first, second = ((labelled * np.clip(share + d, 0, 1)).astype(np.int64) for d in (0.0, 0.02))
    a, b = resample([region_scores(ClassCounts(h, labelled, h)) for h in (first, second)], by_image(200, 1000))
    difference = compare(a["miou"], b["miou"])
    assert difference.change.standard_error < estimate(a["miou"]).standard_error / 3
    assert difference.p < 1e-3
    assert (difference.a, difference.b) == (a["miou"].value, b["miou"].value)
    np.testing.assert_allclose(difference.change.value, difference.b - difference.a)


@pytest.mark.parametrize("images", [1, 2, FEWEST - 1])
def test_too_few_images_say_nothing(images):
    a, b = resample([region_scores(counts(images, s, 4)) for s in (0, 1)], by_image(images, 200))
    difference = compare(a["miou"], b["miou"])
    assert difference.change.value == b["miou"].value - a["miou"].value
    assert difference.change.support == images
    assert np.isnan([difference.p, difference.change.standard_error, difference.change.percentile.low]).all()
    assert np.isnan([difference.change.bca.high, detectable(difference.change)]).all()


def test_a_class_in_too_few_images_is_nan_beside_classes_that_are_not():
    sets = [counts(40, s, 4) for s in (0, 1)]
    for x in (y for s in sets for y in (s.hits, s.labelled, s.predicted)):
        x[:, 1] = 0
        x[4:, 2] = 0
    a, b = resample([region_scores(s) for s in sets], by_image(40, 300))
    difference = compare(a["iou"], b["iou"])
    assert list(difference.change.support) == [40, 0, 4]
    assert list(np.isnan(difference.p)) == [False, True, True]
    assert list(np.isnan(difference.change.value)) == [False, True, False]
    assert np.isfinite(compare(a["miou"], b["miou"]).p)


def test_one_cluster_says_nothing():
    found = estimate(resample([means(skewed())], by_cluster(["drive"] * 40, 50))[0]["mean"])
    assert found.support == 1
    assert np.isnan(found.percentile.low)


def test_the_detectable_difference_is_found_in_80_of_100_sets():
    generator = np.random.default_rng(3)
    seen = detectable(estimate(mean_of(generator.normal(0, 1, 400), 200)))
    np.testing.assert_allclose(seen, 2.8 / 20, rtol=0.1)
    sets = generator.normal(2.8 / 20, 1.0, (400, 2000))
    assert 0.77 < np.mean(stats.ttest_1samp(sets, 0).pvalue < 0.05) < 0.83


def test_four_times_the_images_settle_half_the_difference():
    values = np.random.default_rng(0).normal(0, 1, 100)
    values += 0.2 - values.mean()
    found = estimate(mean_of(values, 100))
    half = estimate(mean_of(values - 0.1, 100))
    np.testing.assert_allclose(images_needed(half, 100) / images_needed(found, 100), 4, rtol=0.01)
    np.testing.assert_allclose(images_needed(found, 100), 100 * (detectable(found) / 0.2) ** 2, rtol=0.01)


def test_no_number_of_images_settles_a_difference_of_0():
    found = estimate(mean_of(np.array([-1.0, 1.0] * 10), 100))
    assert np.isinf(images_needed(found, 20))


def test_subtract_counts_images_where_both_are_defined():
    a, b = resample([means(np.array([1.0, np.nan, 3.0])), means(np.array([1.0, 2.0, 4.0]))], by_image(3, 10))
    assert subtract(a["mean"], b["mean"]).support == 2


def test_signed_rank_is_scipys_without_undefined_and_unchanged_images():
    generator = np.random.default_rng(0)
    a, b = generator.normal(0, 1, 80), generator.normal(0.3, 1, 80)
    b[:5], a[5:9] = a[:5], np.nan
    found = signed_rank(a, b)
    assert (found.images, found.ties) == (76, 5)
    np.testing.assert_allclose(found.p, stats.wilcoxon(a[9:], b[9:]).pvalue)
    assert signed_rank(a[:5], a[:5]).p == 1
    assert np.isnan(signed_rank(a[5:9], b[5:9]).p)
