"""RMI: the gain beside the value, and its edge cases."""

import math

import pytest
import torch
from references import complete
from references.rmi import SETTINGS, regress
from scenes import VOID, one_hot_logits, scene, value_and_gradient

from segablate.losses.parts.regression import by_cholesky, by_eigenvalues
from segablate.losses.rmi import rmi


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_gain_is_that_of_the_plain_formula(settings):
    logits, labels = scene(2, 4, 35, 30, void=0.03)
    labels[1][labels[1] == 2] = 3  # a class that only one image shows
    plain = regress(logits, labels, **complete("rmi", settings))
    gain = plain.gain[plain.present & plain.counted.unsqueeze(1)].mean().item()
    assert rmi.parts(logits, labels, **settings).facts["gain"] == pytest.approx(gain, rel=1e-7)


def test_a_missing_class_adds_the_same_constant_and_no_gradient():
    logits, labels = scene(1, 5)
    labels[labels == 4] = 3
    value, gradient = value_and_gradient(lambda z: rmi(z, labels), logits)
    without = rmi(logits[:, :4], labels)
    assert (value - without).item() == pytest.approx(-3.8004508, abs=1e-6)
    assert not gradient[:, 4].any()
    assert rmi.parts(logits, labels).per_class[4].isnan()


def test_a_perfect_prediction_reaches_the_floor():
    _, labels = scene(1, 3, void=0)
    parts = rmi.parts(one_hot_logits(labels, 3, 100.0).double(), labels)
    assert parts.per_class.max().item() == pytest.approx(math.log(2 * 5e-4) / 2, abs=1e-3)  # ½ ln 2α


def test_an_uninformative_prediction_gains_nothing():
    logits, labels = scene(1, 3, void=0)
    assert rmi.parts(torch.zeros_like(logits), labels, stride=1).facts["gain"] == pytest.approx(0, abs=1e-9)
    assert rmi.parts(logits, labels, stride=1).facts["gain"] > 0.05


def test_facts_tell_the_points():
    logits, labels = scene(1, 3, 33, 33, void=0)
    facts = rmi.parts(logits, labels, radius=5).facts
    assert facts["points"] == 25  # 9×9 cells
    assert facts["points_per_dimension"] == 1


def test_dropping_skips_images_without_a_window():
    logits, labels = scene(2, 3)
    labels[1] = VOID
    together = rmi(logits, labels, void="drop")
    torch.testing.assert_close(together, rmi(logits[:1], labels[:1], void="drop"))
    assert rmi(logits, labels) != together  # kept, the void image adds three constants to the mean


def test_a_map_smaller_than_the_window_is_undefined():
    logits, labels = scene(1, 3, 7, 40)
    parts = rmi.parts(logits.requires_grad_(), labels)
    assert parts.defined is False
    assert parts.value.item() == 0
    assert not torch.autograd.grad(parts.value, logits)[0].any()


def test_one_window_is_defined():
    logits, labels = scene(1, 3, 8, 8, void=0)
    parts = rmi.parts(logits, labels)
    assert parts.defined is True
    assert parts.value.item() == pytest.approx(3 * -3.8004508, abs=1e-5)


def test_pixels_beyond_the_last_cell_get_no_gradient():
    logits, labels = scene(1, 3, 24, 31, void=0)  # cells of 4 from -2 on end before pixel 30
    _, gradient = value_and_gradient(lambda z: rmi(z, labels), logits)
    assert not gradient[..., 30].any()
    assert gradient[..., 29].any()


def test_not_a_number_comes_through_for_its_class_alone():
    logits, labels = scene(1, 3)
    logits[0, 1, 0, 0] = math.nan
    parts = rmi.parts(logits, labels)
    assert parts.value.isnan()
    assert parts.per_class.isnan().tolist() == [False, True, False]
    assert parts.facts["failed"] == 1


def test_eigenvalues_give_what_the_factor_gives():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3, 8, 50, generator=generator, dtype=torch.float64)
    scatter = points @ points.mT
    factor, eigen = by_cholesky(scatter, 1e-3), by_eigenvalues(scatter, 1e-3)
    torch.testing.assert_close(eigen.term, factor.term)
    torch.testing.assert_close(eigen.half_log_det, factor.half_log_det)
    torch.testing.assert_close(eigen.slope(), factor.slope())


def test_a_matrix_without_factor_is_clamped_at_the_ridge():
    scatter = torch.zeros(1, 4, 4, dtype=torch.float64)
    scatter[0, 3, 3] = -1.0  # what rounding can leave of a matrix that should be 0
    assert by_cholesky(scatter, 1e-3).failed.all()
    clamped = by_eigenvalues(scatter, 1e-3)
    assert clamped.half_log_det.item() == pytest.approx(math.log(1e-3) / 2)
    assert not clamped.slope().any()


def test_near_perfect_logits_with_a_tiny_ridge_stay_finite():
    _, labels = scene(1, 3)
    logits = one_hot_logits(labels, 3, 30.0) + torch.randn(1, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    value, gradient = value_and_gradient(lambda z: rmi(z, labels, alpha=1e-12, stride=1, radius=4), logits)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_an_upstream_factor_scales_the_gradient():
    logits, labels = scene(2, 3)
    _, once = value_and_gradient(lambda z: rmi(z, labels), logits)
    _, thrice = value_and_gradient(lambda z: 3 * rmi(z, labels), logits)
    torch.testing.assert_close(thrice, 3 * once)


@pytest.mark.parametrize("stride", [1, 3, 4])
@pytest.mark.parametrize("settings", [{}, {"probability": "softmax"}, {"pool": "max"}], ids=str)
def test_rows_in_parts_give_the_same(settings, stride, monkeypatch):
    logits, labels = scene(2, 4, 33, 29)
    whole = value_and_gradient(lambda z: rmi(z, labels, stride=stride, **settings), logits)
    monkeypatch.setattr("segablate.losses.parts.strips.VALUES", 29 * 8)
    parts = value_and_gradient(lambda z: rmi(z, labels, stride=stride, **settings), logits)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-15)


def test_softmax_is_not_repeated_for_each_class():
    logits, labels = scene(1, 8, 64, 64)
    with torch.profiler.profile() as recorded:
        value_and_gradient(lambda z: rmi(z, labels, probability="softmax"), logits)
    counts = {event.key: event.count for event in recorded.key_averages()}
    assert counts["aten::softmax"] <= 3
