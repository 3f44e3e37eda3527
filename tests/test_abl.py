"""ABL on images that leave little to measure, its reference case, and what this program settles by itself."""

import numpy as np
import pytest
import torch
from references import reference
from references.abl import label_distance, predicted_boundary
from scenes_of_losses import blobs, golden, gradient_of

from segablate.losses.abl import abl
from segablate.losses.parts.predicted_boundary import dilated, divergences, select_seeds
from segablate.losses.parts.steering import distances, label_boundary


@pytest.mark.parametrize("size", [(1, 9), (8, 1), (2, 2), (1, 1)], ids=str)
@pytest.mark.parametrize("detach", [True, False])
def test_equals_the_plain_procedure_on_tiny_images(size, detach):
    logits, labels = blobs(2, 3, *size)
    setting = {"budget": 0.5, "distance": "exact", "detach": detach}
    plain = gradient_of(reference("abl"), logits, labels, **setting)
    torch.testing.assert_close(gradient_of(abl, logits, labels, **setting), plain, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", ["abl_base", "abl_tiny"])
def test_reference_case(name):
    case = golden(name)
    value, gradient = gradient_of(abl, case.logits.float(), case.labels, scope="batch")
    assert value == pytest.approx(case.meta["value"], rel=1e-6)
    torch.testing.assert_close(gradient.double(), case.gradient, rtol=0, atol=2e-9)


def test_reference_maps():
    case = golden("abl_base")
    boundary = label_boundary(case.labels, 255)
    assert torch.equal(boundary, case.arrays["gt_boundary"])
    assert torch.equal(distances(boundary, True, False), case.arrays["dist_map"])
    seeds = select_seeds(divergences(case.logits.float()), 0.01, True)
    assert torch.equal(dilated(seeds), case.arrays["pred_boundary"])


def test_exact_distances_of_the_reference_case():
    case = golden("abl_base")
    assert abl(case.logits, case.labels, distance="exact").item() == pytest.approx(0.1790, abs=5e-5)


def test_an_image_without_label_boundary_is_left_out():
    logits, labels = blobs(2, 4, 24, 24)
    labels[1] = 2
    value, gradient = gradient_of(abl, logits, labels)
    assert value == pytest.approx(abl(logits[:1], labels[:1]).item(), rel=1e-12)
    assert (gradient[1] == 0).all()
    assert abl.parts(logits, labels).facts["skipped"] == 1
    alone = abl.parts(logits[1:], labels[1:])
    assert (alone.defined, alone.value) == (False, 0)
    assert abl.parts(logits[1:], labels[1:], no_boundary="corner").defined


def test_seeds_of_a_skipped_image_still_use_up_the_batch_budget():
    logits, labels = blobs(2, 4, 30, 30)
    before = abl.parts(logits, labels, scope="batch").facts["seeds"]
    labels[1] = 2
    parts = abl.parts(logits, labels, scope="batch")
    assert parts.facts["seeds"] == before <= 9
    assert parts.value == pytest.approx(reference("abl")(logits, labels, scope="batch").item(), rel=1e-9)


def test_the_value_of_an_image_does_not_hang_on_its_company():
    logits, labels = blobs(1, 4, 24, 24)
    alone = abl(logits, labels).item()
    twice = logits.repeat(2, 1, 1, 1), labels.repeat(2, 1, 1)
    assert abl(*twice).item() == pytest.approx(alone, rel=1e-12)
    assert abl(*twice, scope="batch").item() != pytest.approx(alone, rel=1e-3)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (torch.zeros(1, 3, 20, 20), torch.arange(400).view(1, 20, 20) % 3),  # nothing predicted
        (torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0)), torch.full((1, 20, 20), 255)),
        (torch.randn(1, 3, 8, 9, generator=torch.Generator().manual_seed(0)), torch.arange(72).view(1, 8, 9) % 3),
    ],
    ids=["flat", "all void", "too small for a seed"],
)
def test_nothing_to_measure_is_an_attached_zero(logits, labels):
    parts = abl.parts(logits.requires_grad_(), labels)
    assert (parts.defined, parts.value.item()) == (False, 0)
    (gradient,) = torch.autograd.grad(parts.value, logits)
    assert (gradient == 0).all()


def test_facts_and_sums():
    logits, labels = blobs(2, 4, 40, 40, void=0.05)
    parts = abl.parts(logits, labels)
    boundary = predicted_boundary(logits, 0.01, "image")
    away = np.stack([label_distance(label, "floor", "skip") for label in labels.numpy()])
    assert 0 < parts.facts["seeds"] <= 2 * 16
    assert parts.facts["boundary_pixels"] == parts.sums["pixels"] == boundary.sum()
    assert parts.facts["unweighted"] == pytest.approx((away[boundary.numpy()] == 0).mean())
    assert parts.sums["entropy"] / parts.sums["pixels"] == pytest.approx(parts.value.item(), rel=1e-12)


def test_many_pixels_are_gathered_in_parts(monkeypatch):
    logits, labels = blobs(2, 4, 24, 24)
    whole = gradient_of(abl, logits, labels, budget=0.1, detach=False)
    monkeypatch.setattr("segablate.losses.parts.predicted_boundary._CACHED", 500)
    torch.testing.assert_close(gradient_of(abl, logits, labels, budget=0.1, detach=False), whole)


def test_half_precision_is_reckoned_in_float32():
    logits, labels = blobs(1, 4, 24, 24)
    value = abl(logits.half(), labels)
    assert value.dtype == torch.float32
    assert value == abl(logits.half().float(), labels)


def test_scores_beyond_every_threshold():
    logits, labels = blobs(1, 3, 12, 12)
    value, gradient = gradient_of(abl, 1e30 * logits.float(), labels, budget=0.05)
    assert np.isfinite(value)
    assert gradient.isfinite().all()
