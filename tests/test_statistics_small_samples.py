"""Small samples: classes in few images, and few groups of images. Intervals cover, or there are none."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from segablate.statistics.bootstrap import by_cluster, by_image, clusters_with, resample
from segablate.statistics.intervals import (
    FEW,
    RESOLVED,
    acceleration,
    bca_interval,
    bias_correction,
    estimate,
    p_value,
    percentile_interval,
)
from segablate.statistics.scores import means


@pytest.fixture(scope="module")
def simulation():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
        import small_samples

        yield small_samples


@pytest.fixture(scope="module")
def rare(simulation):
    world = simulation.draw_rare_world(7)
    truth = simulation.true_differences(world)
    done = [simulation.trial(seed, world, truth, None, 500) for seed in range(400)]
    return world, {name: np.array([each[name] for each in done]) for name in done[0]}


def test_a_class_labelled_in_three_of_a_hundred_images_has_no_interval(simulation, rare):
    assert simulation.shares(*simulation.of_classes(*rare, 3))[0] == 0


@pytest.mark.parametrize("labelled", [5, 10, 20])
def test_a_class_labelled_in_few_images_is_covered(simulation, rare, labelled):
    there, percentile, bca = simulation.shares(*simulation.of_classes(*rare, labelled))
    assert there == 1
    assert 0.93 <= percentile <= 0.97
    assert 0.93 <= bca <= 0.97


@pytest.mark.parametrize("groups", [5, 8, 10])
def test_few_groups_are_covered(simulation, groups):
    world = simulation.draw_rare_world(7)
    truth = simulation.true_differences(world, simulation.SCENE)
    done = [simulation.trial(seed, world, truth, groups, 500) for seed in range(300)]
    common = [np.array([each[f"{kind} iou"][:4] for each in done]) for kind in ("percentile", "bca")]
    there, percentile, bca = simulation.shares(*common)
    assert there > 0.99
    assert 0.93 <= percentile <= 0.97
    assert 0.93 <= bca <= 0.97


def test_clusters_are_counted_once_however_many_images_of_theirs_have_it():
    present = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0]], bool)
    assert clusters_with(present, by_image(4)).tolist() == [3, 0, 2]
    assert clusters_with(present, by_cluster(["a", "a", "b", "b"])).tolist() == [2, 0, 2]


@pytest.mark.parametrize("images", [5, 12, FEW - 1])
def test_intervals_of_few_images_hold_students(images):
    values = np.random.default_rng(images).normal(0, 1, (images, 50))
    found = estimate(resample([means(values)], by_image(images, 500))[0]["mean"])
    student = stats.t.interval(0.95, images - 1, values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(images))
    for interval in (found.percentile, found.bca):
        assert np.all(interval.low <= student[0] + 1e-12)
        assert np.all(interval.high >= student[1] - 1e-12)


def test_p_of_few_images_agrees_with_the_interval():
    values = np.random.default_rng(0).normal(0.7, 1.0, (9, 400))
    distribution = resample([means(values)], by_image(9, 4000))[0]["mean"]
    found = estimate(distribution)
    p, _ = p_value(distribution, found)
    excludes = (found.percentile.low > 0) | (found.percentile.high < 0)
    decided = np.abs(p - 0.05) > 0.003
    assert decided.sum() > 350
    assert np.array_equal(excludes[decided], p[decided] < 0.05)
    assert np.all(p >= stats.ttest_1samp(values, 0).pvalue - 1e-12)


def test_with_enough_images_the_interval_is_the_widened_percentile_one():
    values = np.random.default_rng(1).normal(0, 1, FEW)
    distribution = resample([means(values)], by_image(FEW, 2000))[0]["mean"]
    found = estimate(distribution)
    alone = percentile_interval(np.sort(distribution.replicates)[None], stats.t.ppf([0.975], found.freedom))
    assert (found.percentile.low, found.percentile.high) == (alone.low[0], alone.high[0])


def test_with_enough_images_bca_is_widened_by_a_third_of_the_degrees_of_freedom():
    values = np.random.default_rng(1).exponential(1, FEW)
    distribution = resample([means(values)], by_image(FEW, 2000))[0]["mean"]
    found, u = estimate(distribution), (values - values.mean()) / (FEW - 1)
    z = stats.t.ppf(0.975, found.freedom / 3)
    ordered = np.sort(distribution.replicates)[None]
    alone = bca_interval(ordered, np.float64(z), bias_correction(distribution), acceleration(u))
    assert (found.bca.low, found.bca.high) == pytest.approx((float(alone.low), float(alone.high)))


@pytest.mark.parametrize(("images", "larger"), [(FEW - 1, True), (FEW, False)])
def test_p_is_at_least_the_studentised_one_with_few_images_only(images, larger):
    values = np.random.default_rng(2).normal(0, 1, (images, 200))
    distribution = resample([means(values)], by_image(images, 2000))[0]["mean"]
    found = estimate(distribution)
    p, _ = p_value(distribution, found)
    student = 2 * stats.t.sf(np.abs(found.value) / found.standard_error, found.freedom)
    settled = np.minimum((distribution.replicates <= 0).sum(0), (distribution.replicates >= 0).sum(0)) >= RESOLVED
    assert settled.sum() > 150
    assert np.all(p[settled] >= student[settled] - 1e-12) == larger
