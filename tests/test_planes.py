"""Masks of one class each make one label map; tables and lists choose images; what is no mask is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from nearest import COLOURS, scene
from PIL import Image

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.remarks import remark_notes
from segablate.datasets.survey import survey
from segablate.errors import SegablateError
from segablate.labels import IGNORE
from segablate.samples import Remark


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def described(root: Path, classes: str, split: str = "{images: images, labels: masks}", more: str = "") -> str:
    (root / "dataset.yaml").write_text(f"classes: {classes}\nsplits: {{val: {split}}}\n{more}")
    return f"folder:{root}"


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Two images; of the first, class a has two masks, and b overlaps one of them."""
    for name in ("x (1)", "y"):
        save(tmp_path / f"images/{name}.png", COLOURS[scene(0)])
    blank = np.zeros((48, 64), np.uint8)
    for name, rows in (("x (1)_a", slice(0, 10)), ("x (1)_a_1", slice(20, 30)), ("y_a", slice(0, 5))):
        values = blank.copy()
        values[rows] = 255
        save(tmp_path / f"masks/{name}.png", values)
    values = blank.copy()
    values[25:40] = 38  # a mask of a palette's second colour, half grey
    save(tmp_path / "masks/b/x (1).png", values)
    return tmp_path


PATTERNS = '{name: a, masks: "{name}_a*.png"}, {name: b, masks: "b/{name}.png"}'


def test_masks_make_a_label_map(masks: Path) -> None:
    expected = np.zeros((48, 64), np.uint8)
    expected[0:10], expected[20:30], expected[25:40] = 1, 1, 2
    data = open_dataset(described(masks, f"[rest, {PATTERNS}]"))
    assert data.names == ("x (1)", "y")
    sample = data.read(0)
    assert np.array_equal(sample.labels, expected)
    assert sample.remarks == Remark.OVERLAPPING
    (note,) = remark_notes(["x (1)"], [int(sample.remarks)], described=True)
    assert note == "masks of several classes overlap in 1 image (x (1)); the later class counts"
    assert data.read(1).labels[:5].min() == 1
    assert not data.read(1).labels[5:].any()
    without = open_dataset(described(masks, f"[{PATTERNS}]"))
    assert np.array_equal(without.read(0).labels, np.array([IGNORE, 0, 1], np.uint8)[expected]), "no mask: void"


def test_a_stamp_follows_every_mask(masks: Path) -> None:
    data = open_dataset(described(masks, f"[rest, {PATTERNS}]"))
    before = data.stamp(0), data.read(0).label_hash
    save(masks / "masks/b/x (1).png", np.full((48, 64), 255, np.uint8))
    assert (data.stamp(0), data.read(0).label_hash) != before
    assert data.stamp(0) != before[0]
    assert data.read(0).label_hash != before[1]


def test_masks_that_do_not_fit(masks: Path) -> None:
    data = open_dataset(described(masks, f"[rest, {PATTERNS}]"))
    save(masks / "masks/b/x (1).png", np.zeros((40, 64), np.uint8))
    with pytest.raises(
        SegablateError, match=r"b/x \(1\)\.png: is 64x40, but x \(1\)_a\.png 64x48; export both at one size"
    ):
        data.read(0)
    save(masks / "masks/b/x (1).png", COLOURS[scene(0)])
    with pytest.raises(SegablateError, match=r"b/x \(1\)\.png: holds colours; expected the mask of one class"):
        data.read(0)
    save(masks / "images/z.png", COLOURS[scene(0)])
    with pytest.raises(SegablateError, match=r"no label map for 1 of 3 images \(first: z\.png, expected .*z_a\.png\)"):
        open_dataset(data.spec)
    with pytest.raises(SegablateError, match="pixels in no mask are void, but void is \\[\\]"):
        open_dataset(described(masks, f"[{PATTERNS}]", more="void: []"))


