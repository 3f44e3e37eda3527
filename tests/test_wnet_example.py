"""The example of a two-class network: its names, the preparation of its dataset and, with the real data, its scores."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from segablate.cli import run
from segablate.datasets import open_dataset

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_drive(root: Path, masks: str, suffix: str) -> None:
    """Two images of 40×30 whose field of view is columns 5..24 and rows 10..33, with vessels also outside it."""
    for folder in ("images", masks, "mask"):
        (root / folder).mkdir(parents=True)
    for number in (36, 37):
        rng = np.random.default_rng(number)
        Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8)).save(root / f"images/{number}_training.tif")
        inside = np.zeros((40, 30), np.uint8)
        inside[10:34, 5:25] = 255
        inside[10, 5] = 0
        Image.fromarray(np.full((40, 30), 255, np.uint8)).save(root / masks / f"{number}_manual1.gif")
        Image.fromarray(inside).save(root / f"mask/{number}_{suffix}.gif")


@pytest.mark.parametrize(("masks", "suffix"), [("1st_manual", "training_mask"), ("manual", "mask")])
def test_drive_is_cropped_to_the_field_of_view(masks: str, suffix: str, tmp_path: Path) -> None:
    write_drive(tmp_path / "drive", masks, suffix)
    prepare = example("prepare_drive")
    prepare.main(tmp_path / "drive", tmp_path / "out")
    data = open_dataset(f"folder:{tmp_path / 'out'}")
    assert (data.split, len(data), data.labels.names) == ("val", 1, ("background", "vessel"))
    labels = np.array(prepare.read(tmp_path / "out/labels/37.png", "L"))
    assert labels.shape == (512, 512)
    assert labels[0, 0] == 0
    assert (labels == 255).mean() == pytest.approx(1 - 1 / (24 * 20), abs=1e-3)
    whole = prepare.read(tmp_path / "drive/images/37_training.tif", "RGB")
    expected = whole.crop((5, 10, 25, 34)).resize((512, 512), Image.Resampling.BILINEAR)
    assert np.array_equal(prepare.read(tmp_path / "out/images/37.png", "RGB"), expected)
    assert len(open_dataset(f"folder:{tmp_path / 'out'}", split="train")) == 1


def test_a_folder_that_is_not_drive(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"there is no images/\*_training.tif"):
        example("prepare_drive").main(tmp_path, tmp_path / "out")


def test_names_and_size() -> None:
    network = example("wnet").wnet().eval()
    names = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert len(names) == 240
    assert names["unet2.first.shortcut.0.weight"] == (8, 4, 1, 1)
    assert names["unet1.up_path.0.up_layer.block.0.weight"] == (32, 16, 2, 2)
    assert names["unet1.up_path.1.conv_bridge_layer.block.0.bias"] == (8,)
    assert sum(parameter.numel() for parameter in network.parameters()) == 68_482
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 20, 24)).shape == (2, 1, 20, 24)


def test_the_card() -> None:
    card = yaml.safe_load((EXAMPLES / "wnet.yaml").read_text(encoding="utf-8"))
    assert card["source"] == "python:wnet.py:wnet()"
    assert (card["output"], card["classes"]) == ("sigmoid", ["background", "vessel"])


@pytest.mark.data
def test_the_published_scores(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("prepare_drive").main(real_data / "drive", tmp_path / "drive512")
    for path in (EXAMPLES / "wnet.py", EXAMPLES / "wnet.yaml", real_data / "checkpoints/wnet_drive.pth"):
        shutil.copy(path, tmp_path)
    arguments = ["evaluate", str(tmp_path / "wnet.yaml"), f"folder:{tmp_path / 'drive512'}", "--losses", "none"]
    assert run([*arguments, "--format", "json", "--device", "cpu", "--trust-code"]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    scores = {row["measure"]: row["value"] for row in tables["overall"]}
    vessel = next(row for row in tables["classes"] if row["class"] == "vessel")
    assert scores["AUC (ROC)"] == pytest.approx(0.98586, abs=1e-5)
    assert scores["average precision"] == pytest.approx(0.89549, abs=1e-4)
    assert vessel["f1"] == pytest.approx(0.80962, abs=5e-6)


def test_drive_at_its_size_has_void_outside_the_field_of_view(tmp_path: Path) -> None:
    write_drive(tmp_path / "drive", "1st_manual", "test_mask")
    for path in (tmp_path / "drive/images").iterdir():
        path.rename(path.with_name(path.name.replace("training", "test")))
    example("prepare_drive").main(tmp_path / "drive", tmp_path / "out", native=True)
    data = open_dataset(f"folder:{tmp_path / 'out'}")
    assert (data.split, len(data)) == ("test", 2)
    sample = data.read(1)
    assert sample.labels.shape == (24, 20)
    assert (sample.labels == 255).sum() == 1  # the one pixel of the box outside
    assert (sample.labels == 1).sum() == 24 * 20 - 1


def test_predictions_as_published(tmp_path: Path) -> None:
    """The mean of the probabilities of four mirror images, at the size of the image, in steps of 1/255."""
    prepare, predict = example("prepare_drive"), example("predict_drive")
    torch.manual_seed(0)
    network = example("wnet").wnet().eval()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (540, 536, 3), np.uint8))
    found = predict.as_published(network, image)
    assert found.shape == (540, 536)
    assert np.allclose(found * 255, np.rint(found * 255), atol=1e-4)
    mirrored = predict.as_published(network, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert np.abs(mirrored[:, ::-1] - found).max() <= 2 / 255  # all four poses are averaged
    assert prepare.OUTSIDE not in (0, 255)


@pytest.mark.data
def test_four_flips_against_plain_torch(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The mean of the logits of four mirror images on 37 to 40: Dice at 0.5 and at the best threshold."""
    example("prepare_drive").main(real_data / "drive", tmp_path / "drive512")
    for path in (EXAMPLES / "wnet.py", EXAMPLES / "wnet.yaml", real_data / "checkpoints/wnet_drive.pth"):
        shutil.copy(path, tmp_path)
    command = ["evaluate", str(tmp_path / "wnet.yaml"), f"folder:{tmp_path / 'drive512'}", "--losses", "none"]
    quick = ["--tolerance", "none", "--no-calibration", "--format", "json", "--device", "cpu", "--trust-code"]
    assert run([*command, *quick, "--flip", "both"]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    network = example("wnet").wnet().eval()
    state = torch.load(tmp_path / "wnet_drive.pth", map_location="cpu", weights_only=False)
    network.load_state_dict(state["model_state_dict"])
    logits, labels = [], []
    for path in sorted((tmp_path / "drive512/images").iterdir()):
        x = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            each = [network(x.flip(axes)).flip(axes) for axes in ((), (-1,), (-2,), (-1, -2))]
        logits.append(torch.cat(each).mean(0).numpy().ravel())
        labels.append(np.asarray(Image.open(tmp_path / "drive512/labels" / path.name)).ravel() == 255)
    scores, truth = np.concatenate(logits), np.concatenate(labels)
    order = np.argsort(-scores, kind="stable")
    dice = 2 * truth[order].cumsum() / (np.arange(1, len(truth) + 1) + truth.sum())
    vessel = next(row for row in tables["classes"] if row["class"] == "vessel")
    assert vessel["f1"] == pytest.approx(
        2 * (truth & (scores > 0)).sum() / ((scores > 0).sum() + truth.sum()), abs=1e-5
    )
    (best,) = [row for row in tables["thresholds"] if row["which"]]
    assert best["dice"] == pytest.approx(dice.max(), abs=1e-5)
