"""Adjusted p-values against definitions and a published example."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from segablate.statistics.multiplicity import benjamini_hochberg, holm


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


def test_holm_rejects_what_stepping_down_rejects():
    generator = np.random.default_rng(0)
    for _ in range(50):
        p = generator.random(12) ** 4
        rejected = np.zeros(12, dtype=bool)
        for k, place in enumerate(np.argsort(p)):
            if p[place] > 0.05 / (12 - k):
                break
            rejected[place] = True
        assert np.array_equal(holm(p) <= 0.05, rejected)


def test_benjamini_hochberg_is_scipys():
    p = np.random.default_rng(1).random(30) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_undefined_takes_no_part_and_stays(adjust):
    p = np.array([np.nan, 0.02, np.nan, 0.5, 0.01])
    adjusted = adjust(p)
    assert np.array_equal(np.isnan(adjusted), np.isnan(p))
    np.testing.assert_allclose(adjusted[[1, 3, 4]], adjust(p[[1, 3, 4]]))


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_none_one_and_all_undefined(adjust):
    assert adjust(np.array([])).size == 0
    assert adjust(np.array([0.3]))[0] == 0.3
    assert np.isnan(adjust(np.full(3, np.nan))).all()
    assert np.all(adjust(np.array([0.9, 0.8, 0.7])) <= 1)