def test_a_check_knows_all_masks(masks: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(["datasets", "check", described(masks, f"[rest, {PATTERNS}]"), "--format", "csv", "--workers", "0"]) == 0
    assert "label map without an image" not in capsys.readouterr().out


def test_images_without_a_label_map_beside_a_list(tmp_path: Path) -> None:
    for index in range(4):
        save(tmp_path / f"images/{index}.png", COLOURS[scene(index)])
        if index < 2:
            save(tmp_path / f"masks/{index}.png", scene(index))
    (tmp_path / "val.txt").write_text("1\n0\n")
    split = "{images: images, labels: masks%s}"
    data = open_dataset(described(tmp_path, "[a, b, c]", split % ", list: val.txt"))
    assert data.names == ("1", "0"), "label maps are asked for after the list"
    with pytest.raises(
        SegablateError, match=r"no label map for 2 of 4 images .* or state unlabelled: skip in the split"
    ):
        open_dataset(described(tmp_path, "[a, b, c]", split % ""))
    data = open_dataset(described(tmp_path, "[a, b, c]", split % ", unlabelled: skip"))
    assert data.names == ("0", "1")
    assert "2 images without a label map left out (2.png, 3.png)" in data.notes


def test_files_that_end_as_label_maps_are_no_images(tmp_path: Path) -> None:
    for index in range(3):
        save(tmp_path / f"all/{index}.png", COLOURS[scene(index)])
        save(tmp_path / f"all/{index}_mask.png", scene(index))
    spec = described(tmp_path, "[a, b, c]", "{images: all, labels: all}", "label_suffix: _mask.png")
    data = open_dataset(spec)
    assert data.names == ("0", "1", "2")
    assert data.notes == ()
    assert all(np.array_equal(data.read(index).labels, scene(index)) for index in range(3))


TABLES = {
    "by value": ("name,part\n0.png,x\n1.png,y\n2.png,x\n", "where: {part: x}", ("0", "2")),
    "by number": ("part;name\n0;a/0.jpg\n1;a/1.jpg\n1;a/2.jpg\n", "where: {part: 1}", ("1", "2")),
    "header": ("image,mask\n2.png,masks/2.png\n0.png,masks/0.png\n", "", ("2", "0")),
    "no header": ("2.png,1\n1.png,0\n", "", ("2", "1")),
    "quoted": ('"image"\t"set"\n"1.png"\t"x"\n', "where: {set: x}", ("1",)),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_choose_images(case: str, tmp_path: Path) -> None:
    content, where, names = TABLES[case]
    for index in range(3):
        save(tmp_path / f"images/{index}.png", COLOURS[scene(index)])
        save(tmp_path / f"masks/{index}.png", scene(index))
    (tmp_path / "t.csv").write_text(content)
    split = f"{{images: images, labels: masks, list: t.csv, {where}}}"
    assert open_dataset(described(tmp_path, "[a, b, c]", split)).names == names


def test_tables_that_do_not_fit(tmp_path: Path) -> None:
    save(tmp_path / "images/0.png", COLOURS[scene(0)])
    save(tmp_path / "masks/0.png", scene(0))
    (tmp_path / "t.csv").write_text("image,split\n0.png,train\n9.png,val\n")
    for where, message in (
        ("{splt: val}", r"t\.csv: has no column 'splt'; did you mean 'split'\?"),
        ("{split: test}", r"t\.csv: no row has split = test; correct where"),
        ("{split: val}", r"t\.csv: 1 name without an image \(first: 9\.png\)"),
    ):
        split = f"{{images: images, labels: masks, list: t.csv, where: {where}}}"
        with pytest.raises(SegablateError, match=message):
            open_dataset(described(tmp_path, "[a, b, c]", split))


OTHERS = {
    "a.json": ('{"shapes": [], "imagePath": "a.jpg"}', "labelme file"),
    "coco.json": ('{"images": [], "annotations": []}', "COCO file"),
    "via.json": ('{"a": {"regions": []}}', "VIA file of polygons"),
    "other.json": ("[1, 2]", "unknown JSON file"),
    "poly.txt": ("0 0.1 0.1 0.5 0.1 0.5 0.5\n", "YOLO file of polygons"),
    "boxes.txt": ("0 0.5 0.5 0.1 0.1\n", "YOLO file of boxes"),
    "cvat.xml": ("<annotations><image><polygon/></image></annotations>", "CVAT file"),
    "voc.xml": ("<annotation><object><bndbox/></object></annotation>", "XML file of boxes"),
    "c.nii.gz": ("x", "volume"),
    "c.mha": ("x", "volume"),
    "c.dcm": ("x", "DICOM file"),
    "c.h5": ("x", "HDF5 file"),
    "c.npz": ("x", r"\.npz archive"),
    "c.geojson": ("{}", "vector map"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_label_map_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """In a first description, and where a description names such files as label maps."""
    content, kind = OTHERS[name]
    save(tmp_path / "images/a.png", COLOURS[scene(0)])
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / name).write_text(content)
    assert run(["datasets", "init", str(tmp_path)]) == 1
    out = capsys.readouterr().err
    assert f"holds 1 {kind.replace(chr(92), '')}, which segablate does not evaluate; " in out
    assert ("segablate datasets convert" in out) == (
        kind.split()[0] in ("labelme", "COCO", "CVAT", "VIA") or "polygons" in kind
    )
    assert not (tmp_path / "dataset.yaml").exists()
    suffix = name[name.index(".") :]
    (tmp_path / "labels" / name).rename(tmp_path / f"labels/a{suffix}")
    spec = described(tmp_path, "[a]", "{images: images, labels: labels}", f"label_suffix: {suffix}")
    with pytest.raises(SegablateError, match=f"{kind}, not a label map; "):
        open_dataset(spec).read(0)


def test_the_check_names_soft_and_lossy_masks(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for index in range(3):
        save(tmp_path / f"images/{index}.png", COLOURS[scene(index, 2)])
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(scene(index, 2) * np.uint8(255)).save(tmp_path / f"masks/{index}.jpg", quality=75)
    codes = "[{name: bg, code: 0}, {name: fg, code: 255}]"
    check = ["--format", "json", "--workers", "0"]
    assert run(["datasets", "check", described(tmp_path, codes, more="void: []\nlabel_suffix: .jpg"), *check]) == 1
    finding, *_ = json.loads(capsys.readouterr().out)["tables"]["findings"]
    assert finding["level"] == "fault"
    assert finding["finding"].startswith("lossy or soft masks: ")
    assert "values around 0, 255" in finding["finding"]
    assert "state threshold: 128 with two classes, or ranges such as code: 128..255" in finding["finding"]
    for more in ("threshold: 128", "threshold: 100\nvoid: [128]"):
        spec = described(tmp_path, "[bg, fg]", more=f"{more}\nlabel_suffix: .jpg")
        assert run(["datasets", "check", spec, *check]) == 0
        finding, *_ = json.loads(capsys.readouterr().out)["tables"]["findings"]
        assert finding["level"] == "warning"
        assert "the classes in dataset.yaml divide them" in finding["finding"]
    ranges = "[{name: bg, code: 0..127}, {name: fg, code: [128..200, 201..255]}]"
    data = open_dataset(described(tmp_path, ranges, more="void: []\nlabel_suffix: .jpg"))
    assert all(np.array_equal(data.read(index).labels, scene(index, 2)) for index in range(3))
    assert not survey(data, 0).failures


def test_a_threshold_leaves_void_out(tmp_path: Path) -> None:
    values = np.array([[0, 99, 100, 127, 128, 200, 255]], np.uint8)
    save(tmp_path / "masks/a.png", values)
    split = "{labels: masks}"
    data = open_dataset(described(tmp_path, "[a, b]", split, "threshold: 100"))
    assert data.read(0, image=False).labels.tolist() == [[0, 0, 1, 1, 1, 1, 1]]
    assert data.labels.encode(np.array([[0, 1]], np.uint8)).tolist() == [[0, 255]], "black and white"
    data = open_dataset(described(tmp_path, "[a, b]", split, "threshold: 100\nvoid: [126..128]"))
    assert data.read(0, image=False).labels.tolist() == [[0, 0, 1, IGNORE, IGNORE, 1, 1]]
