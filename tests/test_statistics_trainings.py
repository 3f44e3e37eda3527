"""Trainings over seeds and images: the rule against plain formulas, and what is left where either varies alone."""

from dataclasses import astuple

import numpy as np
import pytest
from made_up_trainings import IMAGES, counts, made_up, random_scores, trainings
from scipy.stats import f, norm, t, ttest_ind, ttest_rel

from segablate.statistics.bootstrap import by_image, resample
from segablate.statistics.intervals import degrees_of_freedom
from segablate.statistics.paired import compare
from segablate.statistics.pools import pool
from segablate.statistics.scores import region_scores
from segablate.statistics.separate_seeds import over_separate_seeds
from segablate.statistics.shared_seeds import over_shared_seeds
from segablate.statistics.trainings import SettingResult, Trainings


def residual_square(score: np.ndarray) -> float:
    """Sum of squares of setting x seed of a complete table, in plain loops."""
    whole = score.mean()
    return sum(
        (score[i, j] - score[i].mean() - score[:, j].mean() + whole) ** 2
        for i in range(len(score))
        for j in range(score.shape[1])
    )


def plain_image_variance(u: np.ndarray) -> float:
    """Mean over pairs of different rows of the jackknife covariance; (S, n) influences."""
    s, n = u.shape
    pairs = [(n - 1) / n * float(u[j] @ u[k]) for j in range(s) for k in range(s) if j != k]
    return max(0.0, float(np.mean(pairs)))


def width(found: SettingResult) -> float:
    return (found.high - found.low) / 2


@pytest.mark.parametrize("seeds", [1, 2, 3, 4, 5, 6])
def test_p_is_below_5_percent_where_the_interval_excludes_zero(seeds: int) -> None:
    excluding = 0
    for trial in range(40):
        found = over_shared_seeds(made_up(random_scores(6, seeds, trial), 0.002, trial))
        for setting in found.settings[1:]:
            assert (setting.p < 0.05) == (setting.low > 0 or setting.high < 0)
            excluding += setting.p < 0.05
    assert 0 < excluding < 200


# where only images vary, or only seeds


@pytest.mark.parametrize(("settings", "seeds"), [(2, 3), (3, 3), (5, 2), (3, 5), (4, 1)])
def test_identical_seeds_have_the_jackknife_interval_over_images(settings: int, seeds: int) -> None:
    cells = [counts(row) for row in range(settings)]
    found = over_shared_seeds(trainings([[cell] * seeds for cell in cells]))
    for cell, setting in zip(cells[1:], found.settings[1:], strict=True):
        baseline, other = resample([region_scores(cells[0]), region_scores(cell)], by_image(IMAGES, 10))
        change = compare(baseline["miou"], other["miou"]).change
        h = t.ppf(0.975, change.freedom) * change.standard_error
        assert setting.difference == pytest.approx(float(change.value), abs=1e-14)
        assert (setting.low, setting.high) == pytest.approx((change.value - h, change.value + h), abs=1e-12)
        assert setting.p == pytest.approx(2 * t.sf(abs(change.value) / change.standard_error, change.freedom))
        assert np.isnan(setting.higher)


@pytest.mark.parametrize("seeds", [3, 4, 5, 8])
def test_one_image_repeated_is_the_paired_t_test_of_two_settings(seeds: int) -> None:
    score = random_scores(2, seeds)
    (_, setting), plain = over_shared_seeds(made_up(score)).settings, ttest_rel(score[1], score[0])
    assert (setting.low, setting.high) == pytest.approx(tuple(plain.confidence_interval()))
    assert setting.p == pytest.approx(plain.pvalue)
    assert setting.basis == "pair alone"


