"""Datasets pair what belongs together, decode it, and say what does not fit."""

import multiprocessing
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import CLASSES, scene, write_dataset

from segablate.datasets import dataset_layouts, open_dataset
from segablate.datasets.reading import Failure, ahead
from segablate.errors import SegablateError
from segablate.labels import IGNORE


def describe(root: Path, **changes: object) -> None:
    described = yaml.safe_load((root / "dataset.yaml").read_text())
    described.update(changes)
    (root / "dataset.yaml").write_text(yaml.safe_dump({k: v for k, v in described.items() if v is not None}))


def test_a_folder_reads_back_what_was_written(toy: Path) -> None:
    data = open_dataset(f"folder:{toy}")
    assert data.names == tuple(f"s{index}" for index in range(6))
    assert data.labels.names == CLASSES
    assert data.split == "val"
    for index in range(6):
        image, labels = scene(index)
        sample = data.read(index)
        assert np.array_equal(sample.labels, labels)
        assert sample.image is not None
        assert np.array_equal(sample.image, image)
        assert sample.size == (24, 32)
    assert len({data.read(index).label_hash for index in range(6)}) == 6
    assert data.read(0, image=False).image is None


def test_names_and_suffixes(tmp_path: Path) -> None:
    for name in ("a/x_leftImg8bit.png", "b/x_leftImg8bit.png", "b/._y_leftImg8bit.png"):
        (tmp_path / "left" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "left" / name), np.zeros((4, 4, 3), np.uint8))
    for name in ("a/x_ids.png", "b/x_ids.png", "b/z_ids.png"):
        (tmp_path / "fine" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "fine" / name), np.zeros((4, 4), np.uint8))
    described = {
        "classes": ["ground"],
        "splits": {"val": {"images": "left", "labels": "fine"}},
        "image_suffix": "_leftImg8bit.png",
        "label_suffix": "_ids.png",
    }
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(described))
    data = open_dataset(f"folder:{tmp_path}")
    assert data.names == ("a/x", "b/x")
    assert data.notes == ("1 label map without an image left out (b/z_ids.png)",)


def test_colour_masks(toy: Path) -> None:
    colours = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    classes = [{"name": name, "colour": colour} for name, colour in zip(CLASSES, colours, strict=True)]
    describe(toy, classes=classes, encoding="colours", void=[[255, 255, 255]])
    for index in range(6):
        _, labels = scene(index)
        table = np.full((256, 3), 255, np.uint8)
        table[:4] = colours
        cv2.imwrite(str(toy / f"labels/val/s{index}.png"), table[labels][..., ::-1])
    data = open_dataset(f"folder:{toy}")
    assert np.array_equal(data.read(3).labels, scene(3)[1])
    assert data.labels.colours == tuple(map(tuple, colours))


def test_lists_choose_and_order(toy: Path) -> None:
    describe(toy, splits={"val": {"images": "images/val", "labels": "labels/val", "list": "val.txt"}})
    (toy / "val.txt").write_text("s4\n\n/somewhere/else/s1.png  /labels/s1.png\n")
    assert open_dataset(f"folder:{toy}").names == ("s4", "s1")
    (toy / "val.txt").write_text("s4\ns77\n")
    with pytest.raises(SegablateError, match=r"val\.txt: 1 name without an image \(first: s77\)"):
        open_dataset(f"folder:{toy}")


def test_subsets_are_named(toy: Path) -> None:
    data = open_dataset(f"folder:{toy}")
    assert data.evenly(3).names == ("s0", "s2", "s4")
    assert data.evenly(3).notes == ("--limit: 3 of 6 images, evenly spaced",)
    assert data.evenly(6) is data
    assert data.only(["s5", "s1"], "list.txt").names == ("s1", "s5")
    with pytest.raises(SegablateError, match=r"list\.txt: 1 name not in split 'val' of .* \(first: s9\)"):
        data.only(["s9"], "list.txt")


def test_camvid_lists_of_somebody_elses_paths(tmp_path: Path) -> None:
    for split in ("val", "train"):
        for name in ("0001TP_1", "0001TP_2", "0016E5_3"):
            for folder, channels in ((split, (3,)), (f"{split}annot", ())):
                (tmp_path / folder).mkdir(exist_ok=True)
                cv2.imwrite(str(tmp_path / folder / f"{name}.png"), np.full((6, 8, *channels), 11, np.uint8))
    (tmp_path / "val.txt").write_text("/SegNet/CamVid/val/0016E5_3.png /SegNet/CamVid/valannot/0016E5_3.png\n")
    data = open_dataset(f"camvid:{tmp_path}")
    assert data.names == ("0016E5_3",)
    assert (data.read(0).labels == IGNORE).all()
    assert len(open_dataset(f"camvid:{tmp_path}", "train")) == 3
    with pytest.raises(SegablateError, match="no split 'test'; available: train, val"):
        open_dataset(f"camvid:{tmp_path}", "test")


@pytest.mark.data
def test_real_camvid(real_data: Path) -> None:
    data = open_dataset(f"camvid:{real_data / 'camvid'}")
    assert len(data) == 101
    assert data.names[0] == "0016E5_07959"
    assert data.read(0).size == (360, 480)
    assert len(open_dataset(f"camvid:{real_data / 'camvid'}", "train")) == 367


