"""Images and label maps of different size meet where ``--label-size`` says, in every command."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from nearest import COLOURS, nearest_network, scene
from PIL import Image

from segablate.checkpoints import Loading
from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.label_sizes import alike, nearest
from segablate.errors import SegablateError
from segablate.evaluation.session import Request, evaluate_checkpoint
from segablate.metrics.confusion import class_counts, iou

YAML = """classes: [ground, a, b]
splits:
  val: {images: images, labels: labels}
  train: {images: train/images, labels: train/labels}
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Five images, whose label maps are of the same size, twice and three times the size, and half of it."""
    root = tmp_path / "mixed"
    write(root, 0)
    write(root / "train", 10)
    (root / "dataset.yaml").write_text(YAML)
    return root


def write(root: Path, first: int) -> None:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for index, factor in enumerate((1, 2, 3, 0.5, 1)):
        labels = scene(first + index)
        Image.fromarray(COLOURS[labels]).save(root / f"images/{index}.png")
        size = round(64 * factor), round(48 * factor)
        Image.fromarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)).save(
            root / f"labels/{index}.png"
        )


def test_scores_are_brought_to_the_size_of_the_label_map(mixed: Path, tmp_path: Path) -> None:
    """The plain reference: the scores of each image, resized by torch, counted against the whole label map."""
    found = evaluate_checkpoint(
        nearest_network(tmp_path / "net"), open_dataset(f"folder:{mixed}"), Request(losses="ce")
    )
    expected = np.zeros((3, 3), np.int64)
    losses = []
    for index in range(5):
        image, labels = (np.array(Image.open(mixed / f"{folder}/{index}.png")) for folder in ("images", "labels"))
        pixels, colours = (torch.from_numpy(array).float() / 255 for array in (image, COLOURS[:3]))
        scores = (100 * pixels @ colours.T - 50 * (colours**2).sum(1)).permute(2, 0, 1)[None]
        if image.shape[:2] != labels.shape:
            scores = torch.nn.functional.interpolate(scores, labels.shape, mode="bilinear", align_corners=False)
        truth = torch.from_numpy(labels).long()[None]
        losses.append(float(torch.nn.functional.cross_entropy(scores, truth)))
        np.add.at(expected, (labels, scores.argmax(1)[0].numpy()), 1)
    assert np.array_equal(found.confusion.total()[:3, :3], expected)
    assert found.confusion.total().sum() == expected.sum(), "every pixel of every label map, in its own size"
    np.testing.assert_allclose(found.values["ce"], losses, rtol=1e-4)
    assert found.sizes.tolist() == [[48, 64], [96, 128], [144, 192], [24, 32], [48, 64]]
    assert [note for note in found.notes if "scores were brought to the size of the label map" in note] == [
        "label map and image differ in size in 3 images (1, 2, 3); scores were brought to the size of the label map; "
        "--label-size decides otherwise"
    ]


def test_labels_are_brought_to_the_size_of_the_image(mixed: Path, tmp_path: Path) -> None:
    data = open_dataset(f"folder:{mixed}").meeting_at("image")
    for index in (1, 2):
        assert np.array_equal(data.read(index).labels, scene(index)), "made larger by copies, smaller by the nearest"
        assert np.array_equal(data.read(index, image=False).labels, scene(index)), "as for predictions"
    found = evaluate_checkpoint(nearest_network(tmp_path / "net"), data)
    assert found.sizes.tolist() == [[48, 64]] * 5
    assert iou(class_counts(found.confusion))[[0, 1, 2, 4]].min() == 1
    assert any("labels were brought to the size of the image" in note for note in found.notes)


def test_refuse_and_other_proportions(mixed: Path) -> None:
    data = open_dataset(f"folder:{mixed}")
    with pytest.raises(SegablateError, match=r"1\.png: the label map is 96x128, but its image 1\.png is 48x64; export"):
        data.meeting_at("refuse").read(1)
    Image.fromarray(scene(0).T.copy()).save(mixed / "labels/0.png")
    with pytest.raises(
        SegablateError, match=r"64x48, but .* 48x64: width and height are exchanged; .*--label-size label"
    ):
        data.read(0)
    Image.fromarray(scene(0)[:, :50].copy()).save(mixed / "labels/0.png")
    with pytest.raises(SegablateError, match=r"48x50, but its image 0\.png is 48x64, of other proportions"):
        data.read(0)
    assert data.meeting_at("label").read(0).labels.shape == (48, 50)
    assert data.meeting_at("image").read(0).labels.shape == (48, 64)


@pytest.mark.parametrize(
    ("image", "labels", "same"),
    [
        ((48, 64), (96, 128), True),
        ((375, 500), (374, 500), True),
        ((375, 500), (187, 250), True),
        ((375, 500), (500, 375), False),
        ((375, 500), (370, 500), False),
        ((100, 100), (300, 301), True),
    ],
)
def test_proportions_to_a_pixel(image: tuple[int, int], labels: tuple[int, int], same: bool) -> None:
    assert alike(image, labels) is same
    assert alike(labels, image) is same


def test_the_nearest_pixel_is_that_of_opencv() -> None:
    labels = scene(3)
    for size in ((31, 77), (96, 128), (5, 3), (48, 64)):
        expected = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        assert np.array_equal(nearest(labels, size), expected), size


def test_images_that_losses_read_have_the_size_of_the_label_map(mixed: Path, tmp_path: Path) -> None:
    found = evaluate_checkpoint(
        nearest_network(tmp_path / "net"), open_dataset(f"folder:{mixed}"), Request(losses="dense_crf,rmi")
    )
    assert np.isfinite(found.values["dense_crf"]).all()
    assert np.isfinite(found.values["rmi"]).all()


def test_windows_meet_at_the_label_map_too(mixed: Path, tmp_path: Path) -> None:
    """A network without context gives the same scores in windows: before, and after they are brought to a size."""
    network, data = nearest_network(tmp_path / "net"), open_dataset(f"folder:{mixed}")
    whole = evaluate_checkpoint(network, data, Request(losses="ce"))
    windows = evaluate_checkpoint(network, data, Request(losses="ce"), Loading(window=(32, 32), flip=True))
    assert np.array_equal(whole.confusion.total(), windows.confusion.total())
    np.testing.assert_allclose(whole.values["ce"], windows.values["ce"], rtol=1e-3)


def test_every_command_takes_the_option(mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    network, data = nearest_network(tmp_path / "net"), f"folder:{mixed}"
    other = nearest_network(tmp_path / "other", order=(0, 2, 1))
    for command in (
        ["evaluate", network, data],
        ["compare", network, other, "--on", data, "--replicates", "100"],
        ["ablate", "rmi", network, data, "--radius", "2,3", "--gradient-images", "2"],
        ["datasets", "check", data],
    ):
        code = run([*command, "--label-size", "refuse"])
        printed = capsys.readouterr()
        assert code == 1, command
        assert "--label-size" in printed.out + printed.err
        assert run([*command, "--label-size", "image"]) == 0, capsys.readouterr().err
    train = ["train", "small", data, "--steps", "2", "--crop", "32x32", "--holdout", "val", "--save"]
    assert run([*train, str(tmp_path / "t0"), "--label-size", "refuse"]) == 1
    assert run([*train, str(tmp_path / "t1"), "--label-size", "image"]) == 0, capsys.readouterr().err
    assert run([*train, str(tmp_path / "t2")]) == 0, capsys.readouterr().err


def test_the_description_states_it(mixed: Path) -> None:
    (mixed / "dataset.yaml").write_text(YAML + "label_size: image\n")
    assert open_dataset(f"folder:{mixed}").read(1).labels.shape == (48, 64)
    assert open_dataset(f"folder:{mixed}").meeting_at("label").read(1).labels.shape == (96, 128)
