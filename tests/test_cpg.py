"""CPG against convolutions in rational numbers and loops over windows."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from scenes import VOID, one_hot_logits, scene, value_and_gradient
from torch import Tensor

from segablate.losses.cpg import cpg
from segablate.losses.parts.sobel import derivatives, integer_kernel, kernel, pad, pulled_back, step_gain


def plain_kernel(ksize: int) -> list[list[Fraction]]:
    """K_x as fractions: dx / (dx² + dy²)."""
    r = ksize // 2
    around = range(-r, r + 1)
    return [[Fraction(dx, dx * dx + dy * dy) if dx else Fraction(0) for dx in around] for dy in around]


def plain_derivatives(maps: Tensor, ksize: int) -> Tensor:
    """N H W -> 2 N H W, by a convolution in float64 with the frame repeated."""
    along_x = torch.tensor([[float(entry) for entry in row] for row in plain_kernel(ksize)], dtype=torch.float64)
    padded = F.pad(maps.double().unsqueeze(1), (ksize // 2,) * 4, mode="replicate")
    return F.conv2d(padded, torch.stack([along_x, along_x.T]).unsqueeze(1)).transpose(0, 1)


def plain_windows(labels: Tensor, reach: int):
    """Every pixel with the labels in its square window, clipped at the frame."""
    for n, i, j in torch.cartesian_prod(*map(torch.arange, labels.shape)).tolist():
        yield n, i, j, labels[n, max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]


def plain_mask(labels: Tensor, classes: int, ksize: int, width, void: str) -> Tensor:
    """C 2 N H W."""
    mask = torch.zeros(classes, 2, *labels.shape, dtype=torch.bool)
    for index in range(classes):
        slopes = plain_derivatives(labels == index, ksize)
        mask[index] = slopes.abs() > 1e-9  # in float64 the rounding of a sum of 0 stays far below
    if width == "all":
        mask[:] = True
    elif width != "official":
        mask[:] = False
        for n, i, j, window in plain_windows(labels, width):
            shown = set(window.flatten().tolist()) - {VOID}
            if len(shown) > 1:
                mask[list(shown), :, n, i, j] = True
    mask &= labels != VOID
    if void == "window":
        for n, i, j, window in plain_windows(labels, ksize // 2):
            if (window == VOID).any():
                mask[:, :, n, i, j] = False
    return mask


def plain_cpg(logits: Tensor, labels: Tensor, ksize=3, width="official", normalise="none", void="centre") -> Tensor:
    probabilities, classes = logits.softmax(1), logits.shape[1]
    mask = plain_mask(labels, classes, ksize, width, void)
    errors = torch.stack(
        [plain_derivatives(probabilities[:, c] - (labels == c).double(), ksize) for c in range(classes)]
    )
    gain = float(sum(entry for row in plain_kernel(ksize) for entry in row if entry > 0))
    return (errors[mask] ** 2).mean() / (gain**2 if normalise == "step" else 1)


@pytest.mark.parametrize("void", ["centre", "window"])
@pytest.mark.parametrize("width", ["official", 1, 2, 3, "all"])
@pytest.mark.parametrize("ksize", [3, 5, 7])
def test_equals_the_plain_formula(ksize, width, void):
    logits, labels = scene(2, 4, 17, 14, void=0.1)
    settings = {"ksize": ksize, "width": width, "void": void}
    expected, expected_gradient = value_and_gradient(lambda z: plain_cpg(z, labels, **settings), logits)
    value, gradient = value_and_gradient(lambda z: cpg(z, labels, **settings), logits)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("ksize", [3, 5, 7, 9, 15])
def test_step_normalisation_divides_by_the_gain(ksize):
    logits, labels = scene(1, 3, 20, 24)
    settings = {"ksize": ksize, "normalise": "step"}
    torch.testing.assert_close(cpg(logits, labels, **settings), plain_cpg(logits, labels, **settings))


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


def test_pulling_back_is_the_adjoint():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 9, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    for ksize in (3, 5, 9):
        weights = kernel(ksize)
        slopes = derivatives(pad(maps, ksize // 2), weights)
        along = [torch.randn(2, 9, 8, generator=generator, dtype=torch.float64) for _ in slopes]
        (expected,) = torch.autograd.grad(sum((s * a).sum() for s, a in zip(slopes, along, strict=True)), maps)
        torch.testing.assert_close(pulled_back(*along, weights), expected)


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


def test_share_counts_the_elements():
    logits, labels = scene(1, 3, 20, 20)
    assert cpg.parts(logits, labels, width="all").facts["share"] == 1
    parts = cpg.parts(logits, labels)
    mask = plain_mask(labels, 3, 3, "official", "centre")
    assert parts.facts["share"] == pytest.approx(mask.sum().item() / (2 * 3 * (labels != VOID).sum().item()))
    assert torch.equal(parts.sums["elements"], mask.flatten(1).sum(1))
