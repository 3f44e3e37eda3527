"""`datasets convert` draws what the annotation tools draw themselves, and says what it leaves out."""

import json
import warnings
from pathlib import Path
from typing import Any

import annotation_cases as cases
import cv2
import numpy as np
import pytest
from conftest import optional
from PIL import Image

from segablate.datasets import open_dataset
from segablate.datasets.conversion import Converted, convert
from segablate.errors import SegablateError
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
        (polygon("road", [[2, 2], [1e9, 2], [1e9, 9]]), "far beyond the image"),
        (polygon("road", [[2, 2], [None, 2], [5, 9]]), "whose points are no pairs of numbers"),
        (polygon("road", [[2, 2], ["x", 2], [5, 9]]), "whose points are no pairs of numbers"),
        (polygon("road", [[2, 2], [float("nan"), 2], [5, 9]]), "whose points are no pairs of numbers"),
        (polygon("road", "abc"), "whose points are no pairs of numbers"),
        (polygon("road", shape_type="mask", mask="!!", points=None), "whose points are no pairs of numbers"),
        (polygon("road", [[2, 2]], shape_type="rectangle"), "of fewer than 2 points"),
        ("road", "whose points are no pairs of numbers"),
    ],
)
def test_shapes_that_cannot_be_drawn_are_counted(tmp_path: Path, shape: Any, reason: str) -> None:
    found, labels = one_labelme(tmp_path, shape, shape, polygon("road", [[1, 12], [8, 12], [8, 14]]))
    assert found.faults.lines() == (f"2 shapes {reason} (first: a.json)",)
    assert (labels[:11] == 0).all()
    assert labels[12, 3] == 1


def test_a_shape_of_unknown_type_makes_the_box_around_its_points_void(tmp_path: Path) -> None:
    odd = polygon("road", [[3, 2], [7.5, 4], [5, 8]], shape_type="spline")
    found, labels = one_labelme(tmp_path, polygon("road"), odd, polygon("road", [[1, 12], [8, 12], [8, 14]]))
    assert found.faults.lines() == ("1 shape of the unknown type 'spline', its box drawn as void (first: a.json)",)
    assert found.faults.undrawn == 1
    expected = np.zeros((16, 20), bool)
    for row in range(2, 8):
        for column in range(3, 8):
            expected[row, column] = True
    assert np.array_equal(labels == IGNORE, expected)
    assert found.void_pixels == 30


def test_the_box_of_a_coco_annotation_without_outline_is_void(tmp_path: Path) -> None:
    picture(tmp_path / "s/a.png")
    good = coco()["annotations"][0]
    bad = {**good, "segmentation": {"size": [16, 20], "counts": [3, 5]}, "bbox": [13, 10, 4.5, 30]}
    parts = {**good, "segmentation": [[1, 1, 5, 5], [2, 11, 6, 11, 6, 14]], "bbox": [0, 0, 20, 16]}
    written(tmp_path / "s/coco.json", coco(annotations=[good, bad, {**bad, "bbox": "?"}, parts]))
    found = convert(tmp_path / "s", tmp_path / "out")
    labels = maps(tmp_path / "out", "all")["a"]
    assert (labels[10:, 13:18] == IGNORE).all()
    assert (labels == IGNORE).sum() == 6 * 5
    assert labels[5, 5] == labels[12, 5] == 1
    assert set(found.faults.lines()) == {
        "1 shape whose runs do not fill the image, its box drawn as void (first: a.png)",
        "1 shape whose runs do not fill the image (first: a.png)",
        "1 shape of fewer than 3 points (first: a.png)",
    }
    assert found.faults.undrawn == 3


def test_categories_of_one_name_are_one_class_and_said(tmp_path: Path) -> None:
    picture(tmp_path / "s/a.png")
    good = coco()["annotations"][0]
    twice = [{"id": 3, "name": "road"}, {"id": 4, "name": "car"}, {"id": 7, "name": "road"}]
    other = {**good, "category_id": 7, "segmentation": [[1, 11, 6, 11, 6, 15, 1, 15]]}
    written(tmp_path / "s/coco.json", coco(annotations=[good, other], categories=twice))
    found = convert(tmp_path / "s", tmp_path / "out")
    assert found.notes == ["2 categories are called 'road' (ids 3, 7) and are one class"]
    assert found.classes.names == ("background", "road", "car")
    labels = maps(tmp_path / "out", "all")["a"]
    assert labels[5, 5] == labels[13, 3] == 1


def test_ids_that_are_not_unique_are_refused_or_counted(tmp_path: Path) -> None:
    picture(tmp_path / "s/a.png")
    picture(tmp_path / "s/b.png", seed=1)
    one = coco()["images"][0]
    written(tmp_path / "s/coco.json", coco(images=[one, {**one, "file_name": "b.png"}]))
    found = convert(tmp_path / "s", tmp_path / "out")
    assert found.faults.lines() == ("1 image whose id another image has (first: b.png)",)
    assert list(maps(tmp_path / "out", "all")) == ["a"]
    written(tmp_path / "s/coco.json", coco(categories=[{"id": 3, "name": "road"}, {"id": 3, "name": "car"}]))
    with pytest.raises(SegablateError, match="categories 'road' and 'car' both have id 3; give each its own"):
        convert(tmp_path / "s", tmp_path / "again")


def test_a_z_order_that_is_odd_is_counted(tmp_path: Path) -> None:
    """Missing and unreadable ones count as 0; a fraction orders as written."""
    corners = 'xtl="2" ytl="2" xbr="10" ybr="10"'
    shapes = (
        f'<box label="road" {corners} z_order="0.5"/><box label="car" {corners} z_order="front"/>'
        f'<box label="car" {corners} z_order="nan"/><box label="car" {corners}/>'
        '<box label="hole" xtl="12" ytl="2" xbr="18" ybr="10" z_order="1.0"/>'
    )
    picture(tmp_path / "s/images/a.png")
    written(tmp_path / "s/annotations.xml", cvat(shapes, meta=META))
    found = convert(tmp_path / "s", tmp_path / "out")
    assert set(found.faults.lines()) == {
        "1 shape whose z_order is no whole number, but counts as written (first: a.png)",
        "2 shapes whose z_order is no number, drawn as of z_order 0 (first: a.png)",
        "1 shape without z_order, drawn as of z_order 0 (first: a.png)",
    }
    assert maps(tmp_path / "out", "all")["a"][5, 5] == 1


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


def test_a_source_of_which_no_shape_can_be_drawn_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    written(tmp_path / "in/a.json", labelme_file(polygon("car", [[1, 1], [5, 5]])))
    with pytest.raises(
        SegablateError, match=r"no shape could be drawn: 1 shape of fewer than 3 points \(first: a\.json\)"
    ):
        convert(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
