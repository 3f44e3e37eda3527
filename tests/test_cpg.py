"""CPG: its kernels as fractions, what enters the mask, and perfect predictions."""

from fractions import Fraction

import pytest
import torch
from references.cpg import mask, slopes
from scenes import VOID, one_hot_logits, scene
from scenes_of_losses import blobs, gradient_of

from segablate.datasets import open_dataset
from segablate.losses.cpg import cpg
from segablate.losses.parts.sharing import sharing
from segablate.losses.parts.sobel import derivatives, integer_kernel, kernel, pad, pulled_back, step_gain


def plain_kernel(ksize: int) -> list[list[Fraction]]:
    """K_x as fractions: dx / (dx² + dy²)."""
    r = ksize // 2
    around = range(-r, r + 1)
    return [[Fraction(dx, dx * dx + dy * dy) if dx else Fraction(0) for dx in around] for dy in around]


def test_gains_and_kernels():
    assert [step_gain(k) for k in (3, 5, 7)] == pytest.approx([2, 4.2, 6.4359], abs=1e-4)
    for ksize in range(3, 16, 2):
        whole, dtype = integer_kernel(ksize)
        exact = plain_kernel(ksize)
        r, scale = ksize // 2, whole[0][0]
        expected = [[exact[r + dy][r + j] * scale for dy in range(r + 1)] for j in range(1, r + 1)]
        assert [list(row) for row in whole] == expected
        assert sum(row[0] + 2 * sum(row[1:]) for row in whole) <= torch.iinfo(dtype).max


@pytest.mark.parametrize("ksize", [3, 5, 7, 13])
def test_flat_regions_never_enter_the_mask(ksize):
    labels = torch.zeros(1, 40, 40, dtype=torch.long)
    labels[:, :, 20:] = 1  # one straight edge: r columns either side, in x alone, for both classes
    parts = cpg.parts(torch.randn(1, 2, 40, 40, generator=torch.Generator().manual_seed(0)), labels, ksize=ksize)
    assert parts.sums["elements"].tolist() == [40 * 2 * (ksize // 2)] * 2


@pytest.mark.data
@pytest.mark.parametrize(("ksize", "times"), [(3, 1), (5, 6), (7, 4)])
def test_rounding_adds_as_many_elements_as_the_docstring_says(real_data, ksize, times):
    """The authors compare sums of products in float32 with 0."""
    data = open_dataset(f"camvid:{real_data / 'camvid'}", "val")
    elements = {"rounded": 0, "exact": 0}
    for index in range(0, len(data), 20):
        labels = torch.from_numpy(data.read(index, image=False).labels).long().unsqueeze(0)
        logits = torch.zeros(1, len(data.labels), *labels.shape[1:])
        _, slope = slopes(logits, labels, ksize)
        elements["rounded"] += int(((slope != 0) & (labels != VOID)[:, None, None]).sum())
        elements["exact"] += int(cpg.parts(logits, labels, ksize=ksize).sums["elements"].sum())
    assert round(elements["rounded"] / elements["exact"]) == times
    assert "6 and 4 times as many elements" in " ".join(cpg.docstring.split())


def test_pulling_back_is_the_adjoint():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 9, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    for ksize in (3, 5, 9):
        weights = kernel(ksize)
        slopes = derivatives(pad(maps, ksize // 2), weights)
        along = [torch.randn(2, 9, 8, generator=generator, dtype=torch.float64) for _ in slopes]
        (expected,) = torch.autograd.grad(sum((s * a).sum() for s, a in zip(slopes, along, strict=True)), maps)
        torch.testing.assert_close(pulled_back(*along, weights), expected)


@pytest.mark.parametrize(
    "settings",
    [{}, {"ksize": 7}, {"width": 2}, {"width": 9}, {"width": "all", "ksize": 5}, {"void": "window", "width": 1}],
    ids=str,
)
def test_rows_in_parts_give_the_same(settings, monkeypatch):
    logits, labels = blobs(2, 4, 47, 13, void=0.1)
    whole = gradient_of(cpg, logits, labels, **settings)
    with sharing(), torch.no_grad():
        shared = cpg.parts(logits, labels, **settings)
    monkeypatch.setattr("segablate.losses.parts.strips.VALUES", 1)
    torch.testing.assert_close(gradient_of(cpg, logits, labels, **settings), whole, rtol=1e-12, atol=1e-15)
    parts = cpg.parts(logits, labels, **settings)
    assert parts.value.item() == pytest.approx(whole[0], rel=1e-12)
    assert shared.value.item() == pytest.approx(whole[0], rel=1e-12)
    assert torch.equal(parts.sums["elements"], shared.sums["elements"])


def test_no_boundary_is_perfect_but_undefined():
    logits, labels = scene(1, 3)
    parts = cpg.parts(logits.requires_grad_(), torch.ones_like(labels))
    assert parts.value.item() == 0
    assert parts.defined is False
    assert not torch.autograd.grad(parts.value, logits)[0].any()
    assert cpg.parts(logits, torch.ones_like(labels), width="all").defined is True


def test_a_perfect_prediction_is_perfect():
    _, labels = scene(1, 4, void=0)
    assert cpg(one_hot_logits(labels, 4, 100.0), labels).item() == 0


def test_with_whole_windows_void_has_no_say():
    logits, labels = scene()
    moved = logits + 9 * (labels == VOID).unsqueeze(1) * torch.arange(5).view(1, -1, 1, 1)
    assert torch.equal(cpg(moved, labels, void="window"), cpg(logits, labels, void="window"))
    assert cpg(moved, labels) != cpg(logits, labels)


def test_sums_give_the_value():
    logits, labels = scene()
    for settings in ({}, {"ksize": 5, "normalise": "step"}):
        sums = cpg.parts(logits, labels, **settings).sums
        value = cpg(logits, labels, **settings).item()
        assert (sums["squares"].sum() / sums["elements"].sum()).item() == pytest.approx(value, rel=1e-12)


def test_share_counts_the_elements():
    logits, labels = scene(1, 3, 20, 20)
    assert cpg.parts(logits, labels, width="all").facts["share"] == 1
    parts = cpg.parts(logits, labels)
    scored = mask(slopes(logits, labels, 3)[1], labels, 3, "official", "centre")
    assert parts.facts["share"] == pytest.approx(scored.sum().item() / (2 * 3 * (labels != VOID).sum().item()))
    assert torch.equal(parts.sums["elements"], scored.sum((0, 2, 3, 4)))