@pytest.mark.parametrize(("settings", "seeds"), [(3, 3), (4, 4), (5, 2), (6, 3)])
def test_one_image_repeated_is_the_two_way_residual_of_many_settings(settings: int, seeds: int) -> None:
    score = random_scores(settings, seeds, 3)
    found = over_shared_seeds(made_up(score))
    freedom = (settings - 1) * (seeds - 1)
    pooled = t.ppf(0.975, freedom) * np.sqrt(2 * residual_square(score) / freedom / seeds)
    wider = 0
    for row, setting in enumerate(found.settings[1:], 1):
        d = score[row] - score[0]
        alone = t.ppf(0.95, seeds - 1) * d.std(ddof=1) / np.sqrt(seeds)
        assert width(setting) == pytest.approx(max(pooled, alone))
        assert setting.difference == pytest.approx(d.mean())
        assert setting.basis == "pooled"
        wider += alone > pooled
    assert wider < settings - 1


def test_one_image_repeated_is_the_pair_alone_from_five_seeds() -> None:
    score = random_scores(6, 5)
    for row, setting in enumerate(over_shared_seeds(made_up(score)).settings[1:], 1):
        plain = ttest_rel(score[row], score[0])
        assert (setting.low, setting.high) == pytest.approx(tuple(plain.confidence_interval()))


# both vary


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_the_pooled_rule_against_plain_formulas(seeds: int) -> None:
    given = made_up(random_scores(5, seeds, 2), 0.004)
    freedom = 4 * (seeds - 1)
    found = over_shared_seeds(given)
    assert found.pool is not None
    assert found.pool.members == (0, 1, 2, 3, 4)
    for row, setting in enumerate(found.settings[1:], 1):
        u, d = given.influence[row] - given.influence[0], given.score[row] - given.score[0]
        images = t.ppf(0.975, degrees_of_freedom(u.mean(axis=0))) ** 2 * plain_image_variance(u)
        pooled = t.ppf(0.975, freedom) ** 2 * 2 * residual_square(given.score) / freedom / seeds
        alone = t.ppf(0.95, seeds - 1) ** 2 * d.var(ddof=1) / seeds
        assert width(setting) == pytest.approx(np.sqrt(images + max(pooled, alone)))


def test_the_chance_to_score_higher_is_of_one_new_pair() -> None:
    score = random_scores(3, 4)
    for row, setting in enumerate(over_shared_seeds(made_up(score)).settings[1:], 1):
        d = score[row] - score[0]
        assert setting.higher == pytest.approx(norm.cdf(d.mean() / d.std(ddof=1)))
    assert all(np.isnan(s.higher) for s in over_shared_seeds(made_up(random_scores(6, 2))).settings)


def test_holm_is_over_the_settings() -> None:
    found = over_shared_seeds(made_up(random_scores(4, 3), 0.001)).settings
    p = np.array([s.p for s in found[1:]])
    order = np.argsort(p)
    expected = np.maximum.accumulate(p[order] * [3, 2, 1])
    assert np.array([s.p_holm for s in found[1:]])[order] == pytest.approx(np.minimum(expected, 1))
    assert np.isnan(found[0].p)
    assert np.isnan(found[0].p_holm)


@pytest.mark.parametrize("rule", [over_shared_seeds, over_separate_seeds])
def test_order_changes_nothing(rule) -> None:
    given = trainings([[counts(10 * i + j, 0.7 + 0.02 * i) for j in range(3)] for i in range(4)])
    expected = rule(given).settings
    rng = np.random.default_rng(0)
    for _ in range(5):
        settings, seeds, images = np.r_[0, 1 + rng.permutation(3)], rng.permutation(3), rng.permutation(IMAGES)
        moved = Trainings(
            given.score[settings][:, seeds],
            given.influence[settings][:, seeds][:, :, images],
            given.support[settings][:, seeds],
        )
        for row, setting in zip(settings, rule(moved).settings, strict=True):
            values = astuple(setting)
            assert values[:-1] == pytest.approx(astuple(expected[row])[:-1], rel=1e-9, nan_ok=True)
            assert values[-1] == expected[row].basis


# the pool

