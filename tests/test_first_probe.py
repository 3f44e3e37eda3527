"""``checkpoints probe``: the preprocessing of a network found on a few images, and what it says when it cannot tell."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.network import Network
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.probing.candidates import Given, candidates
from segablate.probing.constants import Constants, measured_constants
from segablate.probing.trials import Trial, judged

EXAMPLES = Path(__file__).parents[1] / "examples"

NETWORKS = '''
import torch
from torch import nn

COLOURS = torch.tensor([[40.0, 60, 80], [220, 40, 60], [60, 220, 40], [40, 80, 220]])
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class Nearest(nn.Module):
    """Scores by the distance from colours as the network was trained to see them; sure where it is very near."""

    def __init__(self, seen, factor=None):
        super().__init__()
        self.register_buffer("seen", seen)
        self.unit = float(factor or (seen[1] - seen[0]).abs().max())
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        apart = (x[:, None] - self.seen[None, :, :, None, None]) / self.unit
        return -self.scale * 100 * apart.square().sum(2)


def imagenet():
    return Nearest((COLOURS / 255 - MEAN) / STD)


def bgr_pixels():
    return Nearest(COLOURS.flip(1))


def shares():
    return Nearest(COLOURS / 255)


class Constant(nn.Module):
    """Normalises each image and each channel by itself: scale and mean do not matter to it."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        seen = COLOURS - COLOURS.mean(0)
        x = x - x.mean((2, 3), keepdim=True)
        x = x / x.std((2, 3), keepdim=True).clamp(min=1e-9)
        seen = seen / seen.std(0)
        return -self.scale * (x[:, None] - seen[None, :, :, None, None]).square().sum(2)


def of_its_own():
    return Constant()


