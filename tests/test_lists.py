"""Lists of images are read as people and tools of any system write them; suffixes match in any capitals."""

import os
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import scene, write_dataset, write_predictions
from PIL import Image

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.drafting import draft
from segablate.datasets.lists import find_listed, read_list
from segablate.errors import DatasetError, SegablateError
from segablate.files import IMAGE_SUFFIXES, Unreadable, visible_files

NAMES = ("a0", "a1", "benign (1)", "cam1/x", "cam2/x", unicodedata.normalize("NFD", "café"), "with, comma", "#1")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("a0", "a0"),
        ("a0.png", "a0"),
        ("a0.JPEG", "a0"),
        ("benign (1)", "benign (1)"),
        ("benign (1).png", "benign (1)"),
        ("images/benign (1).png", "benign (1)"),
        (r"images\a1.png", "a1"),
        (r"C:\data\benign (1).png", "benign (1)"),
        ("/home/somebody/images/a1.png", "a1"),
        ("./a1.png", "a1"),
        ("a0 1", "a0"),
        ("a0.png labels/a0.png", "a0"),
        ("a0.png\tlabels/a0.png", "a0"),
        ("images/a0.png,labels/a0.png", "a0"),
        ("images/benign (1).png;labels/benign (1).png", "benign (1)"),
        ('"a0.png","road"', "a0"),
        ('"benign (1)"', "benign (1)"),
        ("'with, comma'", "with, comma"),
        ("cam2/x.png", "cam2/x"),
        ("/data/cam1/x.png", "cam1/x"),
        (r"D:\cam2\x.png", "cam2/x"),
        (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")),
        ("with, comma", "with, comma"),
        ("#1", "#1"),
    ],
)
def test_a_line_is_found(line: str, name: str) -> None:
    found = find_listed([line], NAMES)
    assert found.names == (name,)
    assert found.absent == ()


@pytest.mark.parametrize("line", ["b0", "x.png", "benign", "a", "cam3", "a0x"])
def test_a_line_that_names_nothing_is_absent(line: str) -> None:
    assert find_listed([line], NAMES).absent == (line,)


def test_the_longest_end_of_a_path_decides() -> None:
    assert find_listed(["/data/other/val/x.png"], ["val/x", "train/x", "x"]).names == ("val/x",)


def test_comments_and_repetitions() -> None:
    found = find_listed(["# val", "a1", "a0", "images/a1.png", "a1"], NAMES)
    assert found.names == ("a1", "a0")
    assert found.repeated == ("a1",)
    assert found.notes("val.txt") == ("val.txt: 1 image listed several times, evaluated once (a1)",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "val.txt").write_bytes((mark + end.join(["b 0", "", "  café  ", "c"])).encode(encoding))
    assert read_list(tmp_path / "val.txt") == ["b 0", "café", "c"]


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_bytes(b"\xff\xfea\xd8")
    with pytest.raises(SegablateError, match=r"val\.txt: "):
        read_list(tmp_path / "val.txt")
    for path in (tmp_path / "none.txt", tmp_path, tmp_path / ("x" * 5000), Path(os.devnull)):
        with pytest.raises(DatasetError, match="no such list of images"):
            read_list(path)


def test_an_empty_split_says_what_is_there(toy: Path) -> None:
    described = toy / "dataset.yaml"
    plain = described.read_text()
    described.write_text(plain.replace("labels: labels/val", "labels: labels/val\n    list: val.txt"))
    (toy / "val.txt").write_text("# nothing yet\n")
    with pytest.raises(DatasetError, match=r"split 'val' is empty: .*val\.txt lists no image"):
        open_dataset(f"folder:{toy}")
    described.write_text(plain)
    for path in (toy / "images/val").iterdir():
        path.rename(path.with_suffix(".jp2"))
    with pytest.raises(DatasetError, match=r"images/val holds files that are not read \(\d+ \.jp2\); save them as PNG"):
        open_dataset(f"folder:{toy}")
    for path in (toy / "images/val").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match=r"no files in .*images/val; correct path and suffix"):
        open_dataset(f"folder:{toy}")