COLLAPSED = [[49.6, 49.0, 48.6], [36.4, 49.8, 48.8], [49.9, 49.1, 49.2], [48.8, 48.5, 47.9], [50.1, 49.2, 49.0]]


def plain_ratio(score: np.ndarray, row: int) -> float:
    (k, s), without = score.shape, residual_square(np.delete(score, row, 0))
    return ((residual_square(score) - without) / (s - 1)) / (without / ((k - 2) * (s - 1)))


def test_a_collapsed_setting_leaves_the_pool() -> None:
    score = np.array(COLLAPSED)
    assert plain_ratio(score, 1) > f.ppf(0.99, 2, 6) > max(plain_ratio(score, row) for row in (0, 2, 3, 4))
    found = over_shared_seeds(made_up(score))
    assert found.pool is not None
    assert found.pool.left == (1,)
    assert found.pool.members == (0, 2, 3, 4)
    rest = score[[0, 2, 3, 4]]
    assert found.pool.mean_square == pytest.approx(residual_square(rest) / 6)
    assert found.pool.freedom == 6
    left = found.settings[1]
    assert left.basis == "pair alone"
    assert (left.low, left.high) == pytest.approx(tuple(ttest_rel(score[1], score[0]).confidence_interval()))
    assert [s.basis for s in found.settings[2:]] == ["pooled"] * 3
    assert width(found.settings[2]) < 2


def plain_pool(score: np.ndarray) -> tuple[list[int], list[int], list[int]]:
    """Members, rows that left, and members that vary more than twice as much as the others."""
    members, left = list(range(len(score))), []
    seeds = score.shape[1]
    while len(members) > 2:
        ratios = [plain_ratio(score[members], row) for row in range(len(members))]
        if max(ratios) <= f.ppf(0.99, seeds - 1, (len(members) - 2) * (seeds - 1)):
            return members, left, [m for m, ratio in zip(members, ratios, strict=True) if ratio > 4]
        left.append(members.pop(int(np.argmax(ratios))))
    return members, left, []


@pytest.mark.parametrize(("settings", "seeds"), [(3, 4), (5, 2), (5, 3), (8, 3)])
def test_the_pool_against_plain_formulas(settings: int, seeds: int) -> None:
    rng = np.random.default_rng(5)
    sizes, wider = set(), 0
    for _ in range(150):
        score = rng.normal(size=(settings, seeds)) * np.exp(rng.normal(0, 0.8, (settings, 1)))
        found, (members, left, varying) = pool(score), plain_pool(score)
        assert (list(found.members), list(found.left), list(found.wider)) == (members, left, varying)
        sizes.add(len(members))
        wider += len(varying)
    assert len(sizes) > 1
    assert wider > 5


def test_rows_leave_one_by_one_while_more_than_two_remain() -> None:
    rng = np.random.default_rng(1)
    score = rng.normal(0, 0.001, (5, 4)) * [[1], [1], [1], [40], [3000]]
    assert pool(score).left == (4, 3)
    assert plain_ratio(score, 4) > f.ppf(0.99, 3, 9)
    assert plain_ratio(score[:4], 3) > f.ppf(0.99, 3, 6)
    assert plain_ratio(score[:4], 3) > max(plain_ratio(score[:4], row) for row in range(3)) < f.ppf(0.99, 3, 6)
    two_exact = pool(np.array([[0.0, 0, 0, 0], [1, 1, 1, 1], [0, 5, 9, 2]]))
    assert (two_exact.members, two_exact.left) == ((0, 1), (2,))


def test_without_the_baseline_in_the_pool_every_setting_has_its_pair() -> None:
    score = np.array(COLLAPSED)[[1, 0, 2, 3, 4]]
    found = over_shared_seeds(made_up(score))
    assert found.pool is not None
    assert found.pool.left == (0,)
    for row, setting in enumerate(found.settings[1:], 1):
        assert (setting.low, setting.high) == pytest.approx(
            tuple(ttest_rel(score[row], score[0]).confidence_interval())
        )


