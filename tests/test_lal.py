"""LAL on a narrow image, its identities and its reference values."""

import math

import pytest
import torch
import torch.nn.functional as F
from references import reference
from references.lal import SETTINGS
from scenes_of_losses import blobs, golden, gradient_of

from segablate.losses.lal import lal


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_windows_wider_than_the_image(setting):
    logits, labels = blobs(2, 5, 8, 3, void=0.1)
    plain = gradient_of(reference("lal"), logits, labels, **setting)
    shifted = gradient_of(lal, logits, labels, **setting)
    torch.testing.assert_close(shifted, plain, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("setting", "value"), [({}, 1.24902854), ({"norm": "weight"}, 1.344470), ({"domain": "probabilities"}, 1.356624)]
)
def test_reference_values(setting, value):
    case = golden("lal_c5_24x32_w3_s1_k5")
    found, gradient = gradient_of(lal, case.logits, case.labels, **setting)
    assert found == pytest.approx(value, rel=1e-6)
    if not setting:
        torch.testing.assert_close(gradient, case.gradient, rtol=0, atol=1e-4 * case.gradient.abs().max().item())


def test_single_pixels_and_exponent_one_are_cross_entropy():
    logits, labels = blobs(2, 4, 9, 11, void=0.2)
    assert lal(logits, labels, window=1, kappa=1) == pytest.approx(
        F.cross_entropy(logits, labels, ignore_index=255).item(), rel=1e-12
    )


def test_a_large_exponent_nears_the_worst_anchor():
    logits, labels = blobs(1, 4, 9, 11)
    worst = F.cross_entropy(logits, labels, reduction="none").max().item()
    assert lal(logits, labels, window=1, kappa=100) == pytest.approx(worst, rel=0.05)


def test_constant_logits_of_one_class_are_cross_entropy_when_weights_divide():
    logits = torch.tensor([0.3, -1.0, 2.0]).view(1, 3, 1, 1).expand(1, 3, 7, 9)
    labels = torch.ones(1, 7, 9, dtype=torch.long)
    plain = F.cross_entropy(logits, labels).item()
    assert lal(logits, labels, window=5, norm="weight") == pytest.approx(plain, rel=1e-6)
    assert lal(logits, labels, window=5).item() < plain  # shrunken logits are less sure, here of a wrong class


def test_probabilities_that_underflow_stay_finite():
    logits, labels = blobs(1, 3, 8, 8)
    value, gradient = gradient_of(lal, (1e4 * logits).float(), labels, domain="probabilities")
    assert math.isfinite(value)
    assert gradient.isfinite().all()


def test_nothing_wrong_has_no_slope():
    labels = blobs(1, 3, 8, 8)[1]
    logits = 1e4 * F.one_hot(labels, 3).movedim(3, 1).float()
    value, gradient = gradient_of(lal, logits, labels)
    assert value == 0
    assert (gradient == 0).all()


def test_parts_add_up_over_images():
    logits, labels = blobs(2, 4, 12, 14, void=0.1)
    parts = [lal.parts(logits[i : i + 1], labels[i : i + 1]) for i in range(2)]
    powers, anchors = (sum(part.sums[name].item() for part in parts) for name in ("powers", "anchors"))
    assert (powers / anchors) ** (1 / 5) == pytest.approx(lal(logits, labels).item(), rel=1e-12)


def test_a_thin_class_between_the_anchors_is_reported():
    labels = torch.zeros(1, 9, 9, dtype=torch.long)
    labels[:, :, 1] = 1
    parts = lal.parts(torch.randn(1, 3, 9, 9), labels, stride=4)
    assert parts.facts == {"anchors": 9, "reached": 0.5}
    assert parts.per_class is not None
    assert parts.per_class.isnan().tolist() == [False, True, True]


def test_all_void_is_undefined():
    parts = lal.parts(torch.randn(1, 3, 5, 5, requires_grad=True), torch.full((1, 5, 5), 255))
    assert not parts.defined
    assert parts.value == 0
    parts.value.backward()


def test_memory_does_not_grow_with_the_window():
    kept = {}
    for window in (3, 9):
        sizes = []
        logits, labels = blobs(1, 4, 16, 16)
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: (s.append(t.numel()), t)[1], lambda t: t):
            lal(logits.requires_grad_(), labels, window=window)
        kept[window] = sum(sizes)
    assert kept[3] == kept[9]
    assert kept[9] < 4 * logits.numel()
