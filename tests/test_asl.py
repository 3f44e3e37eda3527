"""Auto Seg-Loss: its published curves, the background, extreme curves and the sums of a dataset."""

import pytest
import torch
from scenes import VOID, one_hot_logits, scene, value_and_gradient

from segablate.errors import KnobError
from segablate.losses.asl import CURVES, THETAS, asl, surrogate
from segablate.losses.parts.curves import read_curves

SHAPES = {  # h at 0.1, 0.25, 0.5, 0.75 and 0.9
    "miou": ((0.5273, 0.6766, 0.7562, 0.8644, 0.9429), (0.0072, 0.0412, 0.1912, 0.6059, 0.9742)),
    "fwiou": ((0.4833, 0.7297, 0.8147, 0.9057, 0.9620), (0.0572, 0.1450, 0.3002, 0.5238, 0.7996)),
    "biou": ((0.5311, 0.7477, 0.9101, 0.9762, 0.9904), (0.0756, 0.1903, 0.3863, 0.7512, 0.9059)),
    "macc": ((0.5411, 0.7341, 0.8253, 0.9038, 0.9560),),
    "gacc": ((0.3034, 0.6349, 0.8253, 0.9038, 0.9560),),
}


@pytest.mark.parametrize("metric", SHAPES)
def test_published_curves(metric):
    x = torch.tensor([[0.1, 0.25, 0.5, 0.75, 0.9]], dtype=torch.float64)
    for curve, expected in zip(read_curves(THETAS[metric], CURVES[metric]), SHAPES[metric], strict=True):
        assert curve(x)[0].tolist() == pytest.approx(expected, abs=5.1e-5)


def test_the_background_is_dropped_for_boundary_iou_alone_unless_told():
    logits, labels = scene(2, 4, 24, 24, void=0)
    for metric, published in (("biou", True), ("bf1", False)):
        values = [
            asl(logits, labels, metric=metric, tolerance=1, drop_background=d).item() for d in (None, True, False)
        ]
        assert values[0] == values[1 if published else 2] != values[2 if published else 1]


def test_a_middle_at_one_half_up_to_rounding_is_a_straight_line():
    """Where the published root formula gives a staircase."""
    x = torch.linspace(0, 1, 101).unsqueeze(0)
    for middle in (0.24999997, 0.25, 0.25000003):
        (curve,) = read_curves((middle, middle, 0.5, 0.5, 0.75, 0.75), 1)
        torch.testing.assert_close(curve(x), x, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "theta",
    [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.5, 0.2, 0.5, 0.6, 0.5, 0.7), (0.0, 0.3, 0.0, 0.5, 0.6, 0.7)],
    ids=str,
)
def test_extreme_curves_stay_finite(theta):
    logits, labels = scene(1, 4, 16, 16, dtype=torch.float32)
    for factor in (1, 1000):
        value, gradient = value_and_gradient(lambda z: asl(z, labels, theta=theta), factor * logits)
        assert 0 <= value <= 1
        assert gradient.isfinite().all()


def test_one_curve_stands_for_all():
    logits, labels = scene(1, 4, 16, 16)
    assert asl(logits, labels, theta=(0.3, 0.6)) == asl(logits, labels, theta=(0.3, 0.6, 0.3, 0.6))


def test_refuses_thetas_that_make_no_curves():
    logits, labels = scene(1, 3, 8, 8)
    with pytest.raises(
        KnobError, match=r"theta has 8 numbers, but one curve has 2, 6, 10, \.\.\., and 2 curves have 4"
    ):
        asl(logits, labels, theta=(0.1,) * 8)
    with pytest.raises(KnobError, match=r"theta goes from x = 0\.5 to 0\.4, but curves must be monotone"):
        asl(logits, labels, metric="macc", theta=(0.5, 0.1, 0.4, 0.2, 0.6, 0.3))


@pytest.mark.parametrize("metric", CURVES)
def test_nothing_to_measure_is_one_without_a_slope(metric):
    logits, _ = scene(1, 3, 12, 12)
    scenes = [torch.full((1, 12, 12), VOID)] + (
        [torch.ones(1, 12, 12, dtype=torch.long)] if metric in ("biou", "bf1") else []
    )
    for labels in scenes:
        parts = asl.parts(logits.clone().requires_grad_(), labels, metric=metric)
        assert not parts.defined
        assert parts.value.item() == 1
        value, gradient = value_and_gradient(lambda z, y=labels: asl(z, y, metric=metric), logits)
        assert value == 1
        assert not gradient.any()


@pytest.mark.parametrize("metric", CURVES)
def test_sums_give_the_surrogate_of_a_dataset(metric):
    logits, labels = scene(3, 4, 20, 24)
    alone = [asl.parts(logits[i : i + 1], labels[i : i + 1], metric=metric).sums for i in range(3)]
    total = {name: sum(sums[name] for sums in alone) for name in alone[0]}
    together = asl(logits, labels, metric=metric).item()
    assert 1 - surrogate(metric, total).item() == pytest.approx(together, abs=1e-12)
    means = sum(asl(logits[i : i + 1], labels[i : i + 1], metric=metric).item() for i in range(3)) / 3
    assert abs(means - together) > 1e-4


def test_perfect_predictions_leave_the_absent_classes():
    labels = torch.arange(3).repeat_interleave(5).expand(1, 16, 15)
    parts = asl.parts(one_hot_logits(labels, 5, 100.0), labels)
    assert parts.facts == {"absent": 2}
    assert parts.value.item() == pytest.approx(2 / 5, abs=1e-6)
    assert parts.per_class is not None
    assert parts.per_class.isnan().tolist() == [False, False, False, True, True]
    assert asl(one_hot_logits(labels, 5, 100.0), labels, metric="gacc").item() == pytest.approx(0, abs=1e-6)


def test_void_has_a_say_only_in_edges():
    logits, labels = scene(2, 4, 24, 24, void=0.2)
    changed = logits + 3 * torch.randn(logits.shape, dtype=torch.float64) * (labels == VOID).unsqueeze(1)
    for metric in CURVES:
        same = asl(changed, labels, metric=metric) == asl(logits, labels, metric=metric)
        assert same is not (metric == "bf1") if isinstance(same, bool) else same.item() is not (metric == "bf1")
