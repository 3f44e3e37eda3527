"""Dense CRF in tiles against the matrix of all pairs, and the digits it keeps."""

import math

import pytest
import torch
from references import reference
from scenes import scene, value_and_gradient
from torch import Tensor

from segablate.errors import KnobError
from segablate.losses.dense_crf import dense_crf
from segablate.losses.parts import all_pairs
from segablate.losses.parts.all_pairs import blur, complement


def colours(images: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    base = torch.rand(images, 3, 3, 3, generator=generator, dtype=torch.float64) * 255
    return torch.nn.functional.interpolate(base, (height, width), mode="bilinear")


@pytest.mark.parametrize("form", ["code", "potts"])
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3, 0.05])
@pytest.mark.parametrize(("rgb", "xy"), [(15.0, 100.0), (60.0, 3.0), (0.5, 1.0)])
def test_tiles_give_what_the_matrix_gives(rgb, xy, scale, form, monkeypatch):
    monkeypatch.setitem(all_pairs.TILE, "cpu", 29)
    logits, labels = scene(2, 4, 13, 18)
    image, roi = colours(2, 13, 18), torch.rand(2, 13, 18, generator=torch.Generator().manual_seed(0)).double()
    settings = {"sigma_rgb": rgb, "sigma_xy": xy, "scale": scale, "form": form}
    plain, tiled = (
        value_and_gradient(lambda z, loss=loss: loss(z, labels, image=image, roi=roi, **settings), logits)
        for loss in (reference("dense_crf"), dense_crf)
    )
    torch.testing.assert_close(tiled[0], plain[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(tiled[1], plain[1], rtol=0, atol=1e-10 * plain[1].abs().max().item())


def test_reports_size_and_disagreement():
    logits, labels = scene(1, 4, 33, 47)
    image = colours(1, 33, 47)
    parts = dense_crf.parts(logits, labels, image=image)
    potts, code = (dense_crf(logits, labels, image=image, form=form).item() for form in ("potts", "code"))
    assert (parts.facts["rows"], parts.facts["columns"], parts.facts["scale"]) == (16, 23, 0.5)
    assert parts.facts["disagreement"] == pytest.approx(potts / (potts - code), rel=1e-12)
    assert 0 < parts.facts["disagreement"] < 1


def test_sums_give_both_energies():
    logits, labels = scene(2, 4, 20, 24)
    image = colours(2, 20, 24)
    sums = dense_crf.parts(logits, labels, image=image).sums
    potts, code = (dense_crf(logits, labels, image=image, form=form).item() for form in ("potts", "code"))
    assert sums["disagreement"].item() / 2 == pytest.approx(potts, rel=1e-12)
    assert (sums["disagreement"] - sums["pairs"]).item() / 2 == pytest.approx(code, rel=1e-12)


def test_no_region_is_zero_and_undefined():
    logits, labels = scene(2, 3, 12, 12)
    parts = dense_crf.parts(logits, labels, image=colours(2, 12, 12), roi=torch.zeros(2, 12, 12))
    assert not parts.defined
    assert parts.value.item() == 0


def test_a_constant_image_leaves_distance_alone():
    logits, labels = scene(1, 3, 12, 12)
    grey = torch.full((1, 3, 12, 12), 128.0, dtype=torch.float64)
    narrow, wide = (dense_crf(logits, labels, image=grey, sigma_rgb=rgb).item() for rgb in (1, 1000))
    assert narrow == pytest.approx(wide, rel=1e-12)


def test_far_colours_in_float32_keep_their_digits():
    """Squared lengths of 1e8 would swallow the differences of like colours."""
    image = (colours(1, 24, 24) + 10 * torch.rand(1, 3, 24, 24)).float()
    logits, labels = scene(1, 3, 24, 24, dtype=torch.float32)
    settings = {"sigma_rgb": 0.02, "sigma_xy": 0.5, "scale": 1.0}
    single = dense_crf(logits, labels, image=image, **settings).item()
    assert single == pytest.approx(
        dense_crf(logits.double(), labels, image=image.double(), **settings).item(), rel=1e-5
    )


def test_sure_predictions_keep_their_digits_in_float32():
    """Potts energies of 1e-8 of the kernel's sum: 1 - p must not be made by subtraction."""
    logits, labels = scene(1, 3, 16, 16, void=0)
    logits = torch.zeros_like(logits)
    logits[:, 0] = 20
    image = colours(1, 16, 16)
    double, single = (
        value_and_gradient(lambda z, t=t: dense_crf(z, labels, image=image.to(t), form="potts"), logits.to(t))
        for t in (torch.float64, torch.float32)
    )
    torch.testing.assert_close(single[0].double(), double[0], rtol=1e-4, atol=0)
    torch.testing.assert_close(single[1].double(), double[1], rtol=1e-3, atol=1e-3 * double[1].abs().max().item())


def test_complement():
    p = torch.tensor([[1 - 1e-12, 4e-13, 6e-13], [0.5, 0.25, 0.25]], dtype=torch.float64).T.unsqueeze(0)
    torch.testing.assert_close(
        complement(p)[0].T, torch.tensor([[1e-12, 1, 1], [0.5, 0.75, 0.75]], dtype=torch.float64), rtol=1e-11, atol=0
    )


def test_tiles_far_apart_are_skipped(monkeypatch):
    monkeypatch.setitem(all_pairs.TILE, "cpu", 8)
    points = torch.arange(400, dtype=torch.float64).unsqueeze(1)
    tiles = all_pairs._near_tiles(points, 8)
    assert len(tiles) == 50 + 49  # a gap of 1 matters, one of 9 no longer
    kernel = torch.exp(-(points - points.T).square() / 2)
    maps = torch.rand(400, 3, dtype=torch.float64)
    torch.testing.assert_close(blur(points, maps), kernel @ maps, rtol=1e-13, atol=0)


def test_what_is_kept_is_linear_in_the_pixels():
    logits, labels = scene(1, 3, 48, 48)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.numel()), t)[1], lambda t: t):
        dense_crf(logits.requires_grad_(), labels, image=colours(1, 48, 48), scale=1.0)
    assert max(sizes) <= logits.numel() < 48**4


def test_bad_inputs():
    logits, labels = scene(1, 3, 8, 8)
    with pytest.raises(KnobError, match="dense_crf needs image beside logits and labels"):
        dense_crf(logits, labels)
    with pytest.raises(ValueError, match=r"image is \(1, 3, 4, 8\), but these logits need \(1, 3, 8, 8\)"):
        dense_crf(logits, labels, image=torch.zeros(1, 3, 4, 8))
    with pytest.raises(ValueError, match=r"roi is \(1, 4, 8\), but these logits need \(1, 8, 8\)"):
        dense_crf(logits, labels, image=colours(1, 8, 8), roi=torch.ones(1, 4, 8))
    with pytest.raises(KnobError, match="scale is 0, but must be a number greater than 0 and at most 1"):
        dense_crf(logits, labels, image=colours(1, 8, 8), scale=0)
    assert math.isfinite(dense_crf(logits, labels, image=colours(1, 8, 8).to(torch.uint8)).item())
