"""Weights as authors' repositories save them, loaded strictly into the networks written here."""

import re
from pathlib import Path

import numpy as np
import published
import pytest
import torch
from torch import Tensor

from segablate.checkpoints import Loading, open_checkpoint
from segablate.cli import run
from segablate.errors import CheckpointError
from segablate.networks import get_network, network_names, read_arguments
from segablate.samples import Batch, Sample

CPU = Loading(device="cpu")
NOT_TOLD = {"output_stride", "align_corners"}
SMALLEST = "deeplabv3_mobilenet"


def stated(case: str) -> str:
    """The arguments of a case that weights do not tell, as one writes them."""
    arguments = published.CASES[case]["arguments"]
    return ", ".join(f"{name}={arguments[name]!r}" for name in sorted(NOT_TOLD & arguments.keys()))


def logits(spec: str, pixels: np.ndarray, loading: Loading = CPU) -> Tensor:
    found = open_checkpoint(spec, loading)(Batch((Sample(0, "a", pixels, pixels[..., 0], ""),))).scores
    assert found is not None
    return found


@pytest.fixture(scope="module")
def smallest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "best.pth"
    torch.save(published.saved(SMALLEST, published.state(SMALLEST)), path)
    return path


@pytest.mark.parametrize("case", published.CASES)
def test_names_and_shapes_are_the_authors(case: str) -> None:
    described = published.CASES[case]
    with torch.device("meta"):
        ours = get_network(described["network"])(**described["arguments"]).state_dict()
    assert {name: list(value.shape) for name, value in ours.items()} == described["tensors"]


@pytest.mark.parametrize("case", published.CASES)
def test_names_and_shapes_tell_the_arguments(case: str) -> None:
    described = published.CASES[case]
    told = read_arguments(described["network"], {name: tuple(shape) for name, shape in described["tensors"].items()})
    known = {name: value for name, value in described["arguments"].items() if name not in NOT_TOLD}
    assert {name: told[name] for name in known} == known


@pytest.mark.parametrize("case", published.CASES)
def test_logits_are_the_authors(case: str, tmp_path: Path) -> None:
    torch.save(published.saved(case, published.state(case)), tmp_path / "w.pth")
    spec = f"builtin:{published.CASES[case]['network']}({stated(case)})@{tmp_path / 'w.pth'}"
    found = logits(spec, published.image())[0, :, :: published.STEP, :: published.STEP]
    expected = torch.tensor(published.CASES[case]["logits"])
    assert expected.std() > 0.03
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in network_names() if name != "small"])
@pytest.mark.parametrize("size", [(24, 33), (37, 50)])
def test_any_size_is_taken(name: str, size: tuple[int, int]) -> None:
    small = {"width": 4, "depth": "small_v1"} if name.startswith("hrnet") else {}
    small |= {"backbone": "mobilenet"} if name in ("deeplabv3", "deeplabv3plus") else {}
    with torch.inference_mode():
        found = get_network(name)(num_classes=2, **small).eval()(torch.zeros(1, 3, *size))
    assert found.shape == (1, 2, *size)
    assert found.isfinite().all()


def test_pspnet_pads_with_the_mean_to_the_sides_its_authors_take() -> None:
    torch.manual_seed(0)
    network = get_network("pspnet")(num_classes=2).eval()
    image = torch.randn(1, 3, 30, 41)
    padded = torch.cat([image, torch.zeros(1, 3, 3, 41)], dim=2)
    with torch.inference_mode():
        assert torch.equal(network(image), network(padded)[..., :30, :])


def test_what_belongs_to_the_loss_is_left_out_and_said(tmp_path: Path) -> None:
    case = "hrnet_w18_small_v2"
    torch.save(published.saved(case, published.state(case)), tmp_path / "w.pth")
    source = open_checkpoint(f"builtin:hrnet@{tmp_path / 'w.pth'}", CPU).source
    (note,) = source.notes
    assert note.endswith("w.pth: loss.criterion.weight belongs to the training loss and was not loaded")
    assert source.facts["network"] == "hrnet(num_classes=3, width=18, depth='small_v2', align_corners=False)"


def test_a_head_for_training_may_be_missing() -> None:
    shapes = {name: tuple(shape) for name, shape in published.CASES["pspnet"]["tensors"].items()}
    cut = {name: shape for name, shape in shapes.items() if not name.startswith("aux.")}
    assert read_arguments("pspnet", shapes)["aux"] is True
    with torch.device("meta"):
        assert get_network("pspnet")(**read_arguments("pspnet", cut)).state_dict().keys() == cut.keys()


