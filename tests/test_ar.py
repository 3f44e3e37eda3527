"""AR in tiles of affinities, and its identities."""

import pytest
import torch
from references import reference
from scenes import VOID, one_hot_logits, scene, value_and_gradient

from segablate.errors import KnobError
from segablate.losses.ar import ar
from segablate.losses.parts import affinities


@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("kernel", ["sqrt", "dot"])
@pytest.mark.parametrize("scales", [(4, 8), (1,), (3, 7, 64)], ids=str)
def test_tiles_give_what_whole_matrices_give(scales, kernel, penalty, monkeypatch):
    monkeypatch.setattr(affinities, "TILE", 37)
    logits, labels = scene(2, 4, 21, 26, void=0.2)
    labels[0, :8, :8] = VOID  # whole cells without a label
    settings = {"scales": scales, "kernel": kernel, "penalty": penalty}
    plain = value_and_gradient(lambda z: reference("ar")(z, labels, **settings), logits)
    gram = value_and_gradient(lambda z: ar(z, labels, **settings), logits)
    torch.testing.assert_close(gram, plain, rtol=1e-10, atol=1e-14)


def test_an_image_of_void_adds_nothing():
    logits, labels = scene(2, 4, 24, 24)
    labels[1] = VOID
    assert ar(logits, labels).item() == pytest.approx(ar(logits[:1], labels[:1]).item(), rel=1e-12)


def test_perfect_predictions_are_zero():
    labels = scene(1, 4, 24, 24)[1]
    assert ar(one_hot_logits(labels, 4, 100.0), labels).item() == pytest.approx(0, abs=1e-12)


def test_a_scale_larger_than_the_image_tells_nothing_with_roots_alone():
    logits, labels = scene(2, 4, 12, 14)
    assert ar(logits, labels, scales=(64,)).item() == pytest.approx(0, abs=1e-15)
    assert ar(logits, labels, scales=(64,), kernel="dot").item() > 1e-4


def test_probabilities_that_underflow_stay_finite():
    logits, labels = scene(1, 4, 16, 16, dtype=torch.float32)
    for kernel in ("sqrt", "dot"):
        value, gradient = value_and_gradient(lambda z, k=kernel: ar(z, labels, scales=(1, 2), kernel=k), 1000 * logits)
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_absent_classes_have_no_effect():
    logits, labels = scene(1, 4, 16, 16)
    more = torch.cat([logits, torch.full_like(logits[:, :2], -1e4)], 1)
    torch.testing.assert_close(ar(more, labels), ar(logits, labels), rtol=1e-10, atol=0)


def test_what_is_kept_is_linear_in_the_cells():
    """No tensor of M×M entries is kept for the gradient."""
    logits, labels = scene(1, 3, 64, 64)
    for penalty in ("l2", "l1"):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: (s.append(t.numel()), t)[1], lambda t: t):
            ar(logits.requires_grad_(), labels, scales=(1,), penalty=penalty)
        assert max(sizes) <= 2 * logits.numel() < 64**4


def test_sums_give_the_value():
    logits, labels = scene(3, 4, 21, 26)
    sums = ar.parts(logits, labels).sums
    assert (sums["differences"] / sums["pairs"]).mean().item() == pytest.approx(ar(logits, labels).item(), rel=1e-12)


def test_counts_cells():
    logits, labels = scene(1, 3, 16, 20, void=0)
    assert ar.parts(logits, labels, scales=(4, 8)).facts == {"cells": 20 + 6}


def test_refuses_scales_that_are_none():
    logits, labels = scene(1, 3, 8, 8)
    with pytest.raises(KnobError, match=r"scales is 0:4, but each must "):
        ar(logits, labels, scales=(0, 4))
