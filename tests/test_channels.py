"""Networks that take grey, or bands by number: what they get, and what to type where that is not known."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import optional
from PIL import Image

from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.network import Network
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.errors import CheckpointError

LEVELS = np.array([40, 120, 220], np.uint8)
"""The value of each class in the band that tells them apart."""

CODE = """
from torch import nn


def make(channels=1):
    return nn.Conv2d(channels, 3, 1)
"""


def network(folder: Path, channels: int, mean: float = 0.0, std: float = 1.0) -> str:
    """The class of the nearest level in the last channel, for pixels of 0..1 less mean, over std; its specification."""
    levels = (torch.from_numpy(LEVELS).float() / 255 - mean) / std
    weight = torch.zeros(3, channels, 1, 1)
    weight[:, -1, 0, 0] = 100 * levels
    (folder / "net.py").write_text(CODE)
    torch.save({"weight": weight, "bias": -50 * levels**2}, folder / "w.pth")
    return f"python:{folder}/net.py:make(channels={channels})@{folder}/w.pth"


def dataset(folder: Path, suffix: str = "png", bands: int = 4, images: int = 1) -> str:
    """Images whose last band tells the class: grey, or noise in red, green and blue and a fourth."""
    for place in ("images", "labels"):
        (folder / place).mkdir(parents=True)
    for index in range(images):
        rng = np.random.default_rng(index)
        labels = rng.integers(0, 3, (20, 30)).astype(np.uint8)
        noise = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
        pixels = LEVELS[labels] if bands == 1 else np.dstack([noise, LEVELS[labels]][: bands - 2])
        extra: dict[str, Any] = {"tiffinfo": {338: 0}} if suffix == "tif" else {}  # a fourth band that is no alpha
        Image.fromarray(pixels).save(folder / "images" / f"{index}.{suffix}", **extra)
        Image.fromarray(labels).save(folder / "labels" / f"{index}.png")
    classes = [{"name": name, "code": code} for code, name in enumerate("abc")]
    described = {
        "name": "t",
        "classes": classes,
        "encoding": "codes",
        "splits": {"val": {"images": "images", "labels": "labels"}},
        "label_suffix": ".png",
    }
    (folder / "dataset.yaml").write_text(yaml.safe_dump(described))
    return f"folder:{folder}"


def read(data: str) -> np.ndarray:
    """The first image of a dataset with its four bands."""
    image = open_dataset(data).with_bands(4).read(0).image
    assert image is not None
    return image


def miou(*words: str, capsys: pytest.CaptureFixture[str]) -> float:
    assert run(["evaluate", *words, "--losses", "none", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["tables"]["overall"]
    return next(row["value"] for row in rows if row["measure"] == "mIoU")


def test_grey_is_that_of_pillow() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    taken = Preprocessing.parse({"channels": "grey", "scale": 1})(torch.from_numpy(colours))
    theirs = np.asarray(Image.fromarray(colours[0]).convert("L"), np.float32)
    assert taken.shape == (1, 1, 64, 64)
    assert np.array_equal(taken[0, 0].numpy(), theirs)
    same = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=3)
    assert np.array_equal(
        Preprocessing.parse({"channels": "gray", "scale": 1})(torch.from_numpy(same))[0, 0], same[0, ..., 0]
    )


@pytest.mark.parametrize(
    ("channels", "bands"),
    [("4,3,2", [3, 2, 1]), ([4], [3]), (2, [1]), ("1,2,3,4", [0, 1, 2, 3]), ("3, 2, 1", [2, 1, 0]), ("2,2", [1, 1])],
)
def test_bands_by_number(channels: object, bands: list[int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 7, 4)).astype(np.uint8)
    steps = Preprocessing.parse({"channels": channels, "scale": 1, "mean": 10, "std": 2})
    expected = (pixels[..., bands].astype(np.float32) - 10) / 2
    assert np.array_equal(steps(torch.from_numpy(pixels))[0].permute(1, 2, 0).numpy(), expected[0])
    assert Preprocessing.parse(yaml.safe_load(yaml.safe_dump(steps.plain()))) == steps


def test_constants_of_grey_are_the_means_of_the_three() -> None:
    grey = Preprocessing.parse({"channels": "grey", "normalise": "imagenet"})
    assert grey.mean == pytest.approx((0.449,)) and grey.std == pytest.approx((0.226,))  # noqa: PT018
    turned = Preprocessing.parse({"channels": "2,1,3", "normalise": "imagenet"})
    assert turned.mean == pytest.approx((0.456, 0.485, 0.406))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": "rgbx"}, "channels is 'rgbx', but must be rgb, bgr, grey, or bands by number, as in 4,3,2"),
        ({"channels": "1,5"}, "channels names band 5, but bands are 1 to 4"),
        ({"channels": "0"}, "channels names band 0, but bands are 1 to 4"),
        ({"channels": True}, "channels is True, but must be rgb"),
        ({"channels": "grey", "mean": [1, 2, 3]}, "mean is 1,2,3, but channels grey need 1 number; state mean"),
        ({"mean": [1, 2]}, "mean is 1,2, but channels rgb need 3 numbers"),
        (
            {"channels": "1,2,3,4", "normalise": "imagenet"},
            "normalise imagenet is of red, green and blue",
        ),
    ],
)
def test_channels_and_constants_that_do_not_fit(values: dict, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        Preprocessing.parse(values)


def test_a_network_of_one_channel_gets_grey_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, data = network(tmp_path, 1), dataset(tmp_path / "d", bands=1)
    assert miou(spec, data, capsys=capsys) == 1
    opened = open_checkpoint(spec, Loading(device="cpu"))
    assert isinstance(opened, Network)
    assert any("has one input channel and got grey" in note for note in opened.source.notes)
    assert any("pixels were only scaled to 0..1, as ImageNet's" in note for note in opened.source.notes)
    assert opened.source.facts["preprocessing"].startswith("grey · × 1/255 · − 0 · / 1")
    assert miou(spec, data, "--channels", "3", capsys=capsys) == 1
    given = open_checkpoint(spec, Loading(device="cpu", preprocessing={"channels": "3", "mean": [0.5], "std": [0.5]}))
    assert isinstance(given, Network)
    assert (given.preprocessing.mean, given.source.notes) == ((0.5,), ())


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_fourth_band_is_read_where_it_is_asked_for(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, data = network(tmp_path, 4), dataset(tmp_path / "d", suffix)
    assert miou(spec, data, "--channels", "1,2,3,4", capsys=capsys) == 1
    card = {"source": spec.partition("@")[0], "weights": "w.pth", "preprocessing": {"channels": [3, 2, 1, 4]}}
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    assert miou(str(tmp_path / "card.yaml"), data, "--trust-code", capsys=capsys) == 1
    pixels = np.asarray(Image.open(next((tmp_path / "d" / "images").iterdir())))
    assert np.array_equal(read(data), pixels)


def test_sixteen_bits_of_four_bands(tmp_path: Path) -> None:
    data = dataset(tmp_path / "d")
    (tmp_path / "d" / "images" / "0.png").unlink()
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 4)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "d" / "images" / "0.tif"), values[..., [2, 1, 0, 3]] * 257)
    described = tmp_path / "d" / "dataset.yaml"
    described.write_text(described.read_text() + "image_range: [0, 65535]\n")
    assert np.array_equal(read(data), values)


def test_what_to_type_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, three = network(tmp_path, 4), dataset(tmp_path / "three", bands=5)
    assert run(["evaluate", spec, three]) == 1
    assert "the network takes 4 channels: pass --channels 1,2,3,4" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "three" / "images" / "0.png").unlink()
    Image.new("RGB", (30, 20)).save(tmp_path / "three" / "images" / "0.png")
    assert run(["evaluate", spec, three, "--channels", "1,2,3,4"]) == 1
    assert "0.png: has no band 4, which the network is to take" in " ".join(capsys.readouterr().err.split())
    assert run(["evaluate", network(tmp_path, 6), three]) == 1
    assert "takes 6 channels, but at most 4 bands are read" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("channels", [1, 4])
def test_exported_graphs_state_their_channels(
    channels: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optional("onnxruntime")
    onnx = optional("onnx")
    helper, numpy_helper, real = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
    network(tmp_path, channels)
    weights = [numpy_helper.from_array(t.numpy(), n) for n, t in torch.load(tmp_path / "w.pth").items()]
    sides = [
        helper.make_tensor_value_info(n, real, ["n", c, "h", "w"]) for n, c in (("image", channels), ("scores", 3))
    ]
    node = helper.make_node("Conv", ["image", "weight", "bias"], ["scores"])
    graph = helper.make_graph([node], "net", sides[:1], sides[1:], weights)
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    data = dataset(tmp_path / "d", bands=channels)
    if channels == 1:
        assert miou(str(path), data, capsys=capsys) == 1
        return
    assert run(["evaluate", str(path), data]) == 1
    assert "its input is ?x4x?x?; the network takes 4 channels: pass --channels 1,2,3,4" in " ".join(
        capsys.readouterr().err.split()
    )
    assert miou(str(path), data, "--channels", "1,2,3,4", capsys=capsys) == 1


def test_the_probe_finds_the_constants_of_grey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, data = network(tmp_path, 1, 0.5, 0.5), dataset(tmp_path / "d", bands=1, images=6)
    assert run(["checkpoints", "probe", spec, data, "--write", str(tmp_path / "c.yaml"), "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["tables"]["preprocessings"]
    assert {row["channels"] for row in rows} == {"grey"}
    assert rows[0]["preprocessing"] == "±1"
    card = yaml.safe_load((tmp_path / "c.yaml").read_text())["preprocessing"]
    assert (card["channels"], card["mean"], card["std"]) == ("grey", [0.5], [0.5])
