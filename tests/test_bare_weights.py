"""``checkpoints show`` of weights without a network: their keys, what they look like, and what loads them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import optional

from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.bare_weights import read_bare
from segablate.checkpoints.encoder_names import encoder_name
from segablate.checkpoints.look_alikes import look_alikes
from segablate.cli import run
from segablate.errors import CheckpointError
from segablate.networks import get_network
from segablate.tables.weights import grouped

torchvision = optional("torchvision")
smp = optional("segmentation_models_pytorch")

CPU = Loading(device="cpu")


def saved(module: Any, path: Path, prefix: str = "") -> Path:
    torch.save({"state_dict": {prefix + key: value for key, value in module.state_dict().items()}}, path)
    return path


def network(name: str, **arguments: Any) -> Any:
    return torchvision.models.get_model(name, weights=None, weights_backbone=None, **arguments)


@pytest.mark.parametrize("name", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "fcn_resnet50"])
def test_networks_of_torchvision(name: str, tmp_path: Path) -> None:
    path = saved(network(name, num_classes=5), tmp_path / "w.pth")
    bare = read_bare(str(path), CPU)
    assert bare is not None
    assert bare.remedy == f"write torchvision:{name}@{path}, which was tried: all keys fit"
    with pytest.raises(CheckpointError, match=f"they look like {name} of torchvision; write torchvision:{name}@"):
        open_checkpoint(str(path), CPU)


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("Unet", "resnet18"),
        ("UnetPlusPlus", "mobilenet_v2"),
        ("FPN", "efficientnet-b0"),
        ("Segformer", "mit_b0"),
        ("DeepLabV3Plus", "resnet34"),
        ("Linknet", "vgg11_bn"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "segmenter."])
def test_networks_of_segmentation_models_pytorch(architecture: str, encoder: str, prefix: str, tmp_path: Path) -> None:
    module = getattr(smp, architecture)(encoder, encoder_weights=None, classes=7)
    path = saved(module, tmp_path / "w.ckpt", prefix)
    bare = read_bare(str(path), CPU)
    assert bare is not None
    assert bare.tried, bare.refused
    assert bare.remedy.startswith(f"""write 'smp:{architecture}(encoder_name="{encoder}")@{path}'""")


@pytest.mark.parametrize(
    "name",
    ["resnet50", "resnet101", "resnext50_32x4d", "efficientnet-b2", "densenet121", "densenet161", "vgg16", "mit_b2"],
)
def test_encoders_are_told_by_their_keys(name: str) -> None:
    module = smp.encoders.get_encoder(name, weights=None)
    shapes = {f"encoder.{key}": tuple(value.shape) for key, value in module.state_dict().items()}
    assert encoder_name(shapes) == name


def test_networks_of_this_package(tmp_path: Path) -> None:
    path = saved(get_network("pspnet")(num_classes=3, layers=50), tmp_path / "w.pth")
    assert "write builtin:pspnet@" in read_bare(str(path), CPU).remedy  # type: ignore[union-attr]


def test_other_weights_are_said_to_be_others(tmp_path: Path) -> None:
    classifier = {key: tuple(value.shape) for key, value in torchvision.models.resnet18().state_dict().items()}
    (found,) = look_alikes(classifier, tmp_path / "w.pth")
    assert (found.name, found.spec) == ("a classification network, without a decoder", None)
    mmseg = {"backbone.layers.0.0.projection.weight": (32, 3, 7, 7), "decode_head.conv_seg.weight": (19, 256, 1, 1)}
    assert look_alikes(mmseg, tmp_path / "w.pth")[0].name == "a network of mmsegmentation"
    assert look_alikes({"head.weight": (4, 8, 1, 1), "head.bias": (4,)}, tmp_path / "w.pth") == []


def test_a_guess_that_does_not_load_is_not_recommended(tmp_path: Path) -> None:
    state = network("lraspp_mobilenet_v3_large", num_classes=5).state_dict()
    del state["classifier.scale.1.weight"]
    torch.save(state, tmp_path / "w.pth")
    bare = read_bare(str(tmp_path / "w.pth"), CPU)
    assert bare is not None
    assert not bare.tried
    assert "1 key missing from the file (classifier.scale.1.weight)" in next(iter(bare.refused.values()))
    assert "does not load: " in bare.remedy
    assert "; name the network, as in python:" in bare.remedy


def test_the_page_lists_keys_shapes_and_what_to_write(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    module = network("lraspp_mobilenet_v3_large", num_classes=5)
    path = saved(module, tmp_path / "w.pth")
    assert run(["checkpoints", "show", str(path), "--format", "json"]) == 0
    page = json.loads(capsys.readouterr().out)
    facts = {row["fact"]: row["value"] for row in page["tables"]["facts"]}
    assert facts["parameters"].startswith(f"{sum(p.numel() for p in module.parameters()):,} ".replace(",", " ")[:-1])
    assert facts["keys"] == str(len(module.state_dict()))
    assert facts["looks like"] == "lraspp_mobilenet_v3_large of torchvision"
    rows = page["tables"]["keys"]
    assert len(rows) <= 24
    assert sum(row["tensors"] for row in rows) == len(module.state_dict())
    assert sum(row["values"] for row in rows) == sum(value.numel() for value in module.state_dict().values())
    # a convolution of 16x3x3x3 and a batch norm of four times 16 values and a counter
    assert {"keys": "backbone.0.*", "tensors": 6, "values": 432 + 64 + 1, "shape": "16x3x3x3"} in rows


def test_keys_are_grouped_within_the_rows() -> None:
    keys = [f"a.{n}.{part}" for n in range(30) for part in ("weight", "bias")] + ["b.c.weight", "b.d", "e"]
    assert grouped(keys) == ["a.*", "b.c.weight", "b.d", "e"]
    assert grouped(keys, 33)[:2] == ["a.0.*", "a.1.*"]
    assert grouped(["w"]) == ["w"]