def test_pixels_are_preprocessed_as_the_authors_do(smallest: Path) -> None:
    source = open_checkpoint(f"builtin:deeplabv3@{smallest}", CPU).source
    means, deviations = "(0.485, 0.456, 0.406)", "(0.229, 0.224, 0.225)"
    assert source.facts["preprocessing"] == f"RGB · × 1/255 · − {means} · / {deviations} · native size"
    other = Loading(device="cpu", preprocessing={"mean": 0.5})
    spec = f"builtin:deeplabv3@{smallest}"
    assert not torch.allclose(logits(spec, published.image()), logits(spec, published.image(), other))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("deeplabv3", "builtin:deeplabv3 has no weights; add @FILE, as in builtin:deeplabv3@weights.pth"),
        ("3(", "'builtin:3(' is malformed; write builtin:pspnet(layers=101)@FILE"),
        ("deeplab_v3@FILE", "no network is called 'deeplab_v3'; did you mean 'deeplabv3'?"),
        (
            "deeplabv3(layers=50)@FILE",
            "got an unexpected keyword argument 'layers'; deeplabv3 takes num_classes, backbone",
        ),
        ("deeplabv3(num_classes=x)@FILE", "arguments must be literals, as in deeplabv3(num_classes=11"),
        ("deeplabv3(num_classes=21)@FILE", "the file has 3 classes and the network 21: build it for 3"),
        (
            "deeplabv3plus_rmi(layers=18)@FILE",
            "there is no 'decoder.last_conv.7.weight' in it, which every deeplabv3plus_rmi",
        ),
        (
            "deeplabv3(num_classes='3')@FILE",
            "deeplabv3(num_classes='3', backbone='mobilenet', output_stride=16) cannot be",
        ),
        ("deeplabv3(num_classes=-1)@FILE", "cannot be built: Trying to create tensor with negative dimension -1"),
        ("deeplabv3(output_stride=32)@FILE", "output_stride is 32, but must be 8 or 16"),
        ("deeplabv3(backbone='resnet')@FILE", "no backbone is called 'resnet'; did you mean 'resnet50'?"),
        (
            "pspnet@FILE",
            "best.pth: there is no 'cls.4.weight' in it, which every pspnet has; it fits builtin:deeplabv3",
        ),
        ("hrnet@FILE", "best.pth: there is no 'last_layer.3.weight' in it, which every hrnet has"),
        ("pspnet(layers=34)@FILE", "there is no 'cls.4.weight'"),
    ],
)
def test_what_does_not_fit_is_said(spec: str, message: str, smallest: Path) -> None:
    with pytest.raises(CheckpointError, match=re.escape(message)):
        open_checkpoint(f"builtin:{spec.replace('FILE', str(smallest))}", CPU)


def test_one_wrong_name_and_one_missing(tmp_path: Path) -> None:
    tensors = published.state(SMALLEST)
    tensors["classifier.classifier.9.weight"] = tensors.pop("classifier.classifier.2.bias")
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"1 key missing .*classifier\.2\.bias.*1 key not in .*classifier\.9"):
        open_checkpoint(f"builtin:deeplabv3@{tmp_path / 'w.pth'}", CPU)


def test_weights_of_no_network_here() -> None:
    with pytest.raises(CheckpointError, match="has; name the network that was saved, or --strip-prefix"):
        read_arguments("hrnet", {"stem.weight": (3,)})


@pytest.mark.parametrize(
    ("name", "shapes", "message"),
    [
        (
            "pspnet",
            {"cls.4.weight": (2,), **{f"layer3.{k}.conv1.weight": (1,) for k in range(5)}},
            "layer3 has 5 blocks",
        ),
        ("deeplabv3", {"classifier.classifier.4.weight": (2,)}, "there is no 'backbone.layer3.0' in it"),
    ],
)
def test_an_unknown_depth_is_said(name: str, shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_arguments(name, shapes)


def test_a_card_names_it(smallest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = smallest.with_name("card.yaml")
    card.write_text(f"source: builtin:deeplabv3(output_stride=16)@{smallest.name}\nclasses: [road, car, sky]\n")
    assert run(["checkpoints", "show", str(card), "--format", "csv", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "mobilenet" in shown
    assert "road" in shown
