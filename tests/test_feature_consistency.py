"""Feature consistency: the grid of the labels, missing kinds of pairs and bad inputs."""

import math

import pytest
import torch
import torch.nn.functional as F
from scenes import VOID, scene
from torch import Tensor

from segablate.errors import KnobError
from segablate.losses.feature_consistency import feature_consistency


def cells(height: int = 5, width: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    logits, labels = scene(2, 3, height, width, void=0)
    labels = torch.randint(0, 3, labels.shape, generator=torch.Generator().manual_seed(0))
    labels[0, 0] = VOID
    generator = torch.Generator().manual_seed(2)
    return logits, labels, torch.randn(2, 6, height, width, generator=generator, dtype=torch.float64)


def test_labels_are_sampled_nearest_on_the_features_grid():
    logits, labels = scene(2, 3, 20, 28)
    features = torch.randn(2, 4, 7, 9, dtype=torch.float64)
    rows, columns = (torch.arange(n) * side // n for n, side in ((7, 20), (9, 28)))
    nearest = labels[:, rows][:, :, columns]
    value = feature_consistency(logits, labels, features=features)
    on_grid = feature_consistency(F.interpolate(logits, (7, 9)), nearest, features=features)
    assert value.item() == on_grid.item()


def test_sums_give_the_three_means_and_the_value():
    logits, labels, features = cells()
    parts = feature_consistency.parts(logits, labels, features=features)
    ground, same, different = (parts.sums["totals"] / parts.sums["pairs"]).tolist()
    facts = [parts.facts[name] for name in ("background", "same", "different")]
    assert facts == pytest.approx([ground, same, different], rel=1e-12)
    assert parts.value.item() == pytest.approx(ground / 4 + same / 4 + different / 2, rel=1e-12)


def test_logits_have_no_say():
    logits, labels, features = cells()
    value = feature_consistency(logits.requires_grad_(), labels, features=features.requires_grad_())
    assert not torch.autograd.grad(value, logits, retain_graph=True)[0].any()
    assert torch.autograd.grad(value, features)[0].any()
    assert feature_consistency(logits * math.inf, labels, features=features).item() == value.item()


def test_equal_features_are_bounded():
    logits, labels, features = cells()
    parts = feature_consistency.parts(logits, labels, features=0 * features)
    assert parts.facts["different"] == pytest.approx(-math.log(1e-5), rel=1e-9)
    assert parts.facts["same"] == pytest.approx(-math.log(1 + 1e-5))


def test_missing_kinds_add_nothing():
    logits, labels, features = cells()
    parts = feature_consistency.parts(logits, torch.ones_like(labels), features=features)
    assert parts.defined
    assert parts.value.item() == pytest.approx(0.25 * parts.facts["same"], rel=1e-12)
    assert math.isnan(parts.facts["background"])
    nothing = feature_consistency.parts(logits, torch.full_like(labels, VOID), features=features)
    assert not nothing.defined
    assert nothing.value.item() == 0


def test_features_of_half_precision_are_lifted():
    logits, labels, features = cells()
    half = features.half().requires_grad_()
    value = feature_consistency(logits.float(), labels, features=half)
    assert value.dtype == torch.float32
    assert torch.autograd.grad(value, half)[0].dtype == torch.float16


def test_bad_inputs():
    logits, labels, features = cells()
    with pytest.raises(KnobError, match="feature_consistency needs features beside logits and labels"):
        feature_consistency(logits, labels)
    with pytest.raises(ValueError, match=r"features is \(1, 6, 5, 7\), but these logits need \(2,\)"):
        feature_consistency(logits, labels, features=features[:1])
