"""Sources as people have them: splits, images elsewhere, exports of several tools; and what is not converted."""

import json
import re
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from conftest import optional
from PIL import Image
from test_conversion import META, coco, cvat, maps, one_labelme, picture, polygon, write_coco, write_labelme, written

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.conversion import convert
from segablate.errors import MissingExtra, SegablateError
from segablate.limits import STRUCTURE_SECONDS, Budget

optional("pycocotools")


def test_roboflow_export_of_coco(tmp_path: Path) -> None:
    """Splits are folders, images lie beside, and the first category stands above the others."""
    above = [{"id": 0, "name": "scenes", "supercategory": "none"}, {"id": 3, "name": "road", "supercategory": "scenes"}]
    for split in ("train", "valid"):
        picture(tmp_path / f"s/{split}/a.png", seed=len(split))
        written(tmp_path / f"s/{split}/_annotations.coco.json", coco(categories=above))
    found = convert(tmp_path / "s", tmp_path / "out", copy=True)
    assert found.splits == {"train": 1, "valid": 1}
    assert found.classes.names == ("background", "road")
    assert open_dataset(f"folder:{tmp_path / 'out'}").split == "valid"
    image = tmp_path / "out/images/train/a.png"
    assert not image.is_symlink()
    assert image.read_bytes() == (tmp_path / "s/train/a.png").read_bytes()


def test_images_are_found_where_they_are_said_to_lie(tmp_path: Path) -> None:
    picture(tmp_path / "photos/deep/a.png")
    picture(tmp_path / "photos/other/a.png", seed=1)
    source = written(tmp_path / "s/instances.json", coco())
    with pytest.raises(SegablateError, match=r"1 image whose file is missing \(first: a.png\); name .* --image-dir"):
        convert(source, tmp_path / "out")
    with pytest.raises(SegablateError, match="1 image of a name that several files have"):
        convert(source, tmp_path / "out", images=tmp_path / "photos")
    convert(source, tmp_path / "out", images=tmp_path / "photos/other")
    assert (tmp_path / "out/images/all/a.png").resolve() == (tmp_path / "photos/other/a.png").resolve()
    with pytest.raises(SegablateError, match="nowhere: no such folder of images; correct --image-dir"):
        convert(source, tmp_path / "again", images=tmp_path / "nowhere")


def test_images_of_one_name_in_several_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(tmp_path / f"photos/{split}/deep/a.png", seed=len(split))
        written(tmp_path / f"s/instances_{split}.json", coco())
    convert(tmp_path / "s", tmp_path / "out", images=tmp_path / "photos")
    for split in ("train", "val"):
        written_image = tmp_path / f"out/images/{split}/a.png"
        assert written_image.resolve() == (tmp_path / f"photos/{split}/deep/a.png").resolve()


def test_images_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    images = [{"id": k, "file_name": name, "height": 16, "width": 20} for k, name in enumerate(("a.png", "a.jpg"))]
    for image in images:
        picture(tmp_path / "s" / str(image["file_name"]), seed=int(str(image["id"])))
    written(tmp_path / "s/coco.json", coco(images=images))
    convert(tmp_path / "s", tmp_path / "out")
    drawn = maps(tmp_path / "out", "all")
    assert sorted(drawn) == ["a", "a_2"]
    assert (drawn["a"] == 0).all()
    assert (drawn["a_2"] == 1).sum() > 50


def test_two_files_of_one_split_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "s/a.png")
    written(tmp_path / "s/one.json", coco())
    written(tmp_path / "s/two.json", coco())
    with pytest.raises(SegablateError, match=r"one\.json and two\.json both describe split 'all'; convert one"):
        convert(tmp_path / "s", tmp_path / "out")


def yolo(root: Path, text: str = "1 0.1 0.1 0.6 0.1 0.6 0.6", folder: str = "valid") -> Path:
    picture(root / folder / "images/a.jpg")
    written(root / folder / "labels/a.txt", text)
    return root


