"""A small simulation with known truth: do intervals cover, and are false alarms as rare as promised?"""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def calibration():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
        import calibration

        yield calibration


def results(calibration, shift: float, datasets: int = 300) -> dict[str, np.ndarray]:
    world = calibration.draw_world(5, shift, 7)
    truth = calibration.true_differences(world)
    done = [calibration.trial(seed, world, truth, images=120, replicates=500) for seed in range(datasets)]
    return {name: np.array([d[name] for d in done]) for name in done[0]}


def test_intervals_cover_the_true_difference(calibration):
    shares = calibration.coverage(results(calibration, 0.3))
    assert 0.92 < shares["percentile: miou"] < 0.98
    assert 0.935 < shares["percentile: IoU of a class"] < 0.965
    assert 0.91 < shares["bca: miou"] < 0.98


def test_false_alarms_are_rare(calibration):
    shares = calibration.false_alarms(results(calibration, 0.0))
    assert 0.02 < shares["p < 0.05: miou"] < 0.08
    assert 0.03 < shares["p < 0.05: IoU of a class"] < 0.065
    assert shares["any false positive, holm all"] < 0.07
