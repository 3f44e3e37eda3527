"""Mean and std of a network that states none: assumed aloud, stated by name, refused where they cannot be meant."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.assumptions import normalises_itself, stated_by_code
from segablate.checkpoints.network import Network
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.sources.card import read_card
from segablate.cli import run
from segablate.errors import CheckpointError
from segablate.samples import Batch, Sample

IMAGENET = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

CODE = '''
import torch
from torch import nn


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.head(x)


class Scaled(Linear):
    """Normalises its input itself, as detectron2's do."""

    def __init__(self):
        super().__init__()
        self.register_buffer("pixel_mean", torch.full((1, 3, 1, 1), 100.0), persistent=False)
        self.register_buffer("pixel_std", torch.full((1, 3, 1, 1), 50.0), persistent=False)

    def forward(self, x):
        return self.head((x - self.pixel_mean) / self.pixel_std)


def plain():
    return Linear()


def own():
    return Scaled()


def stated():
    return Linear()


stated.preprocessing = {"channels": "bgr", "mean": [0.1, 0.2, 0.3], "std": 0.5}


def wrong():
    return Linear()


wrong.preprocessing = {"meen": 1}
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``net.py``, and weights that return the input as scores."""
    (tmp_path / "net.py").write_text(CODE)
    weight = {"head.weight": torch.eye(3)[..., None, None], "head.bias": torch.zeros(3)}
    torch.save(weight, tmp_path / "w.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def opened(factory: str, **preprocessing: Any) -> Network:
    found = open_checkpoint(f"python:net.py:{factory}()@w.pth", Loading(device="cpu", preprocessing=preprocessing))
    assert isinstance(found, Network)
    return found


def seen(network: Network) -> Tensor:
    """What the network of the tests was given, H W 3."""
    image = pixels()
    scores = network(Batch((Sample(0, "a", image, image[..., 0], ""),))).scores
    assert scores is not None
    return scores[0].permute(1, 2, 0)


def given_note(network: Network) -> str:
    return next((note for note in network.source.notes if note.startswith("no ")), "")


def test_a_network_without_constants_gets_pixels_of_0_to_1_and_says_so(folder: Path) -> None:
    network = opened("plain")
    assert torch.allclose(seen(network), torch.from_numpy(pixels()) / 255, atol=1e-6)
    note = given_note(network)
    assert note.startswith("no mean and std given: pixels were only scaled to 0..1, though networks with a pretrained")
    assert "state --normalise imagenet, none or 0.5, or --mean and --std; segablate checkpoints probe" in note


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"normalise": "imagenet"}, lambda x: (x / 255 - IMAGENET[0]) / IMAGENET[1]),
        ({"normalise": "none"}, lambda x: x / 255),
        ({"normalise": 0.5}, lambda x: x / 127.5 - 1),
        ({"normalise": "imagenet", "scale": "1"}, lambda x: (x - 255 * IMAGENET[0]) / (255 * IMAGENET[1])),
        (
            {"normalise": "imagenet", "channels": "bgr"},
            lambda x: ((x / 255 - IMAGENET[0]) / IMAGENET[1]).flip(-1),
        ),
        ({"mean": 0.0, "std": 1.0}, lambda x: x / 255),
    ],
)
def test_stated_constants_need_no_note(given: dict[str, Any], expected: Any, folder: Path) -> None:
    network = opened("plain", **given)
    assert torch.allclose(seen(network), expected(torch.from_numpy(pixels()).float()), atol=1e-4)
    assert given_note(network) == ""


@pytest.mark.parametrize(
    ("given", "note", "expected"),
    [
        ({"scale": "1"}, "no mean and std given: pixels are only scaled", lambda x: x),
        ({"divisor": 2.0}, "no mean and std given: pixels are only scaled", lambda x: x / 510),
        ({"mean": 0.5}, "no std given: 1 was assumed; state --std too", lambda x: x / 255 - 0.5),
        ({"std": 0.5}, "no mean given: 0 was assumed; state --mean too", lambda x: x / 127.5),
    ],
)
def test_half_of_the_constants(given: dict[str, Any], note: str, expected: Any, folder: Path) -> None:
    network = opened("plain", **given)
    assert given_note(network).startswith(note)
    assert torch.allclose(seen(network), expected(torch.from_numpy(pixels()).float()), atol=1e-4)


def test_a_factory_that_states_its_preprocessing_keeps_it(folder: Path) -> None:
    network = opened("stated")
    expected = (torch.from_numpy(pixels()).flip(-1) / 255 - torch.tensor([0.1, 0.2, 0.3])) / 0.5
    assert torch.allclose(seen(network), expected, atol=1e-5)
    assert given_note(network) == ""
    with pytest.raises(CheckpointError, match=r"net\.py:wrong\(\) states a preprocessing, which: .*no entry 'meen'"):
        opened("wrong")


def test_a_network_that_normalises_its_input_is_not_normalised_twice(folder: Path) -> None:
    network = opened("own")
    assert torch.allclose(seen(network), (torch.from_numpy(pixels()).float() - 100) / 50, atol=1e-5)
    assert "the network subtracts its own (pixel_mean) from pixels 0..255" in given_note(network)


def test_what_code_says_of_constants() -> None:
    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pretrained_cfg = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2), "input_size": (3, 8, 8)}

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.data_preprocessor = nn.Module()
            self.data_preprocessor.register_buffer("mean", torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1))
            self.data_preprocessor.register_buffer("std", torch.tensor([4.0, 5.0, 6.0]).view(3, 1, 1))

    assert stated_by_code(Body()) == {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}
    assert stated_by_code(Outer()) == {
        "scale": 1,
        "mean": [1.0, 2.0, 3.0],
        "std": [4.0, 5.0, 6.0],
        "channels": "rgb",
    }
    assert normalises_itself(Outer()) is None  # its forward does not run that part
    assert stated_by_code(nn.Conv2d(3, 3, 1)) is None
    assert normalises_itself(nn.Sequential(nn.BatchNorm2d(3))) is None  # running_mean is no constant of images


def test_show_and_init_state_what_evaluate_assumes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "python:net.py:plain()@w.pth"
    assert run(["checkpoints", "show", spec, "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (steps,) = [row["value"] for row in shown["tables"]["facts"] if row["fact"] == "preprocessing"]
    assert steps == str(opened("plain").preprocessing)
    assert any(note.startswith("no mean and std given") for note in shown["notes"])
    assert run(["checkpoints", "init", spec, "--out", "card.yaml"]) == 0
    assert "no mean and std given: those in the card are assumed" in capsys.readouterr().out
    assert Preprocessing.parse(read_card(Path("card.yaml"))["preprocessing"]) == opened("plain").preprocessing
    assert "# mean and std: assumed" in Path("card.yaml").read_text()


def test_a_draft_keeps_what_the_network_states(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also that colours are taken in 0..1 as they are."""
    (folder / "raw.py").write_text(CODE.replace('"channels": "bgr", "mean": [0.1, 0.2, 0.3], "std": 0.5', '"mean": 0'))
    assert run(["checkpoints", "init", "python:raw.py:stated()@w.pth", "--out", "card.yaml"]) == 0
    assert "no mean" not in capsys.readouterr().out
    assert Preprocessing.parse(read_card(Path("card.yaml"))["preprocessing"]) == Preprocessing()