def test_a_setting_with_a_wider_spread_is_named() -> None:
    rng = np.random.default_rng(40)
    score = rng.normal(0, 0.01, (6, 4)) * [[1], [1], [1], [1], [1], [2.6]]
    assert 4 < plain_ratio(score, 5) < f.ppf(0.99, 3, 12)
    assert pool(score).wider == (5,)
    assert pool(score).left == ()


# few seeds, missing trainings, few images


def test_one_training_each() -> None:
    given = made_up(random_scores(3, 1), 0.004)
    for row, setting in enumerate(over_shared_seeds(given).settings[1:], 1):
        (u,) = given.influence[row] - given.influence[0]
        h = t.ppf(0.975, degrees_of_freedom(u)) * np.sqrt(39 / 40 * np.sum(u**2))
        assert width(setting) == pytest.approx(h)
        assert setting.basis == "one training each"
        assert np.isnan(setting.spread)


def test_two_seeds_need_four_degrees_of_freedom() -> None:
    of_four = over_shared_seeds(made_up(random_scores(4, 2), 0.004)).settings
    assert [s.basis for s in of_four[1:]] == ["none: two seeds"] * 3
    assert all(np.isnan([s.low, s.high, s.p]).all() for s in of_four)
    assert not np.isnan([s.difference for s in of_four[1:]]).any()
    of_five = over_shared_seeds(made_up(random_scores(5, 2), 0.004)).settings
    assert [s.basis for s in of_five[1:]] == ["pooled"] * 4
    assert not np.isnan([s.p for s in of_five[1:]]).any()


def test_a_missing_training_leaves_the_pair_alone_on_shared_seeds() -> None:
    complete = made_up(random_scores(4, 3), 0.004)
    score, influence = complete.score.copy(), complete.influence.copy()
    score[2, 0], influence[2, 0] = np.nan, np.nan
    found = over_shared_seeds(Trainings(score, influence, complete.support))
    assert found.pool is not None
    assert found.pool.members == (0, 1, 3)
    lacking = found.settings[2]
    assert (lacking.trainings, lacking.shared, lacking.basis) == (2, 2, "pair alone")
    assert lacking.mean == pytest.approx(score[2, 1:].mean())
    d = (score[2] - score[0])[1:]
    u = (influence[2] - influence[0])[1:]
    images = t.ppf(0.975, degrees_of_freedom(u.mean(axis=0))) ** 2 * plain_image_variance(u)
    assert width(lacking) == pytest.approx(np.sqrt(t.ppf(0.975, 1) ** 2 * d.var(ddof=1) / 2 + images))
    without = over_shared_seeds(Trainings(score[[0, 1, 3]], influence[[0, 1, 3]], complete.support[:3]))
    for row, other in ((1, 1), (3, 2)):
        assert astuple(found.settings[row])[:8] == pytest.approx(astuple(without.settings[other])[:8])


def test_a_missing_training_of_the_baseline_leaves_every_pair_alone() -> None:
    given = made_up(random_scores(4, 4), 0.004)
    given.score[0, 3] = np.nan
    found = over_shared_seeds(given).settings
    assert [(s.shared, s.basis) for s in found[1:]] == [(3, "pair alone")] * 3
    assert found[0].trainings == 3


def test_settings_that_share_one_seed_or_none_with_the_baseline() -> None:
    given = made_up(random_scores(3, 3), 0.004)
    given.score[1, 1:] = np.nan
    given.score[2] = np.nan
    _, one, none = over_shared_seeds(given).settings
    assert (one.shared, one.basis) == (1, "one training each")
    assert one.low < one.difference < one.high
    assert (none.trainings, none.basis) == (0, "none: no shared seed")
    assert np.isnan(astuple(none)[1:3]).all()
    assert np.isnan(none.difference)