def test_roboflow_export_of_yolo(tmp_path: Path) -> None:
    """Its data.yaml says ../valid/images for valid/images, and has no test images."""
    root = yolo(tmp_path / "s")
    picture(root / "valid/images/b.jpg")
    described = "train: ../valid/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: ['car', 'road']\n"
    written(root / "data.yaml", described)
    found = convert(root, tmp_path / "out")
    assert found.splits == {"train": 2, "val": 2}
    assert "2 images without a text file: no objects" in found.notes
    drawn = maps(tmp_path / "out", "val")
    assert set(np.unique(drawn["a"])) == {0, 2}
    assert not drawn["b"].any()


@pytest.mark.parametrize("names", ["obj.names", "classes.txt", None])
def test_yolo_without_data_yaml(tmp_path: Path, names: str | None) -> None:
    root = tmp_path / "s"
    picture(root / "obj_train_data/a.jpg")
    written(root / "obj_train_data/a.txt", "1 0.1 0.1 0.6 0.1 0.6 0.6\n")
    if names:
        written(root / names, "car\nroad\n")
    found = convert(root, tmp_path / "out")
    assert found.classes.names == ("background", *(("car", "road") if names else ("class_0", "class_1")))
    assert set(np.unique(maps(tmp_path / "out", "train")["a"])) == {0, 2}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1 0.1 0.1 0.1 0.1", "with a box but no outline, its box drawn as void"),
        ("1 0.1 0.1 0.6 0.1 0.3", "with an odd number of coordinates"),
        ("1 0.1 0.1", "of fewer than 3 points"),
        ("1 10 10 60 10 60 60", "whose points are no shares of the image's size, 0 to 1"),
        ("road 0.1 0.1 0.6 0.1 0.6 0.6", "in lines that are no class and coordinates"),
    ],
)
def test_lines_of_yolo_that_cannot_be_drawn(tmp_path: Path, line: str, reason: str) -> None:
    root = yolo(tmp_path / "s", f"0 0.1 0.1 0.6 0.1 0.6 0.6\n{line}\n7 0.8 0.8 0.9 0.8 0.9 0.9\n")
    written(root / "data.yaml", "val: valid/images\nnames: [car, road]\n")
    found = convert(root, tmp_path / "out")
    assert set(found.faults.lines()) == {
        f"1 shape {reason} (first: a.jpg)",
        "1 shape of no class that the source lists, drawn as void (first: a.jpg)",
    }


FOREIGN: dict[str, tuple[str, Any, str]] = {
    "nifti": ("c0.nii.gz", "x", r"volumes \(NIfTI\) \(c0.nii.gz\); save its slices .* nibabel"),
    "metaimage": ("c0.mhd", "x", "MetaImage"),
    "nrrd": ("c0.nrrd", "x", "NRRD"),
    "dicom": ("c0.dcm", "x", "DICOM"),
    "archive": ("a.zip", "x", "an archive .*unpack it"),
    "parquet": ("a.parquet", "x", "Hugging Face dataset.*hf:DIRECTORY"),
    "via": ("via.json", {"a.jpg123": {"filename": "a.jpg", "regions": []}}, "VGG Image Annotator .*COCO format"),
    "via project": ("via.json", {"_via_settings": {}, "_via_img_metadata": {}}, "VGG Image Annotator"),
    "supervisely": ("a.json", {"description": "", "objects": [], "size": {"height": 1}}, "Supervisely .*COCO"),
    "labelbox": ("export.json", [{"data_row": {"id": 1}, "projects": {}}], "Labelbox .*labelbox"),
    "label studio": ("export.json", [{"id": 1, "annotations": [], "data": {}}], "Label Studio"),
    "voc boxes": ("a.xml", "<annotation><object><bndbox/></object></annotation>", "Pascal VOC XML, boxes without"),
    "cityscapes": ("a.json", {"imgHeight": 1, "imgWidth": 1, "objects": []}, "polygons of Cityscapes"),
    "captions": ("a.json", {"images": [], "annotations": [{"caption": "a"}]}, "COCO captions"),
    "results": ("a.json", [{"image_id": 1, "category_id": 1, "segmentation": {}}], "COCO results"),
    "panoptic": (
        "a.json", {"images": [], "categories": [], "annotations": [{"segments_info": []}]}, "COCO panoptic .*coco-stuff"
    ),
    "geojson": ("a.geojson", {"type": "FeatureCollection", "features": []}, "GeoJSON .*gdal_rasterize"),
    "unknown json": ("a.json", {"a": 1}, r"a file of an unknown form \(a.json\); export it as COCO"),
    "unknown xml": ("a.xml", "<what/>", r"a file of an unknown form \(a.xml\)"),
    "video": ("a.xml", "<annotations><track id='0'/></annotations>", "annotations of a video"),
    "boxes": ("a.json", coco(annotations=[{"image_id": 1, "category_id": 3, "segmentation": []}]), "boxes without out"),
    "nothing": ("a.md", "x", "holds no annotations that are read: labelme, COCO"),
}  # fmt: skip


