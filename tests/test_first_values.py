"""First descriptions of label maps with odd values: `evaluate` reads what `init` drafts, or `init` refuses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from nearest import COLOURS, scene
from PIL import Image

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.heaps import are_near
from segablate.files import Unreadable
from segablate.images.label_maps import read_label_map
from segablate.labels import IGNORE

Write = Callable[[Path, np.ndarray], None]


def planted(root: Path, write: Write, suffix: str, classes: int = 3) -> Path:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for index in range(3):
        labels = scene(index, classes)
        Image.fromarray(COLOURS[labels]).save(root / f"images/{index}.png")
        write(root / f"labels/{index}{suffix}", labels)
    return root


def with_void(value: int, kind: type) -> Write:
    """Arrays in which the first rows have this value."""

    def write(path: Path, labels: np.ndarray) -> None:
        values = labels.astype(kind)
        values[:5] = value
        np.save(path, values)

    return write


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (-(1 << 63), np.int64),
        (-(1 << 31), np.int32),
        ((1 << 31) - 1, np.int32),
        ((1 << 32) - 1, np.uint32),
        (65535, np.uint16),
        (-128, np.int8),
    ],
)
def test_the_end_of_a_type_is_void(value: int, kind: type, tmp_path: Path) -> None:
    root = planted(tmp_path / "data", with_void(value, kind), ".npy")
    assert run(["datasets", "init", str(root)]) == 0
    data = open_dataset(f"folder:{root}")
    assert len(data.labels) == 3
    for index in range(3):
        expected = scene(index)
        expected[:5] = IGNORE
        assert np.array_equal(data.read(index).labels, expected)


def test_truth_values_are_0_and_1(tmp_path: Path) -> None:
    root = planted(tmp_path / "data", lambda path, labels: np.save(path, labels > 0), ".npy", 2)
    assert run(["datasets", "init", str(root)]) == 0
    data = open_dataset(f"folder:{root}")
    assert data.labels.codes == ((0,), (1,))
    assert np.array_equal(data.read(0).labels, scene(0, 2))


def save_image(colours: np.ndarray, **options: object) -> Write:
    return lambda path, labels: Image.fromarray(colours[labels]).save(path, **options)  # type: ignore[arg-type]


GREYS = np.stack([np.array([0, 255, 128], np.uint8)] * 3, axis=1)


@pytest.mark.parametrize(
    ("write", "suffix"),
    [
        (save_image(GREYS, quality=60), ".webp"),
        (save_image(COLOURS, quality=80), ".webp"),
    ],
    ids=["greys", "colours"],
)
def test_shades_of_one_colour_in_files_compressed_with_loss_are_refused(
    write: Write, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = planted(tmp_path / "data", write, suffix)
    assert run(["datasets", "init", str(root)]) == 1
    assert "as PNG" in capsys.readouterr().err


def test_webp_without_loss_is_read(tmp_path: Path) -> None:
    root = planted(tmp_path / "data", save_image(COLOURS, lossless=True), ".webp")
    assert run(["datasets", "init", str(root)]) == 0
    assert len(open_dataset(f"folder:{root}").labels) == 3


def test_codes_near_one_another_in_jpeg_are_doubted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = planted(tmp_path / "data", lambda path, labels: Image.fromarray(labels).save(path, quality=95), ".jpg")
    assert run(["datasets", "init", str(root)]) == 0
    assert "near one another in files compressed with loss" in capsys.readouterr().out
    run(["datasets", "check", f"folder:{root}", "--workers", "0"])
    said = " ".join(capsys.readouterr().out.split())
    assert "label maps in JPEG, which changes values, and codes near one another (0, 1, 2" in said


def test_values_are_near_by_their_largest_difference() -> None:
    assert are_near([0, 100, 123])
    assert not are_near([0, 100, 124])
    assert not are_near([255, 0, 65535])
    assert are_near([0x102030, 0x2737_47], colours=True)
    assert not are_near([0x102030, 0x282030], colours=True)


def test_half_precision_tiff_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.float16))
    with pytest.raises(Unreadable, match=r"a\.tif: holds 16-bit floats, which are not read; save it with 32 bits"):
        read_label_map(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        ("cat:220,40,40::\ndog:40,220,40::\n", ("background", "cat", "dog"), "names from labelmap.txt"),
        ("cat:220,40,41::\ndog:40,220,40::\n", ("class_0", "class_1", "class_2"), "it has no colour (0, 0, 0), (220"),
        ("a:0,0,0::\na:220,40,40::\nb:40,220,40::\n", ("class_0", "class_1", "class_2"), "it has a name twice"),
    ],
    ids=["without black", "another colour", "a name twice"],
)
def test_names_that_do_not_fit_are_said(
    text: str, names: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    black = np.concatenate([np.zeros((1, 3), np.uint8), COLOURS[1:]])
    root = planted(tmp_path / "data", save_image(black), ".png")
    (root / "labelmap.txt").write_text(text)
    assert run(["datasets", "init", str(root)]) == 0
    assert said in capsys.readouterr().out
    assert open_dataset(f"folder:{root}").labels.names == names
