"""`datasets convert` draws what the annotation tools draw themselves, and says what it leaves out."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import annotation_cases as cases
import cv2
import numpy as np
import pytest
from conftest import optional
from PIL import Image

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.conversion import Converted, convert
from segablate.errors import MissingExtra, SegablateError
from segablate.labels import IGNORE

optional("pycocotools")

RECORDED = np.load(Path(__file__).parent / "golden" / "peers" / "annotations.npz")
SQUARE = [[2.0, 2.0], [12.0, 2.0], [12.0, 9.0], [2.0, 9.0]]


def picture(path: Path, size: tuple[int, int] = (16, 20), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(path)
    return path


def written(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def maps(out: Path, split: str) -> dict[str, np.ndarray]:
    """Class indices by image name, as `evaluate` reads them."""
    data = open_dataset(f"folder:{out}", split)
    return {name: data.read(index).labels for index, name in enumerate(data.names)}


def pictures_of_cases(folder: Path) -> None:
    for number, size in enumerate(cases.SIZES):
        picture(folder / f"{number}.png", size)


def write_coco(root: Path) -> Path:
    pictures_of_cases(root / "val2017")
    return written(root / "annotations/instances_val2017.json", cases.coco())


def write_labelme(root: Path) -> Path:
    pictures_of_cases(root / "val")
    for name, value in cases.labelme().items():
        written(root / "val" / name, value)
    return root


def write_yolo(root: Path) -> Path:
    pictures_of_cases(root / "images/val")
    for name, lines in cases.yolo().items():
        written(root / "labels/val" / name, "\n".join(" ".join(map(str, (c, *values))) for c, values in lines))
    return written(
        root / "data.yaml", {"path": ".", "train": "images/val", "val": "images/val", "names": cases.CLASSES}
    )


@pytest.mark.parametrize("form", [write_coco, write_labelme, write_yolo], ids=lambda form: form.__name__[6:])
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_masks_are_those_of_the_tools(tmp_path: Path, form: Any, whole: bool) -> None:
    name = form.__name__[6:]
    assert str(RECORDED[f"{name}_cases"]) == cases.fingerprint(getattr(cases, name)()), "record anew"
    source = form(tmp_path / "source")
    found = convert(tmp_path / "source" if whole else source, tmp_path / "out")
    drawn = maps(tmp_path / "out", "val")
    assert found.classes.names == ("background", *cases.CLASSES)
    assert sorted(drawn) == ["0", "1", "2"]
    for key, labels in drawn.items():
        (theirs,) = (RECORDED[each] for each in RECORDED.files if each.startswith(f"{name}/{key}."))
        assert len(np.unique(theirs)) == 4
        assert np.array_equal(labels, theirs), f"{(labels != theirs).sum()} pixels differ"


def cvat_runs(mask: np.ndarray) -> str:
    """Run lengths row by row, beginning with a run outside."""
    lengths, value = [0], False
    for inside in mask.reshape(-1).tolist():
        if inside != value:
            lengths.append(0)
            value = inside
        lengths[-1] += 1
    return ", ".join(map(str, lengths))


def cvat(shapes: str, size: tuple[int, int] = (16, 20), name: str = "a.png", meta: str = "", more: str = "") -> str:
    image = f'<image id="0" name="{name}" width="{size[1]}" height="{size[0]}" {more}>{shapes}</image>'
    return f"<?xml version='1.0'?><annotations><version>1.1</version>{meta}{image}</annotations>"


LABELS = "".join(
    f"<label><name>{name}</name><color>{colour}</color></label>" for name, colour in
    (("road", "#804080"), ("car", "#00008e"), ("hole", "#ffffff"))
)  # fmt: skip
META = f"<meta><job><labels>{LABELS}</labels></job></meta>"


def test_cvat_polygons_masks_boxes_and_ellipses(tmp_path: Path) -> None:
    """Against pycocotools, OpenCV and plain loops, in the order of z_order."""
    from pycocotools import mask as peer

    rng = np.random.default_rng(3)
    inside = rng.random((5, 7)) < 0.5
    inside[0, 0] = True
    shapes = (
        '<polygon label="hole" points="1.5,1.2;9.7,2.4;6.1,9.9" z_order="2"/>'
        '<box label="road" xtl="3" ytl="2.5" xbr="15.2" ybr="11" z_order="0"/>'
        '<box label="car" xtl="10" ytl="6" xbr="18" ybr="9.5" rotation="30.0" z_order="1"/>'
        '<ellipse label="car" cx="14.2" cy="10.4" rx="3.3" ry="1.6" rotation="20" z_order="1"/>'
        f'<mask label="road" rle="{cvat_runs(inside)}" left="12" top="1" width="7" height="5" z_order="3"/>'
        '<polyline label="road" points="1,1;2,2"/><points label="road" points="1,1"/>'
    )
    picture(tmp_path / "s/images/a.png")
    written(tmp_path / "s/annotations.xml", cvat(shapes, meta=META))
    found = convert(tmp_path / "s", tmp_path / "out")
    (labels,) = maps(tmp_path / "out", "all").values()

    def polygon(points: list[float]) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return peer.decode(peer.frPyObjects([points], 16, 20))[..., 0] > 0

    angle, corners = np.radians(30), []
    for x, y in ((10, 6), (18, 6), (18, 9.5), (10, 9.5)):
        corners.append(14 + np.cos(angle) * (x - 14) - np.sin(angle) * (y - 7.75))
        corners.append(7.75 + np.sin(angle) * (x - 14) + np.cos(angle) * (y - 7.75))
    oval = cv2.ellipse(np.zeros((16, 20), np.uint8), (14, 10), (3, 2), 20, 0, 360, 1, -1) > 0
    expected = np.zeros((16, 20), np.uint8)
    expected[polygon([3, 2.5, 15.2, 2.5, 15.2, 11, 3, 11])] = 1
    expected[polygon(corners)] = 2
    expected[oval] = 2
    expected[polygon([1.5, 1.2, 9.7, 2.4, 6.1, 9.9])] = 3
    for row in range(5):
        for column in range(7):
            if inside[row, column]:
                expected[1 + row, 12 + column] = 1
    assert np.array_equal(labels, expected)
    assert found.classes.names == ("background", "road", "car", "hole")
    assert found.classes.colours == ((0, 0, 0), (128, 64, 128), (0, 0, 142), (255, 255, 255))
    assert found.faults.lines() == (
        "1 polyline without an inside (first: a.png)",
        "1 point without an inside (first: a.png)",
    )


def test_cvat_subsets_are_splits(tmp_path: Path) -> None:
    shape = '<polygon label="road" points="1,1;9,1;9,9"/>'
    for subset in ("Train", "Validation"):
        picture(tmp_path / f"s/images/{subset}/a.png", seed=len(subset))
        xml = cvat(shape, meta=META, more=f'subset="{subset}"')
        written(tmp_path / f"s/{subset}.xml", xml)
    assert convert(tmp_path / "s", tmp_path / "out").splits == {"train": 1, "validation": 1}
    assert open_dataset(f"folder:{tmp_path / 'out'}").split == "validation"
    image = open_dataset(f"folder:{tmp_path / 'out'}", "train").read(0).image
    assert np.array_equal(image, np.asarray(Image.open(tmp_path / "s/images/Train/a.png")))  # type: ignore[arg-type]


def labelme_file(*shapes: dict[str, Any], size: tuple[int, int] = (16, 20), image: str = "a.png") -> dict[str, Any]:
    return {"version": "5", "shapes": shapes, "imagePath": image, "imageHeight": size[0], "imageWidth": size[1]}


def polygon(label: Any, points: Any = SQUARE, **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": "polygon", **more}


def one_labelme(tmp_path: Path, *shapes: dict[str, Any], **options: Any) -> tuple[Converted, np.ndarray]:
    picture(tmp_path / "s/a.png")
    written(tmp_path / "s/a.json", labelme_file(*shapes))
    found = convert(tmp_path / "s", tmp_path / "out", **options)
    return found, maps(tmp_path / "out", "all")["a"]


def test_holes_are_later_shapes_of_the_background(tmp_path: Path) -> None:
    hole = [[4, 4], [8, 4], [8, 7], [4, 7]]
    found, labels = one_labelme(tmp_path, polygon("road"), polygon("_background_", hole))
    assert found.classes.names == ("background", "road")
    assert (labels[4:8, 4:9] == 0).all()
    assert (labels[2, 2:13] == 1).all()
    assert found.drawn["road"].pixels == (labels == 1).sum() == 8 * 11 - 4 * 5


def test_pixels_in_no_shape_may_be_void(tmp_path: Path) -> None:
    found, labels = one_labelme(
        tmp_path, polygon("road"), polygon("__ignore__", [[4, 4], [8, 4], [8, 7]]), outside="void"
    )
    assert found.classes.names == ("road",)
    assert set(np.unique(labels)) == {0, IGNORE}
    assert labels[4, 5] == IGNORE
    assert found.void_pixels == (labels == IGNORE).sum()


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (polygon("road", SQUARE[:2]), "of fewer than 3 points"),
        (polygon("road", [[-9, -9], [-2, -9], [-2, -2]]), "outside the image"),
        (polygon("road", [[30, 2], [40, 2], [40, 9]]), "outside the image"),
        (polygon("road", [[2, 2], [1e9, 2], [1e9, 9]]), "that reach far beyond the image"),
        (polygon("road", [[2, 2], [None, 2], [5, 9]]), "whose points are no pairs of numbers"),
        (polygon("road", [[2, 2], ["x", 2], [5, 9]]), "whose points are no pairs of numbers"),
        (polygon("road", [[2, 2], [float("nan"), 2], [5, 9]]), "whose points are no pairs of numbers"),
        (polygon("road", "abc"), "whose points are no pairs of numbers"),
        (polygon("road", shape_type="spline"), "of the unknown type 'spline'"),
        (polygon("road", shape_type="mask", mask="!!"), "whose stored mask cannot be read"),
        (polygon("road", [[2, 2]], shape_type="rectangle"), "of fewer than 2 points"),
        ("road", "whose points are no pairs of numbers"),
    ],
)
def test_shapes_that_cannot_be_drawn_are_counted(tmp_path: Path, shape: Any, reason: str) -> None:
    found, labels = one_labelme(tmp_path, shape, shape, polygon("road", [[1, 12], [8, 12], [8, 14]]))
    assert found.faults.lines() == (f"2 shapes {reason} (first: a.json)",)
    assert (labels[:11] == 0).all()
    assert labels[12, 3] == 1


def test_unknown_labels_are_void_and_said(tmp_path: Path) -> None:
    written(tmp_path / "s/labels.txt", "__ignore__\n_background_\ncar\nroad\n")
    found, labels = one_labelme(tmp_path, polygon("raod"), polygon("road", [[1, 12], [8, 12], [8, 14]]))
    assert found.classes.names == ("background", "car", "road")
    assert found.faults.lines() == ("1 shape of the unknown label 'raod', drawn as void (first: a.json)",)
    assert labels[5, 5] == IGNORE
    assert labels[12, 3] == 2


def test_images_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "s"
    for name in "abcd":
        picture(root / f"{name}.png", (8, 9) if name == "b" else (16, 20))
        written(root / f"{name}.json", labelme_file(polygon("road"), image=f"{name}.png"))
    (root / "c.png").unlink()
    (root / "d.png").write_bytes(b"no image")
    written(root / "e.json", "{")
    written(root / "f.json", {"other": 1})
    picture(root / "unlabelled.png")
    found = convert(root, tmp_path / "out")
    assert list(maps(tmp_path / "out", "all")) == ["a"]
    assert set(found.faults.lines()) == {
        "1 JSON file that cannot be parsed (first: e.json)",
        "1 JSON file of another format (first: f.json)",
        "1 image of another size than its annotations state (first: b.json)",
        "1 image whose file is missing (first: c.json)",
        "1 image that cannot be read (first: d.json)",
    }
    assert "3 images without annotations left out (b.png, d.png, unlabelled.png)" in found.notes


def test_images_inside_of_labelme_files(tmp_path: Path) -> None:
    import base64

    data = picture(tmp_path / "elsewhere/a.jpg").read_bytes()
    value = {**labelme_file(polygon("road"), image="..\\gone\\a.jpg"), "imageData": base64.b64encode(data).decode()}
    written(tmp_path / "s/sub/x.json", value)
    convert(tmp_path / "s", tmp_path / "out")
    assert (tmp_path / "out/images/all/sub/x.jpg").read_bytes() == data
    assert list(maps(tmp_path / "out", "all")) == ["sub/x"]
    written(tmp_path / "s/sub/x.json", {**value, "imageData": "!"})
    with pytest.raises(SegablateError, match=r"no image could be converted: 1 image .*x"):
        convert(tmp_path / "s", tmp_path / "again")


@pytest.mark.parametrize("turned", [False, True])
def test_turned_images_are_drawn_at_the_size_stated(tmp_path: Path, turned: bool) -> None:
    """labelme and CVAT show an image upright; other tools as stored."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "s").mkdir()
    Image.fromarray(np.zeros((16, 20, 3), np.uint8)).save(tmp_path / "s/a.jpg", exif=exif)
    size = (20, 16) if turned else (16, 20)
    written(tmp_path / "s/a.json", labelme_file(polygon("road"), size=size, image="a.jpg"))
    convert(tmp_path / "s", tmp_path / "out")
    data = open_dataset(f"folder:{tmp_path / 'out'}")
    sample = data.read(0)
    assert sample.image is not None
    assert sample.image.shape[:2] == sample.labels.shape == size