@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_converted_is_named(tmp_path: Path, kind: str, whole: bool) -> None:
    file, content, message = FOREIGN[kind]
    path = written(tmp_path / "s" / file, content)
    with pytest.raises(SegablateError, match=message) as raised:
        convert(tmp_path / "s" if whole else path, tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_stacks_and_label_maps_are_named(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((4, 4), page, np.uint8)) for page in range(3)]
    (tmp_path / "s").mkdir()
    pages[0].save(tmp_path / "s/stack.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(SegablateError, match=r"stacks \(stack.tif: 3 pages\); save each page"):
        convert(tmp_path / "s", tmp_path / "out")
    (tmp_path / "s/stack.tif").unlink()
    picture(tmp_path / "s/a.png")
    with pytest.raises(SegablateError, match=r"images and no annotations .*segablate datasets init"):
        convert(tmp_path / "s", tmp_path / "out")


def test_nothing_is_left_of_a_conversion_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_coco(tmp_path / "s")
    (tmp_path / "place").mkdir()
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(
        MissingExtra, match=r"needs pycocotools, which is not installed; pip install 'segablate\[coco\]'"
    ):
        convert(source, tmp_path / "place/out")
    assert not list((tmp_path / "place").iterdir())
    monkeypatch.undo()
    convert(source, tmp_path / "place/out")
    before = (tmp_path / "place/out/dataset.yaml").read_text()
    with pytest.raises(SegablateError, match="out already exists; remove it, or choose another folder"):
        convert(source, tmp_path / "place/out")
    assert (tmp_path / "place/out/dataset.yaml").read_text() == before


def test_names_of_any_kind_are_written_so_that_they_are_read(tmp_path: Path) -> None:
    names = ["no", "1", "a: b", 'quote"s', "[x]", "# c", "straße", "null", "2024-01-01", " x"]
    found, _ = one_labelme(tmp_path, *(polygon(name) for name in names))
    data = open_dataset(f"folder:{tmp_path / 'out'}")
    assert data.labels.names == found.classes.names == ("background", *sorted(names))


def test_the_command_says_what_it_did_and_evaluate_takes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_coco(tmp_path / "s")
    assert run(["datasets", "convert", "s", "out"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "3 images in val" in said
    assert "by the rules of pycocotools" in said
    assert "Later shapes cover earlier ones, and holes stay holes; pixels in no shape are background." in said
    assert "1 crowd drawn like single objects" in said
    assert "could not be drawn" not in said
    assert "3 images linked, not copied" in said
    assert "segablate evaluate CHECKPOINT folder:out" in said
    assert run(["evaluate", "predictions:out/labels/val", "folder:out", "--format", "json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert "100" in json.dumps(scores) or "1.0" in json.dumps(scores)
    assert run(["datasets", "check", "folder:out", "--workers", "0"]) == 0
    assert run(["datasets", "convert", "gone", "again"]) == 1
    assert "no such file or folder of annotations" in capsys.readouterr().err


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    for name, text in (("a.json", '{"shapes": ['), ("a.xml", "<annotations><image"), ("b.json", "[" * 100_000)):
        with pytest.raises(SegablateError, match=name) as raised:
            convert(written(tmp_path / name, text), tmp_path / "out")
        assert "\n" not in str(raised.value)


ODD = ["null", "-1", "1e400", "NaN", "[]", "{}", '""', "9" * 20, "true", "1e9", '"x"', '"\\u0000"', '"../../x"']


@pytest.mark.parametrize("form", [write_coco, write_labelme, "cvat"])
@pytest.mark.parametrize("seed", range(12))
def test_odd_values_are_drawn_or_refused_in_one_line(tmp_path: Path, form: Any, seed: int) -> None:
    """Values of annotations exchanged for odd ones: nothing but a finished folder or an error is left."""
    if form == "cvat":
        picture(tmp_path / "s/images/a.png")
        shapes = '<polygon label="road" points="1,1;9,1;9,9"/><ellipse label="car" cx="9" cy="5" rx="3" ry="2"/>'
        boxes = (
            '<box label="car" xtl="1" ytl="2" xbr="5" ybr="6"/><mask rle="1,2" left="1" top="1" width="3" height="1"/>'
        )
        written(tmp_path / "s/annotations.xml", cvat(shapes + boxes, meta=META))
    else:
        form(tmp_path / "s")
    rng = Random(seed)
    path = rng.choice(sorted(path for path in (tmp_path / "s").rglob("*") if path.suffix in (".json", ".xml")))
    text = path.read_text()
    for _ in range(4):
        places = list(re.finditer(r'"[^"]*"|-?\d+\.?\d*', text))
        place = rng.choice(places)
        text = text[: place.start()] + rng.choice(ODD) + text[place.end() :]
    path.write_text(text)
    try:
        convert(tmp_path / "s", tmp_path / "out")
        assert open_dataset(f"folder:{tmp_path / 'out'}").read(0).image is not None
    except SegablateError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert not (tmp_path / "out").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"s", "out"}


def test_ids_of_any_type(tmp_path: Path) -> None:
    picture(tmp_path / "s/a.png")
    note = {**coco()["annotations"][0], "category_id": [1]}
    written(tmp_path / "s/coco.json", coco(annotations=[coco()["annotations"][0], note]))
    found = convert(tmp_path / "s", tmp_path / "out")
    assert found.faults.lines() == ("1 shape of no class that the source lists, drawn as void (first: a.png)",)


def test_the_command_says_what_undrawn_shapes_leave(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = yolo(tmp_path / "s", "0 0.1 0.1 0.6 0.1 0.6 0.6\n1 0.75 0.75 0.5 0.5\n0 0.1 0.1\n")
    written(root / "data.yaml", "val: valid/images\nnames: [car, car]\n")
    assert run(["datasets", "convert", "s", "out"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 shape with a box but no outline, its box drawn as void (first: a.jpg)" in said
    assert "2 shapes could not be drawn: pixels there are background, or of the shape below, but void in a box" in said
    assert "Several classes are called car, and are one class each." in said
    labels = maps(tmp_path / "out", "val")["a"]
    assert (labels == 255).sum() == 8 * 10
    assert (labels[8:, 10:] == 255).all()


def test_large_json_has_time_in_proportion() -> None:
    """COCO's train split has 450 MB; the files of weights keep their limit, whatever their size."""
    assert Budget(450_000_000, in_proportion=True).seconds == pytest.approx(107, abs=1)
    assert Budget(1_000, in_proportion=True).seconds == Budget(450_000_000).seconds == STRUCTURE_SECONDS
