"""Simulated scribbles: where they lie, that they repeat, and that they are written whole or not at all."""

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import write_dataset
from skimage.measure import label

from segablate.cli import run
from segablate.datasets import dataset_layouts, open_dataset
from segablate.datasets.scribbles import Strokes, scribble, write_scribbles
from segablate.errors import DatasetError, SegablateError
from segablate.labels import IGNORE


def regions() -> np.ndarray:
    """Two large regions, a ring, a single pixel of a class of its own, and void."""
    labels = np.zeros((60, 80), np.uint8)
    labels[:, 40:] = 1
    rows, columns = np.mgrid[:60, :80]
    away = np.hypot(rows - 30, columns - 20)
    labels[(away > 8) & (away < 14)] = 2
    labels[5, 60] = 3
    labels[50:, 70:] = IGNORE
    return labels


@pytest.mark.parametrize("seed", range(5))
def test_strokes_stay_in_their_regions_and_reach_every_class(seed):
    labels = regions()
    drawn = scribble(labels, seed)
    on = drawn != IGNORE
    assert (drawn[on] == labels[on]).all()
    assert set(np.unique(drawn)) == {0, 1, 2, 3, IGNORE}
    assert 0.01 < on.sum() / (labels != IGNORE).sum() < 0.1
    for index in (1, 2, 3):
        assert label(drawn == index, connectivity=2).max() == 1


def test_the_same_seed_draws_the_same():
    labels = regions()
    assert (scribble(labels, 7) == scribble(labels, 7)).all()
    assert (scribble(labels, 7) != scribble(labels, 8)).any()


def test_a_bar_is_drawn_along_its_middle():
    labels = np.full((21, 101), IGNORE, np.uint8)
    labels[5:16, 5:96] = 4
    drawn = scribble(labels, 0, Strokes(width=1, shortest=1.0))
    rows, columns = np.nonzero(drawn == 4)
    middle = abs(columns - 50) < 35  # the skeleton forks at the corners
    assert (rows[middle] == 10).all()
    assert len(np.unique(columns[middle])) == 69


def test_width_and_length():
    labels = np.zeros((41, 201), np.uint8)
    thin, thick = (scribble(labels, 0, Strokes(width=w, shortest=1.0)) == 0 for w in (1, 5))
    assert 4 < thick.sum() / thin.sum() < 6
    short = [(scribble(labels, seed, Strokes(width=1, shortest=0.1)) == 0).sum() for seed in range(20)]
    assert min(short) < 0.4 * thin.sum() < 0.7 * thin.sum() < max(short)


def test_small_regions_are_left_out_unless_their_class_has_no_other():
    labels = np.zeros((40, 40), np.uint8)
    labels[2:5, 2:5] = 1
    labels[10:30, 10:30] = 1
    labels[35:38, 35:38] = 2
    drawn = scribble(labels, 0)
    assert not (drawn[2:5, 2:5] == 1).any()
    assert (drawn[10:30, 10:30] == 1).any()
    assert (drawn == 2).any()


def test_void_and_nothing_stay_void():
    assert (scribble(np.full((8, 9), IGNORE, np.uint8), 0) == IGNORE).all()
    one = np.full((1, 1), 3, np.uint8)
    assert (scribble(one, 0) == one).all()


def test_written_files_are_a_label_source(tmp_path: Path):
    root = write_dataset(tmp_path / "toy", 3)
    dataset = open_dataset(f"folder:{root}")
    share = write_scribbles(dataset, tmp_path / "out", seed=3)
    assert 0 < share < 1
    again = replace(dataset, items=tuple(replace(i, labels=tmp_path / f"out/{i.name}.png") for i in dataset.items))
    for index in range(3):
        full, drawn = (source.read(index, image=False).labels for source in (dataset, again))
        assert (drawn[drawn != IGNORE] == full[drawn != IGNORE]).all()
        assert set(np.unique(drawn)) == set(np.unique(full)) | {IGNORE}


def test_an_image_does_not_hang_on_the_others(tmp_path: Path):
    dataset = open_dataset(f"folder:{write_dataset(tmp_path / 'toy', 4)}")
    write_scribbles(dataset, tmp_path / "all")
    write_scribbles(dataset.evenly(2), tmp_path / "two")
    for path in (tmp_path / "two").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "all" / path.name).read_bytes()


def test_a_name_that_is_not_utf8(tmp_path: Path):
    root = write_dataset(tmp_path / "toy", 1)
    name = os.fsdecode(b"m\xfcnchen")
    for folder in ("images", "labels"):
        (root / folder / "val/s0.png").rename(root / folder / f"val/{name}.png")
    write_scribbles(open_dataset(f"folder:{root}"), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{name}.png"]


def test_nothing_is_left_where_a_label_file_is_damaged(tmp_path: Path):
    root = write_dataset(tmp_path / "toy", 3)
    (root / "labels/val/s2.png").write_bytes(b"no image")
    with pytest.raises(SegablateError, match=r"s2\.png"):
        write_scribbles(open_dataset(f"folder:{root}"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_refuses_to_overwrite_and_label_sets_without_void(tmp_path: Path):
    dataset = open_dataset(f"folder:{write_dataset(tmp_path / 'toy', 1)}")
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match="out already exists; remove it, or choose another folder"):
        write_scribbles(dataset, tmp_path / "out")
    without = replace(dataset, labels=replace(dataset.labels, void=()))
    with pytest.raises(DatasetError, match="has no code for void, which most pixels of a scribble have"):
        write_scribbles(without, tmp_path / "other")


def test_is_no_dataset_layout():
    assert "scribbles" not in dataset_layouts()


def test_strokes_as_wide_as_the_command_states(tmp_path: Path) -> None:
    """On a plain square, whose middle line is a diagonal."""
    root = write_dataset(tmp_path / "toy", 1, ((60, 60),))
    cv2.imwrite(str(root / "labels/val/s0.png"), np.zeros((60, 60), np.uint8))
    drawn = {}
    for width in (1, 3):
        out = tmp_path / str(width)
        assert run(["datasets", "scribble", f"folder:{root}", "--width", str(width), "--out", str(out)]) == 0
        drawn[width] = (cv2.imread(str(out / "s0.png"), cv2.IMREAD_UNCHANGED) != IGNORE).sum()
    assert 2 * drawn[1] < drawn[3] < 4 * drawn[1]
