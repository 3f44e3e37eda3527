"""Learning rates over the steps, against the formulas written out."""

import math

import pytest

from segablate.training.recipe import Recipe


def test_cosine_and_its_floor() -> None:
    recipe = Recipe(rate=2, schedule="cosine", floor=0.5)
    for step in (0, 1, 30, 99):
        assert recipe.rate_at(step, 100) == pytest.approx(0.5 + 1.5 * (1 + math.cos(math.pi * step / 100)) / 2)
    assert recipe.rate_at(0, 100) == 2


def test_poly_and_its_floor() -> None:
    recipe = Recipe(rate=0.02, schedule="poly", power=0.9, floor=1e-4)
    for step in (0, 1, 5000, 9999):
        assert recipe.rate_at(step, 10_000) == pytest.approx((0.02 - 1e-4) * (1 - step / 10_000) ** 0.9 + 1e-4)


def test_constant() -> None:
    assert {Recipe(rate=3, schedule="constant", floor=1).rate_at(step, 10) for step in range(10)} == {3}


def test_a_floor_above_the_rate_is_the_rate() -> None:
    assert Recipe(rate=1, schedule="poly", floor=2).rate_at(9, 10) == 1


def test_a_linear_warm_up_ends_at_the_rate() -> None:
    recipe = Recipe(rate=0.007, warmup=1500, warmup_rate=1e-4, schedule="poly", power=0.9)
    assert recipe.rate_at(0, 30_000) == pytest.approx(1e-4 + (0.007 - 1e-4) / 1500)
    assert recipe.rate_at(749, 30_000) == pytest.approx(1e-4 + (0.007 - 1e-4) / 2)
    assert recipe.rate_at(1499, 30_000) == pytest.approx(0.007)
    assert recipe.rate_at(1500, 30_000) == pytest.approx(0.007)
    assert recipe.rate_at(15_000, 30_000) == pytest.approx(0.007 * (1 - 13_500 / 28_500) ** 0.9)


def test_a_slow_start_stays_at_its_rate() -> None:
    recipe = Recipe(rate=1, warmup=4, warmup_shape="constant", warmup_rate=0.1, schedule="constant")
    assert [recipe.rate_at(step, 8) for step in (0, 3, 4, 7)] == [0.1, 0.1, 1, 1]


def test_a_warm_up_as_long_as_the_training() -> None:
    assert Recipe(rate=1, warmup=8).rate_at(7, 8) == 1


def test_epochs_drop_the_last_incomplete_batch() -> None:
    assert Recipe(epochs=3, batch=4).total(11) == 6
    assert Recipe(epochs=0.5, batch=4).total(40) == 5
    assert Recipe(epochs=0.01, batch=4).total(8) == 1
    assert Recipe(batch=4).total(8) == 200
    assert Recipe(steps=7).total(8) == 7