def test_layouts_are_found_by_file() -> None:
    assert {"camvid", "folder", "sample"} <= set(dataset_layouts())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("folder", "names no directory"),
        ("folder:nowhere", "nowhere is not a directory"),
        ("cityscape:x", "no dataset layout is called 'cityscape'"),
        ("fodler:x", "did you mean 'folder'"),
    ],
)
def test_specifications_that_do_not_fit(spec: str, message: str) -> None:
    with pytest.raises(SegablateError, match=message):
        open_dataset(spec)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clases": []}, "unknown key, 'clases'; did you mean 'classes'"),
        ({"classes": None}, "classes must be a list"),
        ({"classes": [{"code": 1}]}, "class 0 is {'code': 1}"),
        ({"classes": [{"name": "a", "code": "x"}]}, "code of class 'a' is 'x'"),
        ({"classes": [{"name": "a", "colour": [1, 2]}]}, "colour of 'a'"),
        ({"encoding": "color"}, "encoding is 'color'"),
        ({"encoding": "colours"}, "class 'road' has no colour"),
        ({"splits": None}, "splits must map names to folders"),
        ({"splits": {"val": {"images": "images/val"}}}, "split 'val' has no key labels; add the path of its folder"),
        ({"splits": {"val": {"images": "img", "labels": "labels/val"}}}, "no such folder of images"),
        ({"splits": {"val": {"images": "images/val", "labels": "labels/val", "lst": "x"}}}, "did you mean 'list'"),
        ({"void": [0.5]}, "void is \\[0.5\\]"),
        ({"void": ["7..3"]}, "void: the range 7..3 has 0 codes, but must have 1 to 65536"),
        ({"void": ["1..99999999999999999999"]}, "must have 1 to 65536; for all codes of no class, state void: rest"),
        ({"threshold": 128}, "threshold divides the values of two classes"),
        ({"threshold": 0, "classes": ["a", "b"]}, "threshold is 0, but must be an integer in 1..65535"),
        ({"label_size": "big"}, "label_size is 'big', but must be image, label or refuse"),
        ({"classes": [{"name": "a", "masks": "x.png"}]}, "masks of class 'a' is 'x.png', but must be file names with"),
        ({"classes": ["a", "b", {"name": "c", "masks": "{name}.png"}]}, "several classes have no masks"),
        ({"splits": {"val": {"images": "images/val", "labels": "labels/val", "where": {"a": 1}}}}, "where is "),
        ({"splits": {"val": {"images": "images/val", "labels": "labels/val", "unlabelled": 1}}}, "unlabelled is 1"),
        ({"image_suffix": "_no.png"}, "split 'val' is empty"),
        ({"label_suffix": "_mask.png"}, r"no label map for 6 of 6 images \(first: s0.png, expected"),
    ],
)
def test_descriptions_that_do_not_fit(toy: Path, changes: dict, message: str) -> None:
    describe(toy, **changes)
    with pytest.raises(SegablateError, match=message):
        open_dataset(f"folder:{toy}")


def test_a_missing_split_names_what_there_is(toy: Path) -> None:
    with pytest.raises(SegablateError, match="has no split 'test'; available: val"):
        open_dataset(f"folder:{toy}", "test")


def test_a_mask_of_another_size(toy: Path) -> None:
    cv2.imwrite(str(toy / "labels/val/s2.png"), np.zeros((24, 28), np.uint8))
    with pytest.raises(SegablateError, match=r"s2\.png: the label map is 24x28, but its image s2\.png is 24x32"):
        open_dataset(f"folder:{toy}").read(2)


def test_an_unknown_code(toy: Path) -> None:
    cv2.imwrite(str(toy / "labels/val/s2.png"), np.full((24, 32), 34, np.uint8))
    with pytest.raises(SegablateError, match=r"s2\.png: code 34 at 768 pixels is not in label set 'toy'"):
        open_dataset(f"folder:{toy}").read(2)


@pytest.mark.usefixtures("processes_at_once")
@pytest.mark.parametrize("workers", [0, 2])
def test_reading_ahead_keeps_order_and_failures(tmp_path: Path, workers: int) -> None:
    root = write_dataset(tmp_path / "toy", 9)
    (root / "labels/val/s4.png").write_bytes(b"")
    data = open_dataset(f"folder:{root}")
    with ahead(data.read, range(9), workers) as results:
        found = list(results)
    assert [result.index for result in found] == list(range(9))
    assert isinstance(found[4], Failure)
    assert "s4.png: the file is empty" in str(found[4].error)
    assert not any(isinstance(result, Failure) for place, result in enumerate(found) if place != 4)


def _waits(folder: Path, index: int) -> int:
    """Return at once for the first index; for others when ``go`` is there, and leave a file."""
    began = time.monotonic()
    while index and not (folder / "go").exists() and time.monotonic() - began < 60:
        time.sleep(0.02)
    (folder / f"done{index}").touch()
    return index


@pytest.mark.usefixtures("processes_at_once")
def test_leaving_early_waits_for_no_job_and_starts_no_other(tmp_path: Path) -> None:
    with ahead(partial(_waits, tmp_path), range(40), 2) as results:
        assert next(results) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["done0"]
    (tmp_path / "go").touch()
    for process in multiprocessing.active_children():
        process.join()
    started = len(list(tmp_path.glob("done*"))) - 1
    assert 0 < started <= 5  # of the 8 that were ahead: two that ran, and three that had been handed on


@pytest.mark.usefixtures("processes_at_once")
def test_leaving_early_ends_the_processes(toy: Path) -> None:
    data = open_dataset(f"folder:{toy}")
    with ahead(data.read, range(6), 2) as results:
        assert next(results).index == 0
