"""Label sets by name, class maps by number, and a device that is not there."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import NETWORK, write_dataset

from segablate.checkpoints import Loading, open_checkpoint
from segablate.cli import run
from segablate.datasets import label_set_named, open_dataset
from segablate.errors import CheckpointError, DatasetError, DeviceError
from segablate.runtime import resolve_device


@pytest.mark.parametrize(("name", "count"), [("voc2012", 21), ("cityscapes", 19), ("coco-stuff", 171), ("nyuv2", 40)])
def test_a_card_names_a_label_set(name: str, count: int, network_file: Path) -> None:
    card = network_file.with_name("card.yaml")
    card.write_text(f"source: python:net.py:small(4)\nweights: net.pth\nclasses: {name}\n")
    classes = open_checkpoint(str(card), Loading(device="cpu", trust_code=True)).classes
    assert classes == label_set_named(name).names
    assert len(classes) == count


def test_an_unknown_label_set(network_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = network_file.with_name("card.yaml")
    card.write_text("source: python:net.py:small(4)\nweights: net.pth\nclasses: voc2021\n")
    with pytest.raises(
        CheckpointError, match=r"or the name of a label set: no label set is called 'voc2021'; did you mean"
    ):
        open_checkpoint(str(card), Loading(device="cpu", trust_code=True))


DECIDED = """

class Shifted(Small):
    def forward(self, x):
        return super().forward(x).argmax(1) * 3 + 7


def shifted():
    return Shifted(4)
"""


def test_class_maps_by_number_of_networks_whose_argmax_is_inside(
    network_file: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values 7, 10, 13 and 16 of the label maps, where the dataset has four classes."""
    network_file.write_text(NETWORK + DECIDED)
    names = ("road", "car", "tree", "sky")
    (tmp_path / "map.yaml").write_text(yaml.safe_dump({7 + 3 * place: name for place, name in enumerate(names)}))
    weights = network_file.with_suffix(".pth")

    def table(factory: str, *options: str) -> list:
        spec = f"python:{network_file}:{factory}@{weights}"
        common = ["--device", "cpu", "--losses", "none", "--no-calibration", "--format", "json"]
        assert run(["evaluate", spec, f"folder:{toy}", *common, *options]) == 0
        return json.loads(capsys.readouterr().out)["tables"]["classes"]

    found = table("shifted()", "--output", "labels", "--class-map", str(tmp_path / "map.yaml"))
    assert found == table("small(4)")


def test_a_class_map_by_number_of_named_outputs(
    network_file: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = network_file.with_name("card.yaml")
    entries = {"source": "python:net.py:small(4)", "weights": "net.pth", "classes": ["a", "b", "c", "d"]}
    entries["class_map"] = {0: "sky", 1: "tree", "c": "car", 3: "road"}
    card.write_text(yaml.safe_dump(entries))
    assert run(["evaluate", str(card), f"folder:{toy}", "--trust-code", "--device", "cpu", "--losses", "none"]) == 0
    assert "class map: 4 outputs mapped" in capsys.readouterr().out
    entries["class_map"] = {4: "sky"}
    card.write_text(yaml.safe_dump(entries))
    assert run(["evaluate", str(card), f"folder:{toy}", "--trust-code", "--device", "cpu", "--losses", "none"]) == 1
    assert "has no class 4, which the class map names" in capsys.readouterr().err


def test_sizes_are_height_by_width(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As --resize takes them."""
    root = write_dataset(tmp_path / "toy")
    options = ["--resize", "16x40", "--device", "cpu", "--losses", "none", "--limit", "1"]
    assert run(["evaluate", "sample:ce", "sample", *options]) == 0
    assert "resized to 16x40" in " ".join(capsys.readouterr().out.split())
    cv2.imwrite(str(root / "labels/val/s1.png"), np.zeros((24, 28), np.uint8))
    with pytest.raises(DatasetError, match=r"the label map is 24x28, but its image s1\.png is 24x32"):
        open_dataset(f"folder:{root}").read(1)


def test_the_gpu_of_a_mac(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: False)
    assert run(["evaluate", "sample:ce", "sample", "--device", "mps"]) == 1
    message = capsys.readouterr().err
    assert "device 'mps' is not available: it is the GPU of a Mac" in message
    assert len(message.strip().splitlines()) == 1
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="torch finds no Mac GPU; use --device cpu"):
        resolve_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("mps") == torch.device("mps")
    with pytest.raises(DeviceError, match="device 'mps:1' does not exist"):
        resolve_device("mps:1")
