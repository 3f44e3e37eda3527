"""ABL against the published procedure in a plain form, and what this program settles by itself."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scenes_of_losses import blobs, golden, gradient_of
from scipy.ndimage import distance_transform_edt

from segablate.losses.abl import abl
from segablate.losses.parts.predicted_boundary import dilated, divergences, select_seeds
from segablate.losses.parts.steering import distances, label_boundary

OFFSETS = ((1, 0), (-1, 0), (0, -1), (0, 1), (-1, 1), (1, 1), (-1, -1), (1, -1), (0, 0))


def seeds_by_raising(logits, budget, scope):
    """The threshold is raised by a fifth until few enough pixels are above it."""
    share, log_share = logits.detach().softmax(1), logits.detach().log_softmax(1)
    down = (share[:, :, :-1] * (log_share[:, :, :-1] - log_share[:, :, 1:])).sum(1)
    right = (share[..., :-1] * (log_share[..., :-1] - log_share[..., 1:])).sum(1)
    difference = F.pad(down, (0, 0, 0, 1)) + F.pad(right, (0, 1))
    groups = difference.split(1) if scope == "image" else [difference]
    found = []
    for group in groups:
        threshold = 1e-5
        while (group > threshold).sum() > budget * logits.shape[2] * logits.shape[3]:
            threshold *= 1.2
        found.append(group > threshold)
    return torch.cat(found)


def distance_plainly(labels, distance, no_boundary):
    """Of one image; None if it is to be skipped."""
    boundary = labels == 255
    boundary[:-1] |= labels[:-1] != labels[1:]
    boundary[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    if boundary.any():
        away = distance_transform_edt(~boundary)
    elif no_boundary == "skip":
        return None
    else:
        row, column = np.indices(labels.shape)
        away = np.hypot(row + 1, column)
    return np.maximum(np.floor(away - 1), 0) if distance == "floor" else away


def by_raising(
    logits, labels, budget=0.01, clip=20.0, smoothing=0.2, detach=True, scope="image", distance="floor", **rest
):
    seeds = seeds_by_raising(logits, budget, scope)
    terms, pixels = [], 0
    for image, label, seed in zip(logits, labels, seeds, strict=True):
        away = distance_plainly(label.numpy(), distance, rest.get("no_boundary", "skip"))
        if away is None:
            continue
        padded = np.pad(away, 1, constant_values=1e5)
        height, width = away.shape
        for row, column in np.argwhere((F.max_pool2d(seed.float()[None], 3, 1, 1)[0] > 0).numpy()):
            around = [padded[row + 1 + down, column + 1 + right] for down, right in OFFSETS]
            target = int(np.argmin(around))
            if target == 8:
                continue
            pixels += 1
            centre = image[:, row, column].log_softmax(0)
            rows = [min(max(row + down, 0), height - 1) for down, _ in OFFSETS[:8]]
            columns = [min(max(column + right, 0), width - 1) for _, right in OFFSETS[:8]]
            near = image[:, rows, columns].log_softmax(0)
            near = near.detach() if detach else near
            towards = (near.exp() * (near - centre[:, None])).sum(0)
            aim = torch.full((8,), smoothing / 8, dtype=logits.dtype)
            aim[target] = 1 - smoothing
            weight = min(away[row, column], clip) / clip
            terms.append(-weight * (aim * towards.log_softmax(0)).sum())
    return torch.stack(terms).sum() / pixels if terms else 0 * logits.sum()


SETTINGS = [
    {},
    {"detach": False},
    {"scope": "batch"},
    {"budget": 0.06, "clip": 2.0},
    {"smoothing": 0.0},
    {"smoothing": 0.5, "detach": False},
    {"distance": "exact", "budget": 0.03},
    {"distance": "exact", "detach": False},
    {"budget": 1.0},
    {"no_boundary": "corner"},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("void", [0, 0.1])
def test_equals_the_published_procedure(setting, void):
    logits, labels = blobs(3, 4, 31, 38, void=void)
    labels = labels.roll(7, 2)  # so that boundaries are apart
    labels[2] = 1
    plain = gradient_of(by_raising, logits, labels, **setting)
    ours = gradient_of(abl, logits, labels, **setting)
    torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-12)
    assert ours[0] > 0


@pytest.mark.parametrize("size", [(1, 9), (8, 1), (2, 2), (1, 1)], ids=str)
@pytest.mark.parametrize("detach", [True, False])
def test_equals_the_published_procedure_on_tiny_images(size, detach):
    logits, labels = blobs(2, 3, *size)
    setting = {"budget": 0.5, "distance": "exact", "detach": detach}
    plain = gradient_of(by_raising, logits, labels, **setting)
    torch.testing.assert_close(gradient_of(abl, logits, labels, **setting), plain, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", ["abl_base", "abl_tiny"])
def test_reference_case(name):
    case = golden(name)
    value, gradient = gradient_of(abl, case.logits.float(), case.labels, scope="batch")
    assert value == pytest.approx(case.meta["value"], rel=1e-6)
    torch.testing.assert_close(gradient.double(), case.gradient, rtol=0, atol=2e-9)


def test_reference_maps():
    case = golden("abl_base")
    boundary = label_boundary(case.labels)
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
    assert parts.value == pytest.approx(by_raising(logits, labels, scope="batch").item(), rel=1e-9)


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
    assert 0 < parts.facts["seeds"] <= 2 * 16
    assert parts.facts["boundary_pixels"] == parts.sums["pixels"]
    assert 0 < parts.facts["unweighted"] < 1
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