class Random(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        noise = torch.rand(len(x), 4, *x.shape[2:], generator=torch.Generator().manual_seed(x.shape[2]))
        return self.scale * noise


def noise():
    return Random()
'''

COLOURS = np.array([[40, 60, 80], [220, 40, 60], [60, 220, 40], [40, 80, 220]])


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight images of four colours under noise, and networks that were trained to see them in different ways."""
    for folder in ("images", "labels"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for index in range(8):
        rng = np.random.default_rng(index)
        labels = rng.integers(0, 4, (6, 8)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        image = (COLOURS[labels] + rng.normal(0, 25, (48, 64, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"data/images/{index}.png")
        Image.fromarray(labels).save(tmp_path / f"data/labels/{index}.png")
    described = {
        "name": "colours",
        "classes": [{"name": name, "code": code} for code, name in enumerate("abcd")],
        "void": [],
        "splits": {"val": {"images": "images", "labels": "labels"}},
    }
    (tmp_path / "data/dataset.yaml").write_text(yaml.safe_dump(described))
    (tmp_path / "nets.py").write_text(NETWORKS)
    exec(NETWORKS, made := {})
    for name in ("imagenet", "bgr_pixels", "shares", "of_its_own", "noise"):
        torch.save(made[name]().state_dict(), tmp_path / f"{name}.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def probed(capsys: pytest.CaptureFixture[str], spec: str, data: str, *options: str) -> dict:
    code = run(["checkpoints", "probe", spec, data, "--device", "cpu", "--format", "json", *options])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def first(report: dict) -> tuple[str, str]:
    row = report["tables"]["preprocessings"][0]
    return row["preprocessing"], row["channels"]


@pytest.mark.parametrize(
    ("name", "expected", "options"),
    [
        ("imagenet", ("ImageNet mean and std", "RGB"), "--channels rgb --scale 1/255 --mean 0.485,0.456,0.406 --std"),
        ("bgr_pixels", ("0..255", "BGR"), "--channels bgr --scale 1 --mean 0,0,0 --std 1,1,1"),
        ("shares", ("0..1", "RGB"), "--channels rgb --scale 1/255 --mean 0,0,0 --std 1,1,1"),
    ],
)
def test_the_right_preprocessing_comes_first(
    name: str, expected: tuple[str, str], options: str, scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = probed(capsys, f"python:nets.py:{name}()@{name}.pth", "folder:data", "--write", "card.yaml")
    assert first(report) == expected
    assert report["notes"][0].startswith(f"Likeliest: {expected[0]} ({expected[1]}), as {options}")
    rows = report["tables"]["preprocessings"]
    assert [row["miou"] for row in rows[1:]] == sorted((row["miou"] for row in rows[1:]), reverse=True)
    assert rows[0]["nll"] == min(row["nll"] for row in rows)
    assert {row["channels"] for row in rows} == {"RGB", "BGR"}
    card = open_checkpoint("card.yaml", Loading(device="cpu", trust_code=True))
    assert isinstance(card, Network)
    assert str(card.preprocessing) == rows[0]["steps"]
    assert not card.assumed
    assert "the best of" in Path("card.yaml").read_text()


def test_it_says_when_what_differs_does_not_matter(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = probed(capsys, "python:nets.py:of_its_own()@of_its_own.pth", "folder:data")
    likeliest, same = report["notes"][:2]
    assert likeliest.startswith("Likeliest: ")
    assert "(RGB)" in likeliest
    assert same.startswith("The same result: ")
    assert "does not matter" in same
    assert "BGR" not in same


def test_it_says_when_all_are_near_chance(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "python:nets.py:noise()@noise.pth"
    report = probed(capsys, spec, "folder:data")
    assert report["notes"][0].startswith(
        "Cannot tell: the network is near chance under every preprocessing on 8 images"
    )
    command = ["checkpoints", "probe", spec, "folder:data", "--write", "card.yaml", "--device", "cpu", "--limit", "2"]
    assert run(command) == 1
    assert "no card was written to card.yaml" in capsys.readouterr().err
    assert not Path("card.yaml").exists()


def test_one_image_tells_nothing_apart(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = probed(capsys, "python:nets.py:imagenet()@imagenet.pth", "folder:data", "--limit", "1")
    assert "the difference in mIoU is within the noise of 1 image; try more" in " ".join(report["notes"])


def test_constants_of_the_user_are_tried_in_all_forms(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given for pixels of 0..255, for a network that takes them in 0..1."""
    options = ("--mean", "123.675,116.28,103.53", "--std", "58.395,57.12,57.375")
    report = probed(capsys, "python:nets.py:imagenet()@imagenet.pth", "folder:data", *options)
    assert first(report) == ("given mean and std", "RGB")
    names = {row["preprocessing"] for row in report["tables"]["preprocessings"]}
    assert {"given mean, 0..255", "given mean and std, / 255", "given mean and std, turned round"} <= names


def test_label_maps_have_no_nll_and_are_told_apart(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n\nclass Decided(Nearest):\n    def forward(self, x):\n        return super().forward(x).argmax(1)\n\n\n"
    code += "def decided():\n    return Decided(COLOURS.flip(1))\n"
    (scenes / "nets.py").write_text(NETWORKS + code)
    report = probed(capsys, "python:nets.py:decided()@bgr_pixels.pth", "folder:data", "--output", "labels")
    assert first(report) == ("0..255", "BGR")
    assert report["tables"]["preprocessings"][0]["nll"] is None


def test_predictions_have_no_preprocessing(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["checkpoints", "probe", "predictions:data/labels", "folder:data"]) == 2
    assert "has predictions and no network" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ce", "weighted"])
def test_the_sample_networks_keep_what_their_files_state(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = probed(capsys, f"sample:{name}", "sample")
    assert first(report) == ("as stated", "RGB")
    assert report["notes"][0].startswith("Likeliest: as stated (RGB), as --channels rgb --scale 1/255 --mean 0.45")


def test_a_card_is_written_from_a_card(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the other entries of the first, and paths from the folder of the second."""
    torch.save({"ema": torch.load("shares.pth")}, "nested.pth")
    entries = {
        "source": "python:nets.py:shares()",
        "weights": "nested.pth",
        "key": "ema",
        "classes": ["a", "b", "c", "d"],
    }
    Path("first.yaml").write_text(yaml.safe_dump(entries))
    probed(capsys, "first.yaml", "folder:data", "--trust-code", "--write", "cards/second.yaml")
    written = yaml.safe_load(Path("cards/second.yaml").read_text())
    assert (written["source"], written["weights"], written["key"]) == (
        "python:../nets.py:shares()",
        "../nested.pth",
        "ema",
    )
    assert written["classes"] == ["a", "b", "c", "d"]
    assert open_checkpoint("cards/second.yaml", Loading(device="cpu", trust_code=True)).classes == ("a", "b", "c", "d")


def test_measured_constants(scenes: Path) -> None:
    found = measured_constants(open_dataset("folder:data"))
    assert found is not None
    images = np.stack([np.asarray(Image.open(path), np.float64) for path in sorted(Path("data/images").iterdir())])
    assert np.allclose(found.mean, images.mean((0, 1, 2)) / 255)
    assert np.allclose(found.std, images.std((0, 1, 2)) / 255)


def test_candidates_differ() -> None:
    measured = Constants("x", (0.3, 0.4, 0.5), (0.2, 0.2, 0.3))
    listed = candidates(Preprocessing(), True, measured, Given.read((120.0, 110.0, 100.0), (60.0, 50.0, 50.0)))
    assert len({str(each.preprocessing) for each in listed}) == len(listed)
    assert [each.name for each in listed if each.preprocessing == Preprocessing()] == ["as stated"]
    whole = candidates(Preprocessing(scale="1"), False, measured, None, pixels=True)
    assert [each.preprocessing.channels for each in whole] == ["rgb", "bgr"]


def test_noise_is_the_paired_jackknife() -> None:
    """A lead of the same size on all images counts, a lead on one does not."""
    one, two = candidates(Preprocessing(), False, None, None)[:2]
    table = np.diag([90, 10, 0])

    def trial(which: int, miou: float, left_out: list[float]) -> Trial:
        return Trial((one, two)[which], miou, 0.5 + which, False, table + which, np.array(left_out))

    steady = judged([trial(0, 0.80, [0.80, 0.81, 0.79, 0.80]), trial(1, 0.75, [0.75, 0.76, 0.74, 0.75])], 4)
    assert steady.certain
    lucky = judged([trial(0, 0.80, [0.75, 0.81, 0.82, 0.82]), trial(1, 0.75, [0.75, 0.75, 0.75, 0.75])], 4)
    assert [each.candidate for each in lucky.rivals] == [two]


@pytest.mark.data
def test_espnet_on_camvid(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without its card: BGR, less a mean of 0..255, over a std, over 255; its own constants are those given."""
    shutil.copy(EXAMPLES / "espnet.py", tmp_path)
    weights = real_data / "checkpoints/espnet_p_2_q_8_camvid.pth"
    spec = f"python:{tmp_path / 'espnet.py'}:espnet(num_classes=12)@{weights}"
    data = f"camvid:{real_data / 'camvid'}"
    report = probed(capsys, spec, data, "--limit", "4")
    assert first(report) == ("dataset mean and std, / 255", "BGR")
    given = ("--mean", "110.33102643,108.40886315,105.03319369", "--std", "72.12571015,72.69074534,69.90434816")
    report = probed(capsys, spec, data, "--limit", "4", *given)
    assert first(report) == ("given mean and std, / 255", "BGR")
    options = "--channels bgr --scale 1 --mean 110.33,108.41,105.03 --std 72.126,72.691,69.904 --divisor 255"
    assert report["notes"][0] == f"Likeliest: given mean and std, / 255 (BGR), as {options}"


@pytest.mark.data
def test_wnet_on_drive(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from test_wnet_example import example

    example("prepare_drive").main(real_data / "drive", tmp_path / "drive512")
    shutil.copy(EXAMPLES / "wnet.py", tmp_path)
    spec = f"python:{tmp_path / 'wnet.py'}:wnet()@{real_data / 'checkpoints/wnet_drive.pth'}"
    report = probed(capsys, spec, f"folder:{tmp_path / 'drive512'}", "--key", "model_state_dict")
    assert first(report) == ("0..1", "RGB")
    assert "Cannot tell" not in " ".join(report["notes"])
