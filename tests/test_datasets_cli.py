"""``segablate datasets``: a check says the right thing of good data, and finds each planted fault."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import CLASSES, scene, write_dataset

from segablate.cli import run
from segablate.datasets import dataset_layouts, layout_module, open_dataset
from segablate.errors import SegablateError

Check = Callable[..., tuple[int, str]]


@pytest.fixture
def segablate(capsys: pytest.CaptureFixture) -> Check:
    """Runs a command; its exit code, and what it printed in one line."""

    def call(*arguments: object) -> tuple[int, str]:
        code = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, " ".join((printed.out + printed.err).split())

    return call


@pytest.fixture
def check(segablate: Check) -> Check:
    """Checks a dataset, in this process."""

    def call(spec: str, *more: object) -> tuple[int, str]:
        return segablate("datasets", "check", spec, "--workers", 0, "--format", "markdown", *more)

    return call


def relabel(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert labels is not None
    cv2.imwrite(str(path), change(labels))


def relabel_all(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for path in (root / "labels/val").iterdir():
        relabel(path, change)


def test_good_data(toy: Path, check: Check) -> None:
    code, out = check(f"folder:{toy}")
    assert code == 0
    assert "No findings." in out


@pytest.mark.usefixtures("processes_at_once")
def test_the_counts_are_those_of_the_files(toy: Path, segablate: Check, capsys: pytest.CaptureFixture) -> None:
    assert run(["datasets", "check", f"folder:{toy}", "--workers", "2", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["tables"]["codes"]
    labels = np.stack([scene(index)[1] for index in range(6)])
    assert [row["class"] for row in rows] == [*CLASSES, "void"]
    for row in rows:
        assert row["pixels"] == (labels == int(row["code"])).sum()
        assert row["images"] == (labels == int(row["code"])).any(axis=(1, 2)).sum()


def rotate(path: Path) -> None:
    relabel(path, lambda labels: labels.T.copy())


FAULTS = {
    "unreadable": (
        lambda root: (root / "labels/val/s2.png").write_bytes(b""),
        r"s2.png: the file is empty",
    ),
    "truncated image": (
        lambda root: (root / "images/val/s2.png").write_bytes((root / "images/val/s2.png").read_bytes()[:-30]),
        r"s2.png: the PNG is cut off",
    ),
    "size": (
        lambda root: relabel(root / "labels/val/s2.png", lambda labels: labels[:-4]),
        "size differs from the image in 1 of 6 label maps (first: s2, 20x32, image 24x32); export both",
    ),
    "exchanged sides": (
        lambda root: rotate(root / "labels/val/s2.png"),
        "(first: s2, 32x24, image 24x32; width and height are exchanged)",
    ),
    "unknown code": (
        lambda root: relabel(root / "labels/val/s2.png", lambda labels: np.where(labels == 3, 77, labels)),
        "code 77 is not in label set 'toy'",
    ),
    "interpolated": (
        lambda root: relabel(root / "labels/val/s2.png", lambda labels: np.arange(768, dtype=np.uint8).reshape(24, 32)),
        "were the label maps saved as JPEG, or resized with interpolation?",
    ),
    "one too high": (
        lambda root: relabel_all(root, lambda labels: labels + 1),
        "all codes are one too high: subtract 1, and all fit label set 'toy'",
    ),
    "one too low": (
        lambda root: relabel_all(root, lambda labels: labels - 1),
        "all codes are one too low: add 1, and all fit label set 'toy'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(toy: Path, check: Check, fault: str) -> None:
    plant, message = FAULTS[fault]
    plant(toy)
    code, out = check(f"folder:{toy}")
    assert code == 1
    assert f"fault | {message}" in out or message in out
    assert "No findings" not in out


WARNINGS = {
    "empty": (
        lambda root: relabel(root / "labels/val/s2.png", lambda labels: np.full_like(labels, 255)),
        "1 label map without a labelled pixel (first: s2)",
    ),
    "mostly void": (
        lambda root: relabel_all(root, lambda labels: np.where(labels < 3, 255, labels)),
        "of the pixels are void; are classes missing?",
    ),
    "twice": (
        lambda root: shutil.copy(root / "images/val/s2.png", root / "images/val/s3.png"),
        "1 image is in this split under several names (first: s2, s3)",
    ),
    "mask without an image": (
        lambda root: shutil.copy(root / "labels/val/s2.png", root / "labels/val/old.png"),
        "1 label map without an image (first: old.png)",
    ),
    "stray file": (
        lambda root: (root / "images/val/Thumbs.db").touch(),
        "1 stray file among the data (first: Thumbs.db)",
    ),
    "list of another machine": (
        lambda root: (root / "val.txt").write_text("/home/somebody/s1.png\ns2.png\n"),
        "val.txt: paths of another machine on 1 of 2 lines (first: /home/somebody/s1.png)",
    ),
}


@pytest.mark.parametrize("warning", WARNINGS)
def test_warnings(toy: Path, check: Check, warning: str) -> None:
    plant, message = WARNINGS[warning]
    plant(toy)
    code, out = check(f"folder:{toy}")
    assert code == 0
    assert "warning | " in out
    assert message in out


def two_splits(root: Path) -> None:
    shutil.copytree(root / "images/val", root / "images/train")
    shutil.copytree(root / "labels/val", root / "labels/train")
    for index in range(6):
        image, labels = scene(100 + index)
        cv2.imwrite(str(root / f"images/train/s{index}.png"), image)
        cv2.imwrite(str(root / f"labels/train/s{index}.png"), labels)
    described = yaml.safe_load((root / "dataset.yaml").read_text())
    described["splits"]["train"] = {"images": "images/train", "labels": "labels/train"}
    (root / "dataset.yaml").write_text(yaml.safe_dump(described))


def test_an_image_in_two_splits(toy: Path, check: Check) -> None:
    two_splits(toy)
    assert check(f"folder:{toy}")[0] == 0
    shutil.copy(toy / "images/val/s2.png", toy / "images/train/s5.png")
    code, out = check(f"folder:{toy}")
    assert code == 1
    assert "1 image also in split 'train' (first: s2, there s5); remove from one" in out


def test_an_image_without_a_mask_is_refused(toy: Path, check: Check) -> None:
    (toy / "labels/val/s2.png").unlink()
    code, out = check(f"folder:{toy}")
    assert code == 1
    assert "no label map for 1 of 6 images (first: s2.png" in out


def camvid(root: Path, codes: list[int]) -> Path:
    for folder in ("val", "valannot"):
        (root / folder).mkdir()
    labels = np.resize(np.array(codes, np.uint8), (6, 8))
    cv2.imwrite(str(root / "val/a.png"), scene(0, (6, 8))[0])
    cv2.imwrite(str(root / "valannot/a.png"), labels)
    return root


def test_void_that_was_made_a_class(tmp_path: Path, check: Check) -> None:
    code, out = check(f"camvid:{camvid(tmp_path, [0, 1, 2])}")
    assert code == 0
    assert "no pixel is void, but the official label maps have void pixels" in out
    assert "8 of 11 classes without a labelled pixel: road, pavement" in out


def test_void_where_it_should_be(tmp_path: Path, check: Check) -> None:
    assert "no pixel is void" not in check(f"camvid:{camvid(tmp_path, [0, 1, 11])}")[1]


def test_list_and_show(segablate: Check) -> None:
    code, out = segablate("datasets", "list")
    assert code == 0
    assert all(name in out for name in dataset_layouts())
    code, out = segablate("datasets", "show", "cityscapes")
    assert code == 0
    assert "leftImg8bit/val/frankfurt/frankfurt_000000_000294_leftImg8bit.png" in out
    assert "18 bicycle 33" in out
    assert "``" not in out
    code, out = segablate("datasets", "show", "citiscapes")
    assert code == 1
    assert "did you mean 'cityscapes'?" in out


def test_the_sample_is_described_as_its_files_are(segablate: Check) -> None:
    (labels,) = layout_module("sample").LAYOUT.label_sets
    assert labels == open_dataset("sample").labels
    code, out = segablate("datasets", "show", "sample")
    assert code == 0
    assert all(part in out for part in ("images/val/dusk05_0003.jpg", "9 person 9", "Void: 255."))
    frames = {split: [item.image for item in open_dataset("sample", split).items] for split in ("train", "val")}
    for split, name in (("train", "noon01_0000"), ("val", "dusk05_0003")):
        assert name in [Path(image).stem for image in frames[split] if image]
        assert f"{name}.png {len(frames[split])} images" in out


@pytest.mark.parametrize("layout", dataset_layouts())
@pytest.mark.parametrize("form", ["rich", "csv", "json", "latex"])
def test_every_layout_can_be_shown(segablate: Check, layout: str, form: str) -> None:
    assert segablate("datasets", "show", layout, "--format", form)[0] == 0


def test_init_describes_what_lies_there(toy: Path, segablate: Check) -> None:
    (toy / "dataset.yaml").unlink()
    code, out = segablate("datasets", "init", toy)
    assert code == 0
    assert "6 pairs in val; 5 codes in the label maps" in out
    data = open_dataset(f"folder:{toy}")
    assert data.labels.names == ("class_0", "class_1", "class_2", "class_3")
    assert np.array_equal(data.read(2).labels, scene(2)[1])
    code, out = segablate("datasets", "init", toy)
    assert code == 1
    assert "already exists" in out


def test_init_finds_suffixes_and_splits(tmp_path: Path, segablate: Check) -> None:
    for split in ("training", "test"):
        for number in range(21, 24):
            for folder, ending in (("images", "training.tif"), ("1st_manual", "manual1.png"), ("mask", "mask.png")):
                path = tmp_path / split / folder / f"{number}_{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                image, labels = scene(number)
                cv2.imwrite(str(path), image if folder == "images" else (labels > 1).astype(np.uint8) * 255)
    code, out = segablate("datasets", "init", tmp_path)
    assert code == 0
    assert "3 pairs in test, 3 pairs in training; 2 codes in the label maps" in out
    data = open_dataset(f"folder:{tmp_path}")
    assert (data.split, data.names) == ("test", ("21", "22", "23"))
    assert data.items[0].labels == tmp_path / "test/1st_manual/21_manual1.png"
    assert data.labels.names == ("background", "foreground")
    assert np.array_equal(data.read(0).labels, scene(21)[1] > 1)


def test_init_joins_folders_of_one_split(tmp_path: Path, segablate: Check) -> None:
    for city in ("ulm", "bonn"):
        for number in range(2):
            image, labels = scene(number)
            for folder, picture in (("leftImg8bit", image), ("gtFine", labels)):
                (tmp_path / folder / "val" / city).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(tmp_path / folder / "val" / city / f"{number}_{folder}.png"), picture)
    assert segablate("datasets", "init", tmp_path)[0] == 0
    assert open_dataset(f"folder:{tmp_path}").names == ("bonn/0", "bonn/1", "ulm/0", "ulm/1")


def test_init_of_colours(tmp_path: Path, segablate: Check) -> None:
    root = write_dataset(tmp_path / "toy", 2)
    (root / "dataset.yaml").unlink()
    table = np.full((256, 3), 255, np.uint8)
    table[:4] = [[9, 0, 0], [0, 9, 0], [0, 0, 9], [9, 9, 0]]
    for path in (root / "labels/val").iterdir():
        relabel(path, lambda labels: table[labels][..., ::-1])
    assert segablate("datasets", "init", root)[0] == 0
    data = open_dataset(f"folder:{root}")
    assert set(data.labels.colours) == {(9, 0, 0), (0, 9, 0), (0, 0, 9), (9, 9, 0), (255, 255, 255)}
    assert data.read(0).labels.max() < 5


def test_init_of_masks_alone(tmp_path: Path, segablate: Check) -> None:
    root = write_dataset(tmp_path / "toy", 2)
    (root / "dataset.yaml").unlink()
    shutil.rmtree(root / "images")
    code, out = segablate("datasets", "init", root)
    assert code == 0
    assert "2 label maps without images in val" in out
    data = open_dataset(f"folder:{root}")
    assert data.names == ("s0", "s1")
    assert np.array_equal(data.read(0, image=False).labels, scene(0)[1])
    with pytest.raises(SegablateError, match=r"s0\.png: has no image, which a network needs"):
        data.read(0)
    code, out = segablate("datasets", "check", f"folder:{root}", "--workers", 0)
    assert code == 0
    assert "no images: the label maps" in out


def test_init_quotes_names(tmp_path: Path, segablate: Check) -> None:
    root = write_dataset(tmp_path / "日本🙂: a", 2)
    (root / "dataset.yaml").unlink()
    for kind in ("images", "labels"):
        (root / kind / "val").rename(root / kind / "🙂: val")
    assert segablate("datasets", "init", root)[0] == 0
    data = open_dataset(f"folder:{root}")
    assert (data.labels.name, data.split, len(data)) == ("日本🙂: a", "val", 2)


def test_init_of_names_that_are_not_utf8(tmp_path: Path, segablate: Check) -> None:
    root = write_dataset(tmp_path / "toy", 2).rename(tmp_path / os.fsdecode(b"m\xfcnchen"))
    (root / "dataset.yaml").unlink()
    assert segablate("datasets", "init", root)[0] == 0
    assert open_dataset(f"folder:{root}").labels.name == "m\N{REPLACEMENT CHARACTER}nchen"
    (root / "dataset.yaml").unlink()
    for kind in ("images", "labels"):
        (root / kind / "val").rename(root / kind / os.fsdecode(b"v\xe4l"))
    code, out = segablate("datasets", "init", root)
    assert code == 1
    assert "its name is not UTF-8, in which dataset.yaml is written; rename the folder" in out
    assert not (root / "dataset.yaml").exists()


def test_init_of_nothing(tmp_path: Path, segablate: Check) -> None:
    code, out = segablate("datasets", "init", tmp_path)
    assert code == 1
    assert "no folder of images pairs with a folder of label maps" in out
    root = write_dataset(tmp_path / "toy", 2)
    (root / "dataset.yaml").unlink()
    for path in (root / "labels/val").iterdir():
        relabel(path, lambda labels: scene(1)[0])
    code, out = segablate("datasets", "init", root)
    assert code == 1
    assert "766 colours in the label maps; are these label maps?" in out


@pytest.mark.data
def test_real_camvid(real_data: Path, check: Check) -> None:
    code, out = check(f"camvid:{real_data / 'camvid'}", "--limit", 20)
    assert code == 0
    assert "val.txt: paths of another machine on 101 of 101 lines (first: /SegNet/CamVid/val/0016E5_07959.png)" in out
    assert "360x480 (20)" in out
    assert "not in the label set" not in out


@pytest.mark.data
def test_real_voc_masks(real_data: Path, check: Check, tmp_path: Path) -> None:
    (tmp_path / "SegmentationClass").symlink_to(real_data / "voc2012_masks")
    code, out = check(f"voc2012:{tmp_path}")
    assert code == 0
    assert "none; 300 label maps" in out
    assert "no images: the label maps can only be compared with predictions" in out
    assert "warning" not in out
    assert "never labelled" not in out


@pytest.mark.data
def test_real_ade20k(real_data: Path, check: Check, tmp_path: Path) -> None:
    for folder in ("images", "annotations"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "validation").symlink_to(real_data / "ade20k_sample" / folder)
    code, out = check(f"ade20k:{tmp_path}")
    assert code == 0
    assert "| void |" in out
    assert "warning" not in out


@pytest.mark.data
def test_real_coco_panoptic(real_data: Path, check: Check, tmp_path: Path) -> None:
    sample = real_data / "coco_sample"
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/panoptic_val2017.json").symlink_to(sample / "panoptic_examples.json")
    (tmp_path / "annotations/panoptic_val2017").symlink_to(sample / "panoptic_examples")
    (tmp_path / "val2017").symlink_to(sample / "input_images")
    code, out = check(f"coco-stuff:{tmp_path}")
    assert code == 0
    assert "133 classes" in out
    assert "warning" not in out


@pytest.mark.data
def test_real_drive(real_data: Path, check: Check, segablate: Check, tmp_path: Path) -> None:
    for folder in ("images", "manual", "mask"):
        (tmp_path / folder).symlink_to(real_data / "drive" / folder)
    assert segablate("datasets", "init", tmp_path)[0] == 0
    code, out = check(f"folder:{tmp_path}")
    assert code == 0
    assert "584x565 (4)" in out
    assert "foreground" in out
    assert "No findings" in out
