"""SSL: its reference cases, and what happens where there is no structure."""

import math

import pytest
import torch
from references import one_hot
from references.ssl import normalised
from scenes_of_losses import blobs, golden, gradient_of

from segablate.ablation.cost import measure_cost
from segablate.losses.parts.gaussian import blurred, taps, whole_mass
from segablate.losses.ssl import ssl


@pytest.mark.parametrize("name", ["ssl_small_k11", "ssl_first_ignored"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reference_case(name, dtype):
    case = golden(name)
    value, gradient = gradient_of(ssl, case.logits.to(dtype), case.labels, **case.meta["knobs"])
    assert value == pytest.approx(case.meta["value"], rel=1e-6)
    torch.testing.assert_close(gradient.double(), case.gradient, rtol=0, atol=1e-6 * case.gradient.abs().max().item())


def test_saturated_reference_case():
    case = golden("ssl_saturated")
    value, gradient = gradient_of(ssl, case.logits, case.labels, scope="batch")
    assert value == pytest.approx(case.meta["value"], rel=1e-3)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("probability", ["sigmoid", "softmax"])
def test_flat_predictions_over_flat_labels_say_nothing(probability):
    labels = torch.zeros(1, 9, 9, dtype=torch.long)
    logits = torch.tensor([-1.3, 0.7, 0.1]).view(1, 3, 1, 1).expand(1, 3, 9, 9)
    parts = ssl.parts(logits.clone().requires_grad_(), labels, probability=probability, beta=0)
    assert (parts.value, parts.facts["selected"], parts.defined) == (0, 0, True)


def test_saturated_softmax_keeps_its_gradient():
    """Where the wrong class has all but 1e-30 of the probability, its logit is still pushed down."""
    labels = (torch.arange(81).view(1, 9, 9) // 3) % 2
    logits = torch.zeros(1, 3, 9, 9, dtype=torch.float64)
    logits[:, 2] = -5.0
    logits[:, 0] = 70 * (labels - 0.5)
    leaf = logits.requires_grad_()
    value = ssl(leaf, labels, probability="softmax", detach=True)
    value.backward()
    assert value > 5
    assert leaf.grad is not None
    wrong = labels[0] == 1
    assert (leaf.grad[0, 0][wrong] > 1e-4).all()
    assert (leaf.grad[0, 1][wrong] < -1e-4).all()
    torch.testing.assert_close(leaf.grad.sum(1), torch.zeros(1, 9, 9, dtype=torch.float64), atol=1e-12, rtol=0)


def test_gradient_equals_finite_differences():
    logits, labels = blobs(1, 3, 5, 6, void=0.1)
    for probability in ("sigmoid", "softmax"):
        _, gradient = gradient_of(ssl, logits, labels, probability=probability)
        step = 1e-6 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        up, down = (ssl(logits + sign * step, labels, probability=probability).item() for sign in (1, -1))
        assert (up - down) / 2 == pytest.approx((gradient * step).sum().item(), rel=1e-5)


@pytest.mark.parametrize("values", [198, 22, 1], ids="{} values".format)
@pytest.mark.parametrize(
    "setting", [{}, {"probability": "softmax"}, {"border": "zero", "window": 5}, {"detach": True}], ids=str
)
def test_classes_and_rows_in_parts_give_the_same(setting, values, monkeypatch):
    logits, labels = blobs(2, 5, 19, 11, void=0.1)
    whole = gradient_of(ssl, logits, labels, **setting)
    forward = ssl(logits, labels, **setting).item()
    monkeypatch.setattr("segablate.losses.parts.strips.VALUES", values)
    torch.testing.assert_close(gradient_of(ssl, logits, labels, **setting), whole, rtol=1e-12, atol=1e-15)
    assert forward == pytest.approx(ssl(logits, labels, **setting).item(), rel=1e-12)


@pytest.mark.parametrize("steepness", [1, 10, 30])
@pytest.mark.parametrize("setting", [{}, {"probability": "softmax"}, {"c4": 0.001}, {"c4": 1e-6}], ids=str)
def test_float32_keeps_the_precision_of_small_structure(setting, steepness):
    """Where sigmoids are almost 0 or 1, differences inside a window are far below the rounding of float32."""
    logits, labels = blobs(2, 5, 40, 44, void=0.1)
    logits = (steepness * logits).float()
    single, double = (gradient_of(ssl, each, labels, **setting) for each in (logits, logits.double()))
    assert single[0] == pytest.approx(double[0], rel=1e-6)
    torch.testing.assert_close(single[1].double(), double[1], rtol=0, atol=1e-4 * double[1].abs().max().item())


def test_memory_is_that_of_errors_and_gradient_and_a_few_maps():
    logits, labels = blobs(1, 8, 320, 400)
    cost = measure_cost(lambda: gradient_of(ssl, logits.float(), labels), repeats=1)
    assert cost.peak_bytes < 4 * logits.numel() * 4 + 16 * 65536 * 8


def test_float32_decides_as_float64():
    logits, labels = blobs(2, 5, 20, 24)
    logits = logits.float()
    counts = [ssl.parts(each, labels).sums["selected"] for each in (logits, logits.double())]
    assert torch.equal(*counts)


def test_facts_are_those_of_the_plain_form():
    logits, labels = blobs(2, 4, 12, 14, void=0.1)
    valid, shape = (labels != 255).unsqueeze(1), {"window": 3, "sigma": 1.5, "c4": 0.01, "border": "renormalise"}
    maps = one_hot(logits, labels), logits.sigmoid()
    wanted, found = (normalised(each, valid, **shape) for each in maps)
    error = (wanted - found).abs() * valid
    kept = error > 0.1 * error.amax((1, 2, 3), keepdim=True)
    facts = ssl.parts(logits, labels).facts
    assert facts["largest"] == pytest.approx(error.max().item(), rel=1e-9)
    assert facts["selected"] == pytest.approx((kept.sum() / (4 * valid.sum())).item())


def test_parts_add_up():
    logits, labels = blobs(2, 4, 12, 14, void=0.1)
    whole = ssl.parts(logits, labels)
    assert whole.per_class is not None
    assert whole.per_class.sum() == pytest.approx(whole.value.item(), rel=1e-12)
    each = [ssl.parts(logits[i : i + 1], labels[i : i + 1]) for i in range(2)]
    weighted, selected = (sum(part.sums[name].sum() for part in each) for name in ("weighted", "selected"))
    assert weighted / selected == pytest.approx(whole.value.item(), rel=1e-12)


def test_all_void_is_undefined():
    parts = ssl.parts(torch.randn(1, 3, 5, 5, requires_grad=True), torch.full((1, 5, 5), 255))
    assert (parts.defined, parts.value.item()) == (False, 0)
    parts.value.backward()


def test_blurring_is_its_own_adjoint_and_keeps_mass():
    weights = taps(5, 1.2)
    assert blurred(torch.ones(1, 9, 9), weights)[0, 4, 4] == pytest.approx(whole_mass(weights))
    assert weights[1] / weights[0] == pytest.approx(math.exp(-1 / (2 * 1.2**2)))
    a, b = torch.randn(2, 1, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((blurred(a, weights) * b).sum(), (a * blurred(b, weights)).sum())