def test_a_split_list_of_windows(toy: Path) -> None:
    described = (
        (toy / "dataset.yaml").read_text().replace("labels: labels/val", "labels: labels/val\n    list: val.txt")
    )
    (toy / "dataset.yaml").write_text(described)
    (toy / "val.txt").write_bytes("# made by hand\r\nimages\\s3.png\r\ns1\r\nS:\\s3.png\r\n".encode("utf-8-sig"))
    data = open_dataset(f"folder:{toy}")
    assert data.names == ("s3", "s1")
    assert data.notes[-1] == "val.txt: 1 image listed several times, evaluated once (s3)"
    assert np.array_equal(data.read(0).labels, scene(3)[1])


def test_an_image_is_evaluated_once(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    predictions = write_predictions(tmp_path / "pred", 6, (24, 32))
    (tmp_path / "names.txt").write_text("s1\ns4\ns1\n")
    arguments = ["evaluate", f"predictions:{predictions}", f"folder:{toy}", "--images", str(tmp_path / "names.txt")]
    assert run([*arguments, "--no-cache", "--workers", "0", "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert "--images: 2 of 6 images" in out
    assert "--images: 1 image listed several times, evaluated once (s1)" in out


def test_lists_of_a_layout(tmp_path: Path) -> None:
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("b 1", "c"):
        image, labels = scene(0)
        cv2.imwrite(str(tmp_path / f"JPEGImages/{name}.jpg"), image)
        cv2.imwrite(str(tmp_path / f"SegmentationClass/{name}.png"), labels)
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("b 1\nc  1\nb 1\n")
    data = open_dataset(f"voc2012:{tmp_path}")
    assert data.names == ("b 1", "c")
    assert "val.txt: 1 image listed several times, evaluated once (b 1)" in data.notes
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("d\n")
    with pytest.raises(DatasetError, match=r"val\.txt: 1 name without a label map in .*SegmentationClass \(first: d\)"):
        open_dataset(f"voc2012:{tmp_path}")


MIXED = ((".jpg", ".png"), (".JPG", ".PNG"), (".jpeg", ".png"), (".JPEG", ".Png"))


def mixed_suffixes(root: Path) -> Path:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for index, (image_suffix, label_suffix) in enumerate(MIXED):
        image, labels = scene(index)
        Image.fromarray(image).save(root / f"images/s{index}{image_suffix}", "JPEG")
        Image.fromarray(labels % 4).save(root / f"labels/s{index}{label_suffix}", "PNG")
    return root


@pytest.mark.parametrize("suffixes", ["", "image_suffix: .jpg\n", "image_suffix: .JPEG\nlabel_suffix: .PNG\n"])
def test_suffixes_match_in_any_capitals(tmp_path: Path, suffixes: str) -> None:
    root = mixed_suffixes(tmp_path / "toy")
    described = "classes: [road, car, tree, sky]\nsplits: {val: {images: images, labels: labels}}\n"
    (root / "dataset.yaml").write_text(described + suffixes)
    data = open_dataset(f"folder:{root}")
    assert data.names == ("s0", "s1", "s2", "s3")
    assert data.notes == ()
    assert np.array_equal(data.read(3).labels, scene(3)[1] % 4)


def test_init_takes_images_of_every_suffix(tmp_path: Path) -> None:
    root = mixed_suffixes(tmp_path / "toy")
    Image.fromarray(scene(4)[0]).save(root / "images/s4.png")
    Image.fromarray(scene(4)[1] % 4).save(root / "labels/s4.png")
    _, summary = draft(root)
    assert summary.startswith("5 pairs in all; ")
    assert len(open_dataset(f"folder:{root}")) == 5


@pytest.mark.parametrize(
    ("stated", "stored"), [(".tif", ".TIF"), (".tif", ".tiff"), (".tiff", ".tif"), ("_m.tif", "_m.TIFF")]
)
def test_tiff_by_any_suffix(tmp_path: Path, stated: str, stored: str) -> None:
    root = write_dataset(tmp_path / "toy", 1)
    Image.fromarray(scene(0)[1]).save(root / f"labels/val/s0{stored}", "TIFF")
    with open(root / "dataset.yaml", "a") as file:
        file.write(f"label_suffix: {stated}\n")
    assert np.array_equal(open_dataset(f"folder:{root}").read(0).labels, scene(0)[1])


def test_label_maps_of_one_name_are_refused(toy: Path) -> None:
    (toy / "labels/val/s0.PNG").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"s0\.PNG and s0\.png are label maps of one name; remove or rename one"):
        open_dataset(f"folder:{toy}")


def test_images_with_another_suffix_are_named(toy: Path) -> None:
    cv2.imwrite(str(toy / "images/val/s6.bmp"), scene(0)[0])
    with open(toy / "dataset.yaml", "a") as file:
        file.write("image_suffix: .png\n")
    assert open_dataset(f"folder:{toy}").notes == ("1 image not ending in .png left out (s6.bmp)",)


def test_images_and_label_maps_in_one_folder(tmp_path: Path) -> None:
    for index in range(2):
        cv2.imwrite(str(tmp_path / f"{index}_sat.PNG"), scene(index)[0])
        cv2.imwrite(str(tmp_path / f"{index}_mask.png"), scene(index)[1])
    (tmp_path / "dataset.yaml").write_text(
        "classes: [road, car, tree, sky]\nsplits: {all: {images: ., labels: .}}\n"
        "image_suffix: _sat.png\nlabel_suffix: _mask.png\n"
    )
    data = open_dataset(f"folder:{tmp_path}")
    assert data.names == ("0", "1")
    assert data.notes == ()


def test_accents_may_be_stored_apart(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "toy", 1)
    for folder, form in (("images", "NFD"), ("labels", "NFC")):
        (root / folder / "val/s0.png").rename(root / folder / f"val/{unicodedata.normalize(form, 'café')}.png")
    assert len(open_dataset(f"folder:{root}")) == 1


def test_a_folder_is_visited_once(toy: Path) -> None:
    before = visible_files(toy, IMAGE_SUFFIXES)
    for place in ("images/val/a", "images/val/b", "labels/val/a", "loop"):
        os.symlink(".", toy / place)
    os.symlink("..", toy / "images/val/up")
    os.symlink("../../..", toy / "images/val/top")
    os.symlink("val", toy / "images/a_first")
    os.symlink("nowhere", toy / "images/val/dangling")
    assert visible_files(toy, IMAGE_SUFFIXES) == before
    assert len(open_dataset(f"folder:{toy}")) == 6


def test_folders_outside_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "store/deep").mkdir(parents=True)
    (tmp_path / "store/deep/x.png").write_bytes(b"x")
    (tmp_path / "here").mkdir()
    os.symlink(tmp_path / "store", tmp_path / "here/one")
    os.symlink(tmp_path / "store", tmp_path / "here/two")
    os.symlink(tmp_path / "here", tmp_path / "store/back")
    assert visible_files(tmp_path / "here", IMAGE_SUFFIXES) == [tmp_path / "here/one/deep/x.png"]


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: object) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(Unreadable, match="closed: permission denied; allow reading it"):
        visible_files(tmp_path, IMAGE_SUFFIXES)


def test_names_in_another_encoding_are_read(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    predictions = write_predictions(tmp_path / "pred", 6, (24, 32))
    for folder in (toy / "images/val", toy / "labels/val", predictions):
        os.rename(folder / "s1.png", os.fsencode(folder) + b"/caf\xe9.png")
    assert run(["evaluate", f"predictions:{predictions}", f"folder:{toy}", "--no-cache", "--workers", "0"]) == 0
    (toy / "labels/val" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"BM")
    assert run(["evaluate", f"predictions:{predictions}", f"folder:{toy}", "--no-cache", "--workers", "0"]) == 1
    assert r"caf\udce9.png: not a readable image" in capsys.readouterr().err.replace("\n", "")
