"""The sample data set is what its script makes, and is fit to try every command on."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from torch import nn

from segablate.networks import get_network
from segablate.training.recipe import open_recipe

SAMPLE = Path(__file__).parents[1] / "sample_data"
DATASET = yaml.safe_load((SAMPLE / "dataset.yaml").read_text())
CHECKPOINTS = sorted((SAMPLE / "checkpoints").glob("*.safetensors"))
CLASSES = [entry["name"] for entry in DATASET["classes"]]
VOID = 255
FRAMES = {"train": ("noon01_0000", "haze02_0007"), "val": ("dusk05_0003", "cloud05_0002")}


def files(kind: str, split: str) -> list[Path]:
    return sorted((SAMPLE / kind / split).iterdir())


def size(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def labels_of(split: str) -> list[np.ndarray]:
    return [np.asarray(Image.open(file)) for file in files("labels", split)]


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    names = [name for split in FRAMES.values() for name in split]
    subprocess.run([sys.executable, SAMPLE / "make.py", "--to", folder, "--only", *names], check=True)
    return folder


@pytest.mark.parametrize(("split", "name"), [(split, name) for split, names in FRAMES.items() for name in names])
def test_the_script_makes_the_committed_frames(remade: Path, split: str, name: str):
    label, image = f"labels/{split}/{name}.png", f"images/{split}/{name}.jpg"
    first, second = (np.asarray(Image.open(folder / label)) for folder in (SAMPLE, remade))
    assert (first != second).mean() < 0.005, "more than what other last digits of sines move across edges"
    old, new = (np.asarray(Image.open(folder / image), np.float64) for folder in (SAMPLE, remade))
    assert np.abs(old - new).mean() < 1.5


def test_the_script_makes_the_committed_description(remade: Path):
    assert (remade / "dataset.yaml").read_text() == (SAMPLE / "dataset.yaml").read_text()


def test_only_the_frames_asked_for_are_made(remade: Path):
    assert {file.stem for file in remade.rglob("*.jpg")} == {name for names in FRAMES.values() for name in names}


@pytest.mark.parametrize(("split", "count"), [("train", 96), ("val", 48)])
def test_every_image_has_labels_of_its_size(split: str, count: int):
    images, labels = files("images", split), files("labels", split)
    assert [file.stem for file in images] == [file.stem for file in labels]
    assert len(images) == count
    assert all(size(a) == size(b) for a, b in zip(images, labels, strict=True))
    assert all(re.fullmatch(r"[a-z]+\d\d_\d{4}", file.stem) for file in images)


def test_splits_share_no_drive_and_val_has_two_sizes():
    train, val = ({file.stem[:-5] for file in files("images", split)} for split in ("train", "val"))
    assert not train & val
    assert {size(file) for file in files("images", "val")} == {(192, 128), (160, 120)}


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_class_occurs_some_rarely_and_void_too(split: str):
    labels = labels_of(split)
    present = [np.mean([(codes == code).any() for codes in labels]) for code in range(len(CLASSES))]
    assert min(present) > 0.1
    assert sum(share < 0.5 for share in present) >= 2
    everything = np.concatenate([codes.ravel() for codes in labels])
    assert set(np.unique(everything)) == {*range(len(CLASSES)), VOID}
    assert 0.01 < np.mean(everything == VOID) < 0.1


def test_labels_show_the_colours_of_the_classes():
    image = Image.open(files("labels", "val")[0])
    codes, seen = np.asarray(image), np.asarray(image.convert("RGB"))
    for code, entry in enumerate(DATASET["classes"]):
        assert entry["code"] == code
        assert (seen[codes == code] == entry["colour"]).all()
    assert (seen[codes == VOID] == 0).all()


def test_all_of_it_is_small():
    sizes = [file.stat().st_size for file in SAMPLE.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert sum(sizes) < 3_000_000


def load(file: Path) -> tuple[nn.Module, dict]:
    with safe_open(file, "pt") as opened:
        metadata = json.loads(opened.metadata()["segablate"])
        weights = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    network = get_network(metadata["architecture"])(**metadata["arguments"])
    network.load_state_dict(weights, strict=True)
    return network.eval(), metadata


def predict(file: Path, image: Path) -> np.ndarray:
    network, metadata = load(file)
    mean, std = (np.float32(metadata["preprocessing"][key]) for key in ("mean", "std"))
    pixels = (np.asarray(Image.open(image)) / np.float32(255) - mean) / std
    with torch.inference_mode():
        return network(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))[0].argmax(0).numpy()


def test_there_are_the_two_checkpoints():
    assert {"ce", "weighted"} <= {file.stem for file in CHECKPOINTS}


@pytest.mark.parametrize("file", CHECKPOINTS, ids=lambda file: file.stem)
def test_checkpoints_describe_themselves(file: Path):
    _, metadata = load(file)
    assert metadata["format"] == 1
    assert metadata["classes"] == CLASSES
    assert metadata["output"] in {"softmax", "sigmoid"}
    recipe = open_recipe(f"sample-{file.stem}").recipe
    weighted = "" if recipe.class_weights == "none" else "(weights="
    assert metadata["training"]["objective"].startswith(recipe.objective + weighted)
    assert metadata["preprocessing"]["channels"] == "rgb"
    assert file.stat().st_size < 450_000


@pytest.mark.parametrize("file", CHECKPOINTS, ids=lambda file: file.stem)
def test_checkpoints_have_learnt_but_not_everything(file: Path):
    pairs = list(zip(files("images", "val"), files("labels", "val"), strict=True))[::6]
    right = valid = 0
    for image, label in pairs:
        codes = np.asarray(Image.open(label))
        right += int((predict(file, image) == codes).sum())
        valid += int((codes != VOID).sum())
    assert 0.75 < right / valid < 0.98
