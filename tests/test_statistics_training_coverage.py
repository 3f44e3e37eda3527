"""A small simulation with known truth: do intervals over trainings and images cover, where those over images do not?"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def coverage() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
        import training_coverage

        yield training_coverage


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_of_shared_seeds_cover(coverage: ModuleType, seeds: int) -> None:
    found = coverage.simulate(replace(coverage.SEEDS, seeds=seeds, images=60), 60)
    assert 0.93 < found.printed < 0.995
    assert found.images < 0.75
    assert found.none < 0.2
    assert found.width < 1 if seeds < 5 else found.width == 1


def test_intervals_of_separate_trainings_cover(coverage: ModuleType) -> None:
    regime = replace(coverage.SEEDS, spreads=(1, 1), images=60, shared=False)
    found = coverage.simulate_separate(regime, (3, 4), 200)
    assert 0.92 < found.printed < 0.985
    assert found.images < 0.75


def test_images_matter_too(coverage: ModuleType) -> None:
    """A t-test over seeds alone would cover about 78 % here."""
    found = coverage.simulate(replace(coverage.IMAGES, images=60), 60)
    assert 0.93 < found.printed < 0.995
    assert found.images > 0.88
