"""torchvision's networks, saved by torchvision: read as they are, and one line where they do not fit."""

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from conftest import optional
from torch import Tensor, nn

from segablate.checkpoints import Loading, described_sources, open_checkpoint
from segablate.checkpoints.network import Network
from segablate.checkpoints.sources.card import read_card
from segablate.cli import run
from segablate.datasets.class_lists import listed_classes
from segablate.errors import CheckpointError, MissingExtra
from segablate.samples import Batch, Sample

torchvision = optional("torchvision")

pytestmark = pytest.mark.usefixtures("offline")

CPU = Loading(device="cpu")
LRASPP = "lraspp_mobilenet_v3_large"
PUBLISHED = "d234d4ea" + "0" * 56
"""Begins as the SHA-256 of torchvision's own LR-ASPP."""


def build(name: str, **arguments: Any) -> nn.Module:
    """A network of torchvision's with random weights, its batch norm as after training."""
    torch.manual_seed(0)
    module = torchvision.models.get_model(name, weights=None, weights_backbone=None, **arguments).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr, operator]
            part.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr, operator]
    return module


def save(module: nn.Module, path: Path) -> str:
    torch.save(module.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def lraspp(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of an LR-ASPP for five classes."""
    return save(build(LRASPP, num_classes=5), tmp_path_factory.mktemp("lraspp") / "w.pth")


def image(height: int = 45, width: int = 61) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def own_logits(module: nn.Module, pixels: np.ndarray) -> Tensor:
    """What torchvision gives for ImageNet-normalised pixels."""
    normalised = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.inference_mode():
        return module(torch.from_numpy(normalised).float().permute(2, 0, 1)[None])["out"]


def scores(segmenter: Any, pixels: np.ndarray) -> Tensor:
    return segmenter(Batch((Sample(0, "a", pixels, pixels[..., 0], ""),))).scores


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (LRASPP, {"num_classes": 5}),
        ("deeplabv3_mobilenet_v3_large", {"num_classes": 11, "aux_loss": True}),
        ("deeplabv3_mobilenet_v3_large", {"num_classes": 2}),
        ("fcn_resnet50", {"num_classes": 3}),
    ],
)
def test_logits_are_the_librarys(name: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    module = build(name, **arguments)
    opened = open_checkpoint(f"torchvision:{name}@{save(module, tmp_path / 'w.pth')}", CPU)
    assert isinstance(opened, Network)
    found = scores(opened, image())
    assert found.shape == (1, arguments["num_classes"], 45, 61)
    assert float(found.std()) > 1e-3
    torch.testing.assert_close(found, own_logits(module, image()), atol=1e-4, rtol=1e-4)
    assert opened.source.files == (tmp_path / "w.pth",)
    assert opened.source.facts["preprocessing"].endswith(
        "− (0.485, 0.456, 0.406) · / (0.229, 0.224, 0.225) · native size"
    )
    assert opened.classes is None
    assert opened.source.notes == (
        "torchvision's preset resizes the shorter side of an image to 520; here images keep their size",
    )


def test_arguments_may_be_stated(lraspp: str) -> None:
    spec = f"torchvision:{LRASPP}(num_classes=5, weights=None, weights_backbone=None)@{lraspp}"
    assert scores(open_checkpoint(spec, CPU), image()).shape[1] == 5
    resized = open_checkpoint(spec, Loading(device="cpu", preprocessing={"resize": [520, 693]}))
    assert resized.source.notes == ()


def test_files_of_trainers_are_read(tmp_path: Path) -> None:
    module = build("deeplabv3_mobilenet_v3_large", num_classes=6, aux_loss=True)
    wrapped = {f"model.{name}": value for name, value in module.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": {**wrapped, "criterion.weight": torch.ones(6)}}, tmp_path / "w.ckpt")
    spec = f"torchvision:deeplabv3_mobilenet_v3_large@{tmp_path / 'w.ckpt'}"
    opened = open_checkpoint(spec, CPU)
    assert scores(opened, image()).shape[1] == 6
    left = f"{tmp_path / 'w.ckpt'}: 1 entry of losses, metrics or averaging not loaded (criterion.weight)"
    assert left in opened.source.notes
    opened = open_checkpoint(spec, Loading(device="cpu", strip_prefix="model."))
    assert scores(opened, image()).shape[1] == 6


def test_an_exchanged_classifier_beside_the_old_auxiliary_head(tmp_path: Path) -> None:
    module: Any = build("deeplabv3_mobilenet_v3_large", aux_loss=True)
    module.classifier[-1] = nn.Conv2d(256, 3, 1)
    opened = open_checkpoint(f"torchvision:deeplabv3_mobilenet_v3_large@{save(module, tmp_path / 'w.pth')}", CPU)
    torch.testing.assert_close(scores(opened, image()), own_logits(module, image()), atol=1e-4, rtol=1e-4)


def test_what_torchvision_publishes_has_the_classes_of_voc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = f"torchvision:{LRASPP}@{save(build(LRASPP), tmp_path / 'w.pth')}"
    assert open_checkpoint(spec, CPU).classes is None
    monkeypatch.setattr("segablate.checkpoints.sources.torchvision.fingerprint", lambda path: PUBLISHED)
    opened = open_checkpoint(spec, CPU)
    assert opened.classes == listed_classes("voc2012", (255,)).names
    assert "COCO_WITH_VOC_LABELS_V1" in opened.source.facts["published as"]


def test_nothing_is_fetched_unless_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = torchvision.models.get_model_weights(LRASPP).DEFAULT
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def fetch(self: Any, check_hash: bool) -> OrderedDict[str, Tensor]:
        assert self is published
        assert check_hash
        (tmp_path / "checkpoints").mkdir()
        save(build(LRASPP), tmp_path / "checkpoints" / "lraspp_mobilenet_v3_large-d234d4ea.pth")
        return OrderedDict()

    monkeypatch.setattr(type(published), "get_state_dict", fetch)
    with pytest.raises(CheckpointError, match=rf"{LRASPP} has no weights; add @FILE, .* or pass --allow-download"):
        open_checkpoint(f"torchvision:{LRASPP}", CPU)
    assert not list(tmp_path.iterdir())
    opened = open_checkpoint(f"torchvision:{LRASPP}", Loading(device="cpu", allow_download=True))
    assert opened.source.files == (tmp_path / "checkpoints" / "lraspp_mobilenet_v3_large-d234d4ea.pth",)
    assert scores(opened, image()).shape[1] == 21


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, check_hash: bool) -> None:
        raise URLError("no route")

    monkeypatch.setattr(type(torchvision.models.get_model_weights(LRASPP).DEFAULT), "get_state_dict", fail)
    with pytest.raises(
        CheckpointError, match=r"https://.*d234d4ea\.pth cannot be downloaded: <urlopen error no route>"
    ):
        open_checkpoint(f"torchvision:{LRASPP}", Loading(device="cpu", allow_download=True))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torchvision:", r"'torchvision:' is incomplete; write torchvision:MODEL\(\.\.\.\)@FILE"),
        (
            "torchvision:deeplabv3-resnet50@W",
            r"is malformed; write torchvision:deeplabv3_resnet50\(num_classes=11\)@FILE",
        ),
        (
            "torchvision:deeplab_resnet50@W",
            "no segmentation network 'deeplab_resnet50'; did you mean 'deeplabv3_resnet50'",
        ),
        ("torchvision:resnet50@W", "no segmentation network 'resnet50'; did you mean 'fcn_resnet50'"),
        (f"torchvision:{LRASPP}(num_clases=5)@W", "has no argument 'num_clases'; did you mean 'num_classes'"),
        (f"torchvision:{LRASPP}(aux_loss=True)@W", "has no argument 'aux_loss'; did you mean 'num_classes'"),
        (f"torchvision:{LRASPP}(5)@W", r"arguments must be named, as in lraspp_mobilenet_v3_large\(num_classes=5\)"),
        (f"torchvision:{LRASPP}(weights='DEFAULT')@W", "the weights come from the file; leave out weights='DEFAULT'"),
        (f"torchvision:{LRASPP}(num_classes='5')@W", r"num_classes='5'\) cannot be built: "),
        (f"torchvision:{LRASPP}(num_classes=f())@W", "arguments must be literals"),
        (f"torchvision:{LRASPP}@nowhere.pth", r"nowhere\.pth: no such file; check the path"),
        (f"torchvision:{LRASPP}(num_classes=7)@W", "the file has 5 classes and the network 7: build it for 5"),
        ("torchvision:fcn_resnet50@W", "build the network as it was when the file was saved"),
    ],
)
def test_specifications_that_do_not_fit(spec: str, message: str, lraspp: str) -> None:
    with pytest.raises(CheckpointError, match=message) as raised:
        open_checkpoint(spec.replace("@W", f"@{lraspp}"), CPU)
    assert "\n" not in str(raised.value)


def test_one_wrong_key_and_one_wrong_shape(tmp_path: Path) -> None:
    state = build(LRASPP, num_classes=5).state_dict()
    torch.save(
        {("extra" if name == "classifier.cbr.1.bias" else name): v for name, v in state.items()}, tmp_path / "k.pth"
    )
    with pytest.raises(
        CheckpointError, match=r"1 key missing from the file \(classifier\.cbr\.1\.bias\), 1 .*\(extra\)"
    ):
        open_checkpoint(f"torchvision:{LRASPP}@{tmp_path / 'k.pth'}", CPU)
    state["classifier.cbr.0.weight"] = torch.zeros(64, 960, 1, 1)
    torch.save(state, tmp_path / "s.pth")
    with pytest.raises(CheckpointError, match=r"classifier\.cbr\.0\.weight is 64x960x1x1 in the file and 128x960x1x1"):
        open_checkpoint(f"torchvision:{LRASPP}@{tmp_path / 's.pth'}", CPU)


def test_a_head_for_other_classes_than_the_datasets(
    tmp_path: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"torchvision:{LRASPP}@{save(build(LRASPP, num_classes=2), tmp_path / 'w.pth')}"
    assert run(["evaluate", spec, f"folder:{toy}", "--device", "cpu"]) == 1
    assert "has 2 outputs but 'toy' has 4 classes; choose the dataset it was trained on" in capsys.readouterr().err


def test_a_missing_torchvision_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(
        MissingExtra, match=r"needs torchvision, which is not installed; pip install 'segablate\[torchv"
    ):
        open_checkpoint("torchvision:fcn_resnet50@w.pth", CPU)


@pytest.mark.parametrize("source", ["torchvision:fcn_resnet50@w.pth", "smp:Unet(classes=2)@w.pth"])
def test_a_torchvision_for_another_torch_is_named(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.delitem(sys.modules, name)
    message = (
        r"needs torchvision, which is installed but cannot be imported \(operator torchvision::nms does not exist\); "
    )
    with pytest.raises(MissingExtra, match=message + "install a build of it for your torch"):
        open_checkpoint(source, CPU)


def test_it_is_listed_and_has_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(build(LRASPP, num_classes=5), tmp_path / "w.pth")
    assert described_sources()["torchvision"][:2] == (
        "torchvision:MODEL(...)@FILE",
        "A segmentation network of torchvision",
    )
    monkeypatch.chdir(tmp_path)
    assert run(["checkpoints", "init", f"torchvision:{LRASPP}@w.pth", "--out", "cards/a.yaml"]) == 0
    card = read_card(Path("cards/a.yaml"))
    assert (card["source"], card["weights"]) == (f"torchvision:{LRASPP}", "../w.pth")
    assert card["preprocessing"]["mean"] == [0.485, 0.456, 0.406]
    from_card, plain = (open_checkpoint(spec, CPU) for spec in ("cards/a.yaml", f"torchvision:{LRASPP}@w.pth"))
    assert torch.equal(scores(from_card, image()), scores(plain, image()))