@pytest.mark.parametrize(
    ("given", "ways"),
    [
        (
            {"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]},
            (
                "scale 1 with mean 123.7,116.3,103.5 and std 58.4,57.1,57.4",
                "mean 0.4851,0.45608,0.40588 and std 0.22902",
            ),
        ),
        ({"std": [58.4, 57.1, 57.4], "mean": 0.485}, ("mean 123.67,123.67,123.67 and std 58.4", "std 0.22902")),
        ({"mean": [123.7, 116.3, 103.5]}, ("std 1,1,1", "std 0.0039216")),
        ({"mean": [-104.0, -117.0, -123.0]}, ("mean -104,-117,-123",)),
    ],
)
def test_constants_of_pixels_are_refused_with_both_ways(
    given: dict[str, Any], ways: tuple[str, ...], folder: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"but scale 1/255 brings pixels to 0\.\.1") as caught:
        opened("plain", **given)
    assert all(way in str(caught.value) for way in ways), str(caught.value)


def test_both_ways_are_one(folder: Path) -> None:
    """The two that the message names."""
    whole = opened("plain", scale="1", mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4])
    shares = opened("plain", mean=[0.4851, 0.45608, 0.40588], std=[0.22902, 0.22392, 0.2251])
    assert torch.allclose(seen(whole), seen(shares), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--normalise", "imagenet", "--mean", "0,0,0"], "--normalise is a mean and std by name; leave it out"),
        (["--normalise", "imagenets"], "imagenet"),
    ],
)
def test_wrong_names(
    options: list[str], message: str, folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", "python:net.py:plain()@w.pth", f"folder:{toy}", *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_options_and_cards_override_each_other(folder: Path) -> None:
    def card(**preprocessing: Any) -> Loading:
        entries = {"source": "python:net.py:plain()", "weights": "w.pth", "preprocessing": preprocessing}
        Path("card.yaml").write_text(yaml.safe_dump(entries))
        return Loading(device="cpu", trust_code=True)

    def steps(loading: Loading, **given: Any) -> Preprocessing:
        found = open_checkpoint("card.yaml", Loading(device="cpu", trust_code=True, preprocessing=given))
        assert isinstance(found, Network)
        return found.preprocessing

    assert steps(card(mean=[0.1, 0.1, 0.1], std=0.2), normalise="0.5").mean == (0.5, 0.5, 0.5)
    assert steps(card(normalise="0.5"), mean=[0.1, 0.1, 0.1], std=[1, 1, 1]).mean == (0.1, 0.1, 0.1)
    assert steps(card(normalise="imagenet", scale=1)).mean[0] == pytest.approx(123.675)
    with pytest.raises(CheckpointError, match=r"normalise is 'imagenet', which is a mean and std; leave out mean"):
        steps(card(normalise="imagenet", mean=0))
