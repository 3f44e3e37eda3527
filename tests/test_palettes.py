"""Palettes under which codes would mean other classes are refused, in an evaluation and by the check."""

from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, scene, write_dataset, write_predictions
from PIL import Image

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.errors import LabelError
from segablate.samples import Remark

COLOURS = [(40, 40, 40), (220, 40, 40), (40, 220, 40), (40, 40, 220)]


def described(encoding: str = "codes", colours: list[tuple[int, int, int]] | None = None, more: str = "") -> str:
    classes = [
        f"  - {{name: {name}" + (f", colour: {list(colours[code])}" if colours else f", code: {code}") + "}"
        for code, name in enumerate(CLASSES)
    ]
    void = "[[255, 255, 255]]" if encoding == "colours" else "[255]"
    lines = ["name: toy", "classes:", *classes, f"void: {void}", f"encoding: {encoding}"]
    return "\n".join([*lines, "splits: {val: {images: images/val, labels: labels/val}}", more, ""])


def write_labels(path: Path, values: np.ndarray, colours: list[tuple[int, int, int]], void: int = 255) -> None:
    picture = Image.fromarray(values, "P")
    entries = np.zeros((256, 3), np.uint8)
    entries[: len(colours)] = colours
    entries[void] = 255
    picture.putpalette(entries.reshape(-1).tolist())
    picture.save(path)


@pytest.fixture
def coloured(tmp_path: Path) -> Path:
    """A dataset of three palette label maps, in one palette."""
    root = write_dataset(tmp_path / "toy", 3)
    for index in range(3):
        write_labels(root / f"labels/val/s{index}.png", scene(index)[1], COLOURS)
    return root


def permuted(root: Path, index: int) -> np.ndarray:
    """Store a label map with its indices and palette permuted, so that its colours stay; returns its classes."""
    labels = scene(index)[1]
    order = np.array([2, 0, 1, 3])  # the new index of each class
    table = np.full(256, 255, np.uint8)
    table[:4] = order
    write_labels(root / f"labels/val/s{index}.png", table[labels], [COLOURS[code] for code in np.argsort(order)])
    return labels


def test_one_palette_for_all(coloured: Path) -> None:
    data = open_dataset(f"folder:{coloured}")
    for index in range(3):
        sample = data.read(index)
        assert np.array_equal(sample.labels, scene(index)[1])
        assert sample.remarks == Remark.NONE


@pytest.mark.parametrize("colours", [None, COLOURS])
def test_a_palette_that_differs_between_files(
    coloured: Path, colours: list | None, capsys: pytest.CaptureFixture
) -> None:
    (coloured / "dataset.yaml").write_text(described(colours=colours))
    permuted(coloured, 1)
    data = open_dataset(f"folder:{coloured}")
    assert np.array_equal(data.read(0).labels, scene(0)[1])
    message = (
        r"s1\.png: palette entry 0 is \(220, 40, 40\), but \(40, 40, 40\) in .*s0\.png: the same code may mean two"
    )
    with pytest.raises(LabelError, match=message):
        data.read(1)
    assert run(["datasets", "check", f"folder:{coloured}", "--workers", "0"]) == 1
    assert "palette entry 0" in " ".join(capsys.readouterr().out.split())
    predictions = write_predictions(coloured.parent / "pred", 3, (24, 32))
    arguments = ["evaluate", f"predictions:{predictions}", f"folder:{coloured}", "--workers", "0", "--no-cache"]
    assert run(arguments) == 1
    assert "palette entry 0" in capsys.readouterr().err
    assert run([*arguments, "--on-error", "skip"]) == 0


def test_two_equal_palettes_outweigh_the_first(coloured: Path) -> None:
    permuted(coloured, 0)
    data = open_dataset(f"folder:{coloured}")
    with pytest.raises(LabelError, match=r"s0\.png: palette entry 0 is .* in .*s1\.png"):
        data.read(0)
    assert np.array_equal(data.read(1).labels, scene(1)[1])
    assert np.array_equal(data.read(2).labels, scene(2)[1])
    permuted(coloured, 1)  # as the first now, and unlike the third
    with pytest.raises(LabelError, match=r"s2\.png: palette entry 0 is .* in .*s0\.png"):
        open_dataset(f"folder:{coloured}").read(2)


def test_palettes_may_differ_where_codes_are_not_in_use(coloured: Path) -> None:
    write_labels(coloured / "labels/val/s1.png", np.minimum(scene(1)[1], 1), [*COLOURS[:2], (1, 2, 3), (4, 5, 6)])
    picture = Image.fromarray(np.minimum(scene(2)[1], 2), "P")
    picture.putpalette(np.array(COLOURS[:3]).reshape(-1).tolist())
    picture.save(coloured / "labels/val/s2.png")
    data = open_dataset(f"folder:{coloured}")
    assert data.read(1).remarks == data.read(2).remarks == Remark.NONE


def test_palettes_are_ignored_as_stated(coloured: Path) -> None:
    permuted(coloured, 1)
    (coloured / "dataset.yaml").write_text(described(more="palettes: ignore"))
    assert not np.array_equal(open_dataset(f"folder:{coloured}").read(1).labels, scene(1)[1])


def test_palettes_are_read_as_colours_as_stated(coloured: Path) -> None:
    labels = permuted(coloured, 1)
    (coloured / "dataset.yaml").write_text(described("colours", COLOURS))
    data = open_dataset(f"folder:{coloured}")
    assert np.array_equal(data.read(0).labels, scene(0)[1])
    assert np.array_equal(data.read(1).labels, labels)


def test_the_class_colours_at_other_codes(coloured: Path, capsys: pytest.CaptureFixture) -> None:
    others = [COLOURS[0], COLOURS[2], COLOURS[1], COLOURS[3]]
    (coloured / "dataset.yaml").write_text(described(colours=others).replace("colour:", "colour:"))
    message = r"palette entry 1 has the colour of class 'tree', but code 1 is class 'car'; correct the codes or colours"
    with pytest.raises(LabelError, match=message):
        open_dataset(f"folder:{coloured}").read(0)
    assert run(["datasets", "check", f"folder:{coloured}", "--workers", "0"]) == 1
    assert "has the colour of class 'tree'" in " ".join(capsys.readouterr().out.split())


def test_other_colours_than_the_classes_are_noted(coloured: Path, capsys: pytest.CaptureFixture) -> None:
    (coloured / "dataset.yaml").write_text(described(colours=[(1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)]))
    sample = open_dataset(f"folder:{coloured}").read(0)
    assert sample.remarks == Remark.OTHER_COLOURS
    assert np.array_equal(sample.labels, scene(0)[1])
    assert run(["datasets", "check", f"folder:{coloured}", "--workers", "0", "--format", "json"]) == 0
    assert "palette without the class colours in 3 images (s0, s1, s2); their codes are read" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".gif", ".bmp", ".tif"])
def test_palettes_of_other_formats_are_compared_too(coloured: Path, suffix: str) -> None:
    for index in range(3):
        permuted(coloured, index) if index == 1 else None
        with Image.open(coloured / f"labels/val/s{index}.png") as picture:
            picture.load()
            picture.save(coloured / f"labels/val/s{index}{suffix}", **({"optimize": False} if suffix == ".gif" else {}))
    (coloured / "dataset.yaml").write_text(described(more=f"label_suffix: {suffix}"))
    data = open_dataset(f"folder:{coloured}")
    assert np.array_equal(data.read(2).labels, scene(2)[1])
    with pytest.raises(LabelError, match="palette entry 0 is"):
        data.read(1)
