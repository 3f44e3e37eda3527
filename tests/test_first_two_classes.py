"""Networks of two classes: a stated threshold, the table over thresholds, and flips and turns of the image."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import write_dataset
from PIL import Image
from torch import Tensor, nn

from segablate.checkpoints.inference import Inference
from segablate.checkpoints.poses import Pose
from segablate.cli import run
from segablate.cli.flips import with_flip_values
from segablate.errors import CheckpointError
from segablate.metrics.roc import count_scores
from segablate.metrics.thresholds import at_thresholds, best_threshold


class Uneven(nn.Module):
    """A network whose output depends on the pose of its input, at half the resolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 2, 3, padding=1)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * torch.linspace(0.5, 1.5, x.shape[-1]) * torch.linspace(1.5, 0.5, x.shape[-2])[:, None]


def plain_mean(network: nn.Module, x: Tensor, flips: list[tuple[int, ...]], turns: bool) -> Tensor:
    """The mean over all different poses, each turned back; written with numpy's own functions."""
    seen, total = {}, 0
    for axes in flips:
        for k in range(4) if turns else (0,):
            marked = np.rot90(np.flip(np.arange(6).reshape(2, 3), [axis % 2 for axis in axes]), k)
            key = (marked.shape, tuple(marked.ravel()))
            if key in seen:
                continue
            pose = torch.rot90(x.flip(axes) if axes else x, k, (-2, -1))
            back = torch.rot90(network(pose), -k, (-2, -1))
            seen[key] = True
            total = total + (back.flip(axes) if axes else back)
    return total / len(seen)


FLIPS = {False: [()], True: [(), (-1,)], "vertical": [(), (-2,)], "both": [(), (-1,), (-2,), (-2, -1)]}


@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize("flip", list(FLIPS))
def test_poses_are_averaged_after_they_are_turned_back(flip: bool | str, turns: bool) -> None:
    network, x = Uneven(), torch.rand(2, 3, 9, 14)
    inference = Inference(flip=flip, quarter_turns=turns)  # type: ignore[arg-type]
    expected = plain_mean(network, x, FLIPS[flip], turns)
    assert torch.allclose(inference(network, x, (9, 14)), expected, atol=1e-5)
    assert len(inference.poses) == len({*inference.poses}) == (len(FLIPS[flip]) if not turns else 8 if flip else 4)


@pytest.mark.parametrize("window", [None, (6, 5)])
def test_padding_stays_outside_in_every_pose(window: tuple[int, int] | None) -> None:
    """A network that adds the mean of its input would see padding that was turned into the image."""
    network = nn.Conv2d(3, 2, 1)
    x = torch.rand(1, 3, 12, 16)
    padded = x.clone()
    padded[..., 9:, :] = 0
    padded[..., 14:] = 0
    inference = Inference(window, flip="both", quarter_turns=True)
    found = inference(network, padded, (9, 14))
    assert torch.allclose(found, network(x)[..., :9, :14], atol=1e-6)


def test_windows_in_all_poses_cover_every_pixel_equally() -> None:
    found = Inference((8, 6), (5, 4), flip="both", quarter_turns=True)(
        lambda x: x * 2, torch.rand(1, 3, 21, 17), (21, 17)
    )
    assert found.shape == (1, 3, 21, 17)
    x = torch.rand(1, 3, 21, 17)
    found = Inference((8, 6), (5, 4), flip="vertical")(lambda y: y * 2, x, (21, 17))
    assert torch.allclose(found, 2 * x, atol=1e-6)


def test_the_origin_of_a_place_in_a_pose() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4)
    for pose in (Pose(turns, mirrored) for turns in range(4) for mirrored in (False, True)):
        view, size = pose.posed(x, (3, 4))
        rows, columns = slice(1, 2), slice(0, 2)
        assert size == tuple(view.shape[-2:])
        here = pose.origin(rows, columns, (3, 4))
        assert torch.equal(pose.restored(view[..., rows, columns]), x[..., here[0], here[1]])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("evaluate a b --flip", "evaluate a b --flip=horizontal"),
        ("evaluate --flip a b", "evaluate --flip=horizontal a b"),
        ("evaluate a --flip both b", "evaluate a --flip both b"),
        ("evaluate a --no-flip", "evaluate a --flip=none"),
        ("train small sample --flip 0.3", "train small sample --flip 0.3"),
        ("evaluate -- --flip", "evaluate -- --flip"),
    ],
)
def test_flip_without_a_value_is_horizontal(words: str, expected: str) -> None:
    assert with_flip_values(words.split()) == expected.split()


