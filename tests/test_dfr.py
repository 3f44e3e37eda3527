"""DFR against windows that are unfolded, and as a dense CRF."""

import math

import pytest
import torch
import torch.nn.functional as F
from references import reference
from references.dfr import KERNELS
from scenes import scene, value_and_gradient
from torch import Tensor

from segablate.errors import KnobError
from segablate.losses.dense_crf import dense_crf
from segablate.losses.dfr import dfr


def surroundings(height: int, width: int, images: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)

    def smooth(channels: int) -> Tensor:
        cells = torch.rand(images, channels, 3, 4, generator=generator, dtype=torch.float64)
        return F.interpolate(cells, (height, width), mode="bilinear")

    roi = torch.rand(images, height, width, generator=generator, dtype=torch.float64)
    roi[:, :3] = 0
    return {"image": 255 * smooth(3), "features": 2 * smooth(20), "roi": roi}


@pytest.mark.parametrize("combine", KERNELS)
@pytest.mark.parametrize(("radius", "size"), [(1, (9, 13)), (5, (14, 11)), (12, (6, 15))], ids=str)
def test_equals_unfolded_windows(radius, size, combine):
    logits, labels = scene(2, 4, *size)
    given = surroundings(*size)
    settings = {"radius": radius, "sigma_xy": 4.0, "sigma_rgb": 0.3, "sigma_feat": 1.7, "combine": combine}
    plain, shifted = (
        value_and_gradient(lambda z, loss=loss: loss(z, labels, **given, **settings), logits)
        for loss in (reference("dfr"), dfr)
    )
    torch.testing.assert_close(shifted[0], plain[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(shifted[1], plain[1], rtol=0, atol=1e-11 * plain[1].abs().max().item())


def test_sums_give_the_value_and_the_disagreement():
    logits, labels = scene(2, 4, 9, 13)
    given = surroundings(9, 13)
    parts = dfr.parts(logits, labels, **given)
    sums = {name: total.item() for name, total in parts.sums.items()}
    assert sums["disagreement"] / sums["pixels"] == pytest.approx(parts.value.item(), rel=1e-12)
    assert sums["disagreement"] / sums["pairs"] == pytest.approx(parts.facts["disagreement"], rel=1e-12)
    assert sums["pixels"] == pytest.approx(given["roi"].sum().item())


def test_all_pairs_without_features_are_the_dense_crf():
    logits, labels = scene(2, 4, 12, 15)
    given = surroundings(12, 15)
    shallow = dfr(logits, labels, **given, combine="shallow", dense=True, sigma_rgb=0.2, sigma_xy=5)
    crf = dense_crf(
        logits, labels, image=given["image"], roi=given["roi"], scale=1, sigma_rgb=0.2 * 255, sigma_xy=5, form="code"
    )
    assert shallow.item() == pytest.approx(crf.item(), rel=1e-12)


def test_features_come_from_any_grid():
    logits, labels = scene(1, 3, 12, 16)
    given = surroundings(12, 16, 1)
    coarse, fine = torch.rand(1, 4, 3, 4, dtype=torch.float64), torch.rand(1, 4, 24, 32, dtype=torch.float64)
    for features, expected in (
        (coarse, F.interpolate(coarse, (12, 16), mode="bilinear", align_corners=False)),
        (fine, F.avg_pool2d(fine, 2)),
    ):
        value = dfr(logits, labels, **(given | {"features": features}))
        assert value.item() == pytest.approx(dfr(logits, labels, **(given | {"features": expected})).item(), rel=1e-12)


def test_no_gradient_flows_into_the_features():
    logits, labels = scene(1, 3, 10, 10)
    given = surroundings(10, 10, 1)
    features = given["features"].requires_grad_()
    for dense in (False, True):
        value = dfr(logits.requires_grad_(), labels, **given, dense=dense)
        assert torch.autograd.grad(value, features, allow_unused=True) == (None,)


def test_alike_predictions_are_zero_and_reported():
    labels = scene(1, 3, 10, 10)[1]
    logits = torch.tensor([40.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 10, 10)
    parts = dfr.parts(logits, labels, **surroundings(10, 10, 1))
    assert parts.value.item() == pytest.approx(0, abs=1e-15)
    assert parts.facts["disagreement"] == pytest.approx(0, abs=1e-15)
    uniform = dfr.parts(0 * logits, labels, **surroundings(10, 10, 1))
    assert uniform.facts["disagreement"] == pytest.approx(2 / 3, rel=1e-5)


def test_a_single_pixel_has_no_pairs():
    logits, labels = scene(1, 3, 1, 1)
    parts = dfr.parts(logits, labels, image=torch.zeros(1, 3, 1, 1), combine="shallow")
    assert not parts.defined
    assert parts.value.item() == 0


def test_float32_keeps_the_digits_of_sure_predictions():
    logits, labels = scene(1, 3, 16, 16, void=0)
    logits = 0 * logits
    logits[:, 1] = 20
    given = surroundings(16, 16, 1)
    double = dfr(logits, labels, **given).item()
    single = dfr(logits.float(), labels, **{name: tensor.float() for name, tensor in given.items()}).item()
    assert single == pytest.approx(double, rel=1e-4)


def test_bad_inputs():
    logits, labels = scene(2, 3, 8, 8)
    given = surroundings(8, 8)
    for combine in ("product", "sum", "deep"):
        with pytest.raises(KnobError, match="dfr needs features beside logits and labels"):
            dfr(logits, labels, image=given["image"], combine=combine)
    with pytest.raises(KnobError, match="dfr needs image"):
        dfr(logits, labels, features=given["features"])
    with pytest.raises(ValueError, match=r"features is \(1, 20, 8, 8\), but these logits need \(2,\)"):
        dfr(logits, labels, image=given["image"], features=given["features"][:1])
    with pytest.raises(ValueError, match=r"image is \(2, 1, 8, 8\), but these logits need \(2, 3\)"):
        dfr(logits, labels, image=given["image"][:, :1], combine="shallow")


def test_defined_however_little_the_pairs_weigh():
    logits = torch.tensor([[[[2.0, -2.0]], [[-2.0, 2.0]]]])  # two pixels of which each is another class
    labels = torch.zeros(1, 1, 2, dtype=torch.long)
    given = {"image": torch.zeros(1, 3, 1, 2), "radius": 1, "sigma_xy": 0.5, "combine": "shallow"}
    parts = dfr.parts(logits, labels, **given)
    assert parts.sums["pairs"].item() == pytest.approx(2 * math.exp(-2))
    assert parts.defined
    assert not dfr.parts(logits, labels, roi=torch.zeros(1, 1, 2), **given).defined
