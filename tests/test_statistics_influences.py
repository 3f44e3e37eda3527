"""Influences of images on a score, half-widths from several sources of variance, and p-values that agree with them."""

import numpy as np
import pytest
from made_up_trainings import IMAGES, counts
from scipy.stats import t

from segablate.statistics.bootstrap import by_cluster, by_image, resample
from segablate.statistics.half_widths import SMALLEST, Source, half_width, smallest_alpha
from segablate.statistics.influences import influences
from segablate.statistics.scores import region_scores

# influences


@pytest.mark.parametrize("groups", [None, np.arange(IMAGES) // 4, np.arange(IMAGES) % 7])
def test_influences_are_the_centred_jackknife(groups: np.ndarray | None) -> None:
    cell = counts(1)
    plan = by_image(IMAGES) if groups is None else by_cluster(groups)
    found = influences(region_scores(cell), plan)
    jackknife = resample([region_scores(cell)], by_cluster(plan.groups, 2))[0]
    assert set(found) == set(jackknife)
    for name, of_score in found.items():
        expected = jackknife[name].jackknife
        np.testing.assert_allclose(of_score.influence, expected.mean(axis=0) - expected, atol=1e-14)
        np.testing.assert_array_equal(of_score.value, jackknife[name].value)
        np.testing.assert_array_equal(of_score.support, jackknife[name].support)


def test_influence_of_an_image_on_miou_is_what_is_lost_without_it() -> None:
    cell = counts(2)

    def miou(kept: np.ndarray) -> float:
        hits, labelled, predicted = (x[kept].sum(axis=0) for x in (cell.hits, cell.labelled, cell.predicted))
        return float(np.mean(hits / (labelled + predicted - hits)))

    without = np.array([miou(np.arange(IMAGES) != image) for image in range(IMAGES)])
    found = influences(region_scores(cell), by_image(IMAGES))["miou"].influence
    np.testing.assert_allclose(found, without.mean() - without, atol=1e-14)


# the half-width, and p from it


def test_half_width_is_the_largest_root_of_sums() -> None:
    sums = [(Source(2.0, 3), Source(0.5, 11.5)), (Source(1.0, 2, 2.0),)]
    first = np.sqrt(2 * t.ppf(0.975, 3) ** 2 + 0.5 * t.ppf(0.975, 11.5) ** 2)
    second = t.ppf(0.95, 2)
    assert half_width(sums) == pytest.approx(max(first, second))
    assert half_width(sums[1:]) == pytest.approx(second)
    assert half_width(sums[1:], 0.5) == 0  # twice the level is 1
    assert half_width(sums[1:], 0.49) == pytest.approx(t.ppf(1 - 0.49, 2))


@pytest.mark.parametrize("alpha", [0.9, 0.3, 0.0501, 0.0499, 1e-4, 1e-30])
def test_p_is_the_level_whose_interval_just_excludes_zero(alpha: float) -> None:
    sums = [(Source(2.0, 3), Source(0.5, 11.5)), (Source(4.0, 2, 2.0), Source(0.5, 11.5))]
    difference = half_width(sums, alpha)
    assert smallest_alpha(difference * (1 + 1e-9), sums) == pytest.approx(alpha, rel=1e-6)
    assert smallest_alpha(-difference * (1 + 1e-9), sums) == pytest.approx(alpha, rel=1e-6)
    assert (smallest_alpha(difference, sums) < 0.05) == (difference > half_width(sums))


def test_p_without_any_variance() -> None:
    sums = [(Source(0.0, 3), Source(0.0, 30))]
    assert half_width(sums) == 0
    assert smallest_alpha(0.0, sums) == 1
    assert smallest_alpha(1e-3, sums) == SMALLEST > 0


def test_p_of_one_source_is_students() -> None:
    assert smallest_alpha(0.3, [(Source(0.01, 4),)]) == pytest.approx(2 * t.sf(3, 4))
    assert smallest_alpha(30, [(Source(0.01, 40.5),)]) == pytest.approx(2 * t.sf(300, 40.5))
    assert smallest_alpha(0.0, [(Source(0.01, 4),)]) == 1
