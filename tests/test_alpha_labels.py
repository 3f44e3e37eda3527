"""Label maps whose labels are in the alpha channel, which is not read: said, not measured as one class."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nearest import COLOURS, scene
from PIL import Image

from segablate.cli import run
from segablate.images.label_maps import read_label_file
from segablate.samples import Remark

Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""The pixels of a label file, H, W, K, from a label map and its image."""


def flat(labels: np.ndarray, alpha: np.ndarray, grey: int = 0) -> np.ndarray:
    return np.dstack([np.full((*labels.shape, 3), grey, np.uint8), alpha.astype(np.uint8)])


def planted(root: Path, paint: Paint, suffix: str = ".png", count: int = 3) -> Path:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        labels = scene(index)
        image = COLOURS[labels]
        Image.fromarray(image).save(root / f"images/{index}.png")
        Image.fromarray(paint(labels, image)).save(root / f"labels/{index}{suffix}")
    return root


@pytest.mark.parametrize(
    "paint",
    [
        lambda labels, image: flat(labels, labels),
        lambda labels, image: flat(labels, 255 * (labels > 0), 255),
        lambda labels, image: np.dstack([np.zeros_like(labels), 100 * labels]),
    ],
    ids=["codes", "white on nothing", "grey and alpha"],
)
def test_init_says_where_the_labels_may_be(tmp_path: Path, paint: Paint, capsys: pytest.CaptureFixture[str]) -> None:
    root = planted(tmp_path / "data", paint)
    assert run(["datasets", "init", str(root)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "labels/0.png: has one colour, and only its transparency varies, as in 3 of 3 label maps" in said
    assert "save that alone as grey PNG" in said
    assert not (root / "dataset.yaml").exists()


def test_a_cut_out_photograph_says_so_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0)

    def paint(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
        return np.dstack([noise.integers(0, 256, image.shape, np.uint8), 255 * (labels > 0).astype(np.uint8)])

    assert run(["datasets", "init", str(planted(tmp_path / "data", paint))]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "are these label maps?; their transparency varies: if the labels are in the alpha channel" in said


def test_colours_beside_transparency_are_still_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is transparent but the background, whose colour is another, as editors export it."""

    def paint(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
        return np.dstack([image, 255 * (labels > 0).astype(np.uint8)])

    assert run(["datasets", "init", str(planted(tmp_path / "data", paint))]) == 0, capsys.readouterr().err


def test_evaluate_and_check_say_it_of_a_described_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = planted(tmp_path / "data", lambda labels, image: flat(labels, labels))
    described = "classes: [a, b, c]\nvoid: [255]\nsplits: {all: {images: images, labels: labels}}\n"
    (root / "dataset.yaml").write_text(described)
    expected = "whose transparency varies and is ignored, in 3 images (0, 1, 2): are the labels in the alpha channel?"
    run(["datasets", "check", f"folder:{root}", "--workers", "0"])
    assert expected in " ".join(capsys.readouterr().out.split())
    for name in (0, 1, 2):
        (tmp_path / "maps").mkdir(exist_ok=True)
        Image.fromarray(scene(name)).save(tmp_path / f"maps/{name}.png")
    assert run(["evaluate", f"predictions:{tmp_path / 'maps'}", f"folder:{root}", "--workers", "0", "--no-cache"]) == 0
    assert expected in " ".join(capsys.readouterr().out.split())


def test_remarks_tell_varying_transparency_from_labels_in_it(tmp_path: Path) -> None:
    labels = scene(0)
    for name, pixels, remark in (
        ("opaque", flat(labels, np.full_like(labels, 255)), Remark.NONE),
        ("clear", flat(labels, np.full_like(labels, 9)), Remark.NONE),
        ("alpha", flat(labels, labels), Remark.ONLY_ALPHA),
        ("both", np.dstack([COLOURS[labels], labels]), Remark.TRANSPARENT),
    ):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        assert read_label_file(tmp_path / f"{name}.png").remarks == remark