def drawn(size: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of two overlapping classes."""
    rng = np.random.default_rng(3)
    labels = rng.random(size) < 0.3
    return rng.normal(np.where(labels, 0.5, -1.5), 1.5), labels


def counted(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    pair = torch.stack([torch.zeros(len(logits)), torch.from_numpy(logits).float()])[:, None]
    return count_scores(pair, torch.from_numpy(labels.astype(np.uint8))[None]).numpy()


def dice(logits: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    taken = 1 / (1 + np.exp(-logits)) > threshold
    return 2 * (taken & labels).sum() / (taken.sum() + labels.sum())


def test_scores_at_thresholds_are_those_of_the_pixels() -> None:
    logits, labels = drawn()
    thresholds = np.array([0.05, 0.3, 0.5, 0.77, 0.98])
    found = at_thresholds(counted(logits, labels), thresholds)
    assert np.allclose(found.dice, [dice(logits, labels, t) for t in thresholds], atol=1e-3)
    taken = 1 / (1 + np.exp(-logits))[:, None] > thresholds
    hits = (taken & labels[:, None]).sum(0)
    assert np.allclose(found.recall, hits / labels.sum(), atol=3e-4)
    assert np.allclose(found.precision, hits / taken.sum(0), atol=1e-3)
    assert np.allclose(found.specificity, (~taken & ~labels[:, None]).sum(0) / (~labels).sum(), atol=3e-4)
    assert np.allclose(found.iou, found.dice / (2 - found.dice))


def test_the_best_threshold_is_that_of_a_search_over_all_pixels() -> None:
    logits, labels = drawn()
    order = np.argsort(-logits)
    hits = labels[order].cumsum()
    best = (2 * hits / (np.arange(1, len(labels) + 1) + labels.sum())).max()
    found = best_threshold(counted(logits, labels))
    assert dice(logits, labels, found) == pytest.approx(best, abs=1e-4)
    assert np.isnan(best_threshold(counted(logits, np.zeros_like(labels))))


def test_between_levels_of_eight_bits_the_middle_is_taken() -> None:
    """So that stating the threshold gives the same Dice, however it is rounded."""
    logits, labels = drawn()
    levels = np.clip(np.rint(255 / (1 + np.exp(-logits))), 1, 254) / 255
    coarse = np.log(levels / (1 - levels))
    found = best_threshold(counted(coarse, labels))
    assert abs(found * 255 - round(found * 255)) > 0.2
    assert dice(coarse, labels, found) == max(dice(coarse, labels, (level + 0.5) / 255) for level in range(255))


ONE = """
import torch
from torch import nn


class One(nn.Module):
    preprocessing = {"normalise": "none"}

    def __init__(self, channels=1):
        super().__init__()
        self.head = nn.Conv2d(3, channels, 1)

    def forward(self, x):
        return self.head(x)


def one():
    return One()


def three():
    return One(3)
"""


@pytest.fixture
def two_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images whose red channel says how probable the second class is."""
    for folder in ("images", "labels"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for index in range(6):
        rng = np.random.default_rng(index)
        labels = (rng.random((24, 32)) < 0.3).astype(np.uint8)
        image = np.zeros((24, 32, 3), np.uint8)
        image[..., 0] = (100 + 60 * labels + rng.normal(0, 40, labels.shape)).clip(0, 255)
        Image.fromarray(image).save(tmp_path / f"data/images/{index}.png")
        Image.fromarray(labels).save(tmp_path / f"data/labels/{index}.png")
    described = {
        "name": "two",
        "classes": [{"name": "background", "code": 0}, {"name": "vessel", "code": 1}],
        "void": [],
        "splits": {"val": {"images": "images", "labels": "labels"}},
    }
    (tmp_path / "data/dataset.yaml").write_text(yaml.safe_dump(described))
    (tmp_path / "net.py").write_text(ONE)
    weight = torch.zeros(1, 3, 1, 1)
    weight[0, 0] = 10
    torch.save({"head.weight": weight, "head.bias": torch.tensor([-6.0])}, tmp_path / "one.pth")
    torch.save({"head.weight": weight.repeat(3, 1, 1, 1), "head.bias": torch.zeros(3)}, tmp_path / "three.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(capsys: pytest.CaptureFixture[str], *options: str, checkpoint: str = "python:net.py:one()@one.pth") -> dict:
    command = ["evaluate", checkpoint, "folder:data", "--device", "cpu", "--losses", "none", "--format", "json"]
    code = run([*command, *options])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def plain_dice(root: Path, threshold: float) -> float:
    taken, labelled, hits = 0, 0, 0
    for path in sorted((root / "data/images").iterdir()):
        image, labels = np.asarray(Image.open(path)), np.asarray(Image.open(root / "data/labels" / path.name)) == 1
        above = 1 / (1 + np.exp(-(image[..., 0].astype(np.float32) / 255 * 10 - 6))) > threshold
        taken, labelled, hits = taken + above.sum(), labelled + labels.sum(), hits + (above & labels).sum()
    return 2 * hits / (taken + labelled)


def test_the_table_and_the_stated_threshold_agree(two_classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys)
    rows = found["tables"]["thresholds"]
    (best,) = [row for row in rows if row["which"] == "best on these images"]
    assert best["dice"] == max(row["dice"] for row in rows)
    for row in rows:
        assert row["dice"] == pytest.approx(plain_dice(two_classes, row["threshold"]), abs=1e-2)
    stated = report(capsys, "--threshold", str(best["threshold"]))
    vessel = next(row for row in stated["tables"]["classes"] if row["class"] == "vessel")
    assert vessel["f1"] == pytest.approx(best["dice"], abs=1e-9)
    assert vessel["f1"] == pytest.approx(plain_dice(two_classes, best["threshold"]), abs=1e-9)
    default = next(row for row in found["tables"]["classes"] if row["class"] == "vessel")
    assert default["f1"] == pytest.approx(plain_dice(two_classes, 0.5), abs=1e-9)
    assert vessel["f1"] > default["f1"]


def test_it_is_plain_where_the_best_threshold_was_chosen(two_classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "python:net.py:one()@one.pth", "folder:data", "--device", "cpu"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "best on these images" in out
    assert "was chosen on the very images it is measured on" in out
    assert "on a validation split, and state it: --threshold" in out


def test_a_card_states_a_threshold(two_classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = {"source": "python:net.py:one()", "weights": "one.pth", "threshold": 0.3}
    Path("card.yaml").write_text(yaml.safe_dump(card))
    found = report(capsys, "--trust-code", checkpoint="card.yaml")
    vessel = next(row for row in found["tables"]["classes"] if row["class"] == "vessel")
    assert vessel["f1"] == pytest.approx(plain_dice(two_classes, 0.3), abs=1e-9)
    assert dict(found["facts"])["output"] == "softmax, threshold 0.3" if isinstance(found["facts"], list) else True


@pytest.mark.parametrize(
    ("checkpoint", "options", "message"),
    [
        (
            "python:net.py:one()@one.pth",
            ("--threshold", "1"),
            "threshold is 1.0, but must be a probability",
        ),
        (
            "python:net.py:three()@three.pth",
            ("--threshold", "0.4"),
            "3 outputs, 1 of them without a class",
        ),
    ],
)
def test_thresholds_that_mean_nothing(
    checkpoint: str, options: tuple[str, ...], message: str, two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", checkpoint, "folder:data", "--device", "cpu", *options]) == 1
    assert message in capsys.readouterr().err


def test_many_classes_have_no_threshold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path / "toy")
    assert run(["evaluate", "sample:ce", "sample", "--limit", "1", "--threshold", "0.4", "--device", "cpu"]) == 1
    assert "outputs; leave it out: it is for two classes, or one channel" in capsys.readouterr().err


def test_malformed_entries() -> None:
    with pytest.raises(CheckpointError, match="quarter_turns is 1, but must be true or false"):
        Inference.parse({"quarter_turns": 1})
    with pytest.raises(CheckpointError, match="flip is 'up', but must be true or false, or horizontal"):
        Inference.parse({"flip": "up"})
    assert Inference.parse({"flip": "horizontal"}) == Inference(flip=True)