@pytest.mark.parametrize("rule", [over_shared_seeds, over_separate_seeds])
def test_below_five_clusters_there_is_no_interval(rule) -> None:
    given = made_up(random_scores(3, 3), 0.004)
    for clusters, known in ((4, False), (5, True)):
        support = given.support.copy()
        support[2, 1] = clusters
        found = rule(Trainings(given.score, given.influence, support)).settings
        assert np.isfinite(found[2].p) == known
        assert np.isfinite(found[1].p)
        assert (found[2].basis == "none: few clusters") != known


# trainings that no seed pairs


@pytest.mark.parametrize(("a", "b"), [(3, 3), (5, 3), (2, 7)])
def test_one_image_repeated_is_welchs_test_of_separate_trainings(a: int, b: int) -> None:
    score = np.full((2, max(a, b)), np.nan)
    score[0, :b], score[1, :a] = random_scores(2, 7)[0, :b], random_scores(2, 7, 5)[1, :a]
    _, setting = over_separate_seeds(made_up(score)).settings
    plain = ttest_ind(score[1, :a], score[0, :b], equal_var=False)
    assert (setting.low, setting.high) == pytest.approx(tuple(plain.confidence_interval()))
    assert setting.p == pytest.approx(plain.pvalue)
    assert (setting.trainings, setting.basis) == (a, "separate seeds")
    chance = norm.cdf(setting.difference / np.sqrt(score[1, :a].var(ddof=1) + score[0, :b].var(ddof=1)))
    assert setting.higher == pytest.approx(chance, nan_ok=True) if min(a, b) > 2 else np.isnan(setting.higher)


def test_images_of_separate_trainings_against_plain_covariances() -> None:
    score = random_scores(2, 4)
    score[0, 3] = np.nan
    given = made_up(score, 0.004)
    _, setting = over_separate_seeds(given).settings
    a, b = given.influence[1], given.influence[0, :3]

    def covariance(first: np.ndarray, second: np.ndarray) -> float:
        return 39 / 40 * float(first @ second)

    within = [np.mean([covariance(g[i], g[j]) for i in range(len(g)) for j in range(len(g)) if i != j]) for g in (a, b)]
    between = np.mean([covariance(x, y) for x in a for y in b])
    images = sum(within) - 2 * between
    assert images > 0
    of_means = score[1].var(ddof=1) / 4, score[0, :3].var(ddof=1) / 3
    freedom = sum(of_means) ** 2 / (of_means[0] ** 2 / 3 + of_means[1] ** 2 / 2)
    nu = degrees_of_freedom(a.mean(axis=0) - b.mean(axis=0))
    expected = np.sqrt(t.ppf(0.975, freedom) ** 2 * sum(of_means) + t.ppf(0.975, nu) ** 2 * images)
    assert width(setting) == pytest.approx(expected)


def test_a_negative_covariance_over_images_counts_as_none() -> None:
    given = made_up(random_scores(2, 3), 0.004)
    given.influence[1] -= given.influence[1].mean(axis=0)  # the trainings of one setting make up for one another
    _, setting = over_separate_seeds(given).settings
    plain = ttest_ind(given.score[1], given.score[0], equal_var=False).confidence_interval()
    assert (setting.low, setting.high) == pytest.approx(tuple(plain))


def test_separate_trainings_one_each_and_one_against_several() -> None:
    given = made_up(random_scores(3, 3), 0.004)
    alone = Trainings(given.score[:, :1], given.influence[:, :1], given.support[:, :1])
    for setting, paired in zip(over_separate_seeds(alone).settings, over_shared_seeds(alone).settings, strict=True):
        assert astuple(setting)[:-1] == pytest.approx(astuple(paired)[:-1], nan_ok=True)
        assert setting.basis == paired.basis
    given.score[1, 1:] = np.nan
    given.score[2] = np.nan
    _, one, none = over_separate_seeds(given).settings
    assert (one.basis, none.basis) == ("none: one training", "none: no training")
    assert np.isfinite(one.difference)
    assert np.isnan([one.p, none.p, none.difference]).all()