def coco(**more: Any) -> dict[str, Any]:
    note = {"image_id": 1, "category_id": 3, "segmentation": [[2, 2, 12, 2, 12, 9, 2, 9]]}
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": 16, "width": 20}],
        "annotations": [note],
        "categories": [{"id": 3, "name": "road", "supercategory": "none"}],
        **more,
    }


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[1, 1, 5, 5]], "of fewer than 3 points"),
        ([[1, 1, 5, 5, 2]], "whose points are no pairs of numbers"),
        ([], "with a box but no outline"),
        ({"size": [16, 20], "counts": [3, 5]}, "whose runs do not fill the image"),
        ({"size": [16, 20], "counts": [-1, 321]}, "whose runs do not fill the image"),
        ({"size": [16, 20], "counts": "~~~~~~~"}, "whose runs do not fill the image"),
        ({"size": [16, 20], "counts": "3é"}, "whose runs are no numbers"),
        ({"size": [16, 20], "counts": ["a"]}, "whose runs are no numbers"),
        ({"size": [16, 20], "counts": [320, 2**62, 2**62, 2**62, 2**62]}, "whose runs do not fill the image"),
        ({"size": [16, 20], "counts": None}, "whose runs are no numbers"),
        ({"size": [20, 16], "counts": [320]}, "whose runs are of another size than the image"),
        ({"size": [16, 20], "counts": [320]}, "that cover no pixel"),
    ],
)
def test_coco_annotations_that_cannot_be_drawn(tmp_path: Path, segmentation: Any, reason: str) -> None:
    picture(tmp_path / "s/a.png")
    good = coco()["annotations"][0]
    value = coco(annotations=[good, {**good, "segmentation": segmentation}, {**good, "image_id": 9}])
    written(tmp_path / "s/_annotations.coco.json", value)
    found = convert(tmp_path / "s", tmp_path / "out")
    assert f"1 shape {reason} (first: a.png)" in found.faults.lines()
    assert "1 shape of an image that the file does not list (first: _annotations.coco.json)" in found.faults.lines()
    assert found.drawn["road"].shapes == 1


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
        ("1 0.1 0.1 0.6 0.1", "with a box but no outline"),
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
        "1 shape of the unknown label None, drawn as void (first: a.jpg)",
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
