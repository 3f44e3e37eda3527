"""Every dataset opens in the layout in which it is released; each miniature is made here."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from segablate.datasets import dataset_layouts, layout_module, open_dataset
from segablate.errors import SegablateError
from segablate.labels import IGNORE, pack_colour

SIZE = (6, 8)


def image(path: Path, size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """Write an image of noise and return it as RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *path.as_posix().encode()]).integers(0, 256, (*size, 3), np.uint8)
    cv2.imwrite(str(path), pixels[..., ::-1])
    return pixels


def grey(path: Path, codes: Any, dtype: type = np.uint8) -> None:
    """Write a label map whose first row holds the codes; the rest holds the first of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.full(SIZE, codes[0], dtype)
    labels[0, : len(codes)] = codes
    cv2.imwrite(str(path), labels)


def first_row(spec: str, split: str | None = None, count: int = SIZE[1]) -> list[int]:
    return open_dataset(spec, split).read(0, image=False).labels[0, :count].tolist()


def voc(root: Path) -> Path:
    for name in ("2007_000033", "2008_000019"):
        image(root / f"JPEGImages/{name}.jpg")
    image(root / "JPEGImages/2011_000001.jpg")
    (root / "SegmentationClass").mkdir()
    mask = Image.fromarray(np.array([[0, 1, 20, 255, 255, 255, 5, 0]] * 6, np.uint8), mode="P")
    mask.putpalette([index * 37 % 256 for index in range(768)])
    mask.save(root / "SegmentationClass/2007_000033.png")
    for name in ("2007_000033", "2008_000019"):
        grey(root / f"SegmentationClassAug/{name}.png", [3, 15, 255])
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("2007_000033\n")
    (lists / "trainaug.txt").write_text("/JPEGImages/2008_000019.jpg /SegmentationClassAug/2008_000019.png\n")
    return root


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_voc2012(tmp_path: Path) -> None:
    root = voc(tmp_path / "VOCdevkit" / "VOC2012")
    data = open_dataset(f"voc2012:{tmp_path}")
    assert (data.split, data.names, data.notes) == ("val", ("2007_000033",), ())
    assert data.read(0).labels[0].tolist() == [0, 1, 20, IGNORE, IGNORE, IGNORE, 5, 0]
    assert data.labels.names[15] == "person"
    assert data.labels.colours[15] == (192, 128, 128)
    augmented = open_dataset(f"voc2012:{root}", "trainaug")
    assert augmented.names == ("2008_000019",)
    assert augmented.notes == ("labels are read from SegmentationClassAug",)
    assert augmented.read(0).labels[0, :3].tolist() == [3, 15, IGNORE]
    with pytest.raises(SegablateError, match="no split 'test'; available: trainaug, val"):
        open_dataset(f"voc2012:{root}", "test")


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_voc2012_scribbles(tmp_path: Path) -> None:
    root = voc(tmp_path)
    strokes = "<polygon><tag>cat</tag><point><X>1</X><Y>4</Y></point><point><X>6</X><Y>4</Y></point></polygon>"
    size = "<size><width>8</width><height>6</height></size>"
    (root / "pascal_2012_scribble").mkdir()
    path = root / "pascal_2012_scribble/2007_000033.xml"
    path.write_text(f"<annotation>{size}{strokes}</annotation>")
    labels = open_dataset(f"voc2012:{root}", "val-scribble").read(0).labels
    assert set(np.unique(labels)) == {8, IGNORE}
    assert (labels[3:6, 1:7] == 8).all()
    assert (labels[:2] == IGNORE).all()
    path.write_text(f"<annotation>{strokes}</annotation>")
    with pytest.raises(SegablateError, match=r"2007_000033\.xml: not a scribble file"):
        open_dataset(f"voc2012:{root}", "val-scribble").read(0)
    path.write_text(f"<annotation>{size}{strokes.replace('cat', 'catt')}</annotation>")
    with pytest.raises(SegablateError, match=r"2007_000033\.xml: .* has no class 'catt'; did you mean 'cat'"):
        open_dataset(f"voc2012:{root}", "val-scribble").read(0)


def test_voc2012_nothing_but_masks(tmp_path: Path) -> None:
    grey(tmp_path / "2007_000033.png", [7, 255])
    data = open_dataset(f"voc2012:{tmp_path}")
    assert (data.split, data.names) == ("all", ("2007_000033",))
    assert data.read(0, image=False).labels[0, :2].tolist() == [7, IGNORE]


def test_ade20k_without_splits(tmp_path: Path) -> None:
    grey(tmp_path / "annotations/ADE_val_1.png", [0, 1, 150])
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/ADE_val_1.jpg"), cv2.imread(str(tmp_path / "annotations/ADE_val_1.png")))
    data = open_dataset(f"ade20k:{tmp_path}")
    assert (data.split, data.names) == ("all", ("ADE_val_1",))
    assert data.read(0).labels[0, :3].tolist() == [IGNORE, 0, 149]


def test_voc2012_masks_alone(tmp_path: Path) -> None:
    grey(tmp_path / "SegmentationClass/2007_000033.png", [7, 255])
    data = open_dataset(f"voc2012:{tmp_path}")
    assert (data.split, data.names) == ("all", ("2007_000033",))
    assert data.notes[0].startswith("no images")
    assert data.read(0, image=False).labels[0, :2].tolist() == [7, IGNORE]
    with pytest.raises(SegablateError, match=r"2007_000033\.jpg: no such file"):
        data.read(0)


@pytest.mark.parametrize("ids", ["labelIds", "labelTrainIds"])
def test_cityscapes(tmp_path: Path, ids: str) -> None:
    codes = {"labelIds": [7, 8, 11, 33, 0, 1, 9, 29], "labelTrainIds": [0, 1, 2, 18, 255, 255, 255, 255]}
    for city in ("frankfurt", "lindau"):
        stem = f"{city}/{city}_000000_000294"
        image(tmp_path / f"leftImg8bit/val/{stem}_leftImg8bit.png")
        for kind in ("labelIds", "labelTrainIds") if ids == "labelIds" else ("labelTrainIds",):
            grey(tmp_path / f"gtFine/val/{stem}_gtFine_{kind}.png", codes[kind])
        image(tmp_path / f"gtFine/val/{stem}_gtFine_color.png")
    data = open_dataset(f"cityscapes:{tmp_path}")
    assert data.names == ("frankfurt/frankfurt_000000_000294", "lindau/lindau_000000_000294")
    assert data.read(1).labels[0].tolist() == [0, 1, 2, 18, *[IGNORE] * 4]
    assert len(data.labels) == 19
    assert data.notes == (() if ids == "labelIds" else ("labels are read from train ids, as there are no label ids",))
    assert data.labels.colours[0] == (128, 64, 128)
    with pytest.raises(SegablateError, match="no split 'train'; available: val"):
        open_dataset(f"cityscapes:{tmp_path}", "train")


def test_cityscapes_knows_all_34_ids(tmp_path: Path) -> None:
    labels = layout_module("cityscapes").LAYOUT.label_sets[0]
    assert sorted([code for codes in labels.codes for code in codes] + list(labels.void)) == list(range(34))
    with pytest.raises(SegablateError, match="expected folders leftImg8bit/val/ and gtFine/val/"):
        open_dataset(f"cityscapes:{tmp_path}")


def colours(path: Path, row: list[tuple[int, int, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.zeros((*SIZE, 3), np.uint8)
    labels[0, : len(row)] = row
    cv2.imwrite(str(path), labels[..., ::-1])


def test_camvid_in_its_original_colours(tmp_path: Path) -> None:
    row = [(128, 128, 128), (0, 128, 64), (0, 0, 64), (192, 0, 64), (64, 192, 128), (192, 0, 192), (0, 0, 0)]
    for name in ("0001TP_006690", "0001TP_006720"):
        image(tmp_path / f"701_StillsRaw_full/{name}.png")
        colours(tmp_path / f"LabeledApproved_full/{name}_L.png", row)
    data = open_dataset(f"camvid:{tmp_path}")
    assert (data.split, len(data)) == ("all", 2)
    found = [data.labels.names[k] if k != IGNORE else "void" for k in data.read(0).labels[0, : len(row)]]
    assert found == ["sky", "building", "pole", "road", "pavement", "bicyclist", "void"]
    (tmp_path / "val.txt").write_text("/somewhere/0001TP_006720.png\n")
    assert open_dataset(f"camvid:{tmp_path}").names == ("0001TP_006720",)


def test_camvid_split_into_folders(tmp_path: Path) -> None:
    image(tmp_path / "val/0016E5_07959.png")
    colours(tmp_path / "val_labels/0016E5_07959_L.png", [(128, 64, 128)])
    assert first_row(f"camvid:{tmp_path}", count=2) == [3, IGNORE]


def test_camvid_has_32_colours() -> None:
    labels = layout_module("camvid").ORIGINAL
    assert len({code for codes in labels.codes for code in codes} | set(labels.void)) == 32


def test_camvid_groups_its_colours_as_segnet_does() -> None:
    """The colours of label_colors.txt of the release, under SegNet's eleven classes."""
    colours = {
        "sky": {"Sky": (128, 128, 128)},
        "building": {
            "Building": (128, 0, 0), "Archway": (192, 0, 128), "Bridge": (0, 128, 64), "Tunnel": (64, 0, 64),
            "Wall": (64, 192, 0),
        },
        "pole": {"Column_Pole": (192, 192, 128), "TrafficCone": (0, 0, 64)},
        "road": {"Road": (128, 64, 128), "LaneMkgsDriv": (128, 0, 192), "LaneMkgsNonDriv": (192, 0, 64)},
        "pavement": {"Sidewalk": (0, 0, 192), "ParkingBlock": (64, 192, 128), "RoadShoulder": (128, 128, 192)},
        "tree": {"Tree": (128, 128, 0), "VegetationMisc": (192, 192, 0)},
        "sign": {"SignSymbol": (192, 128, 128), "Misc_Text": (128, 128, 64), "TrafficLight": (0, 64, 64)},
        "fence": {"Fence": (64, 64, 128)},
        "car": {
            "Car": (64, 0, 128), "SUVPickupTruck": (64, 128, 192), "Truck_Bus": (192, 128, 192),
            "Train": (192, 64, 128), "OtherMoving": (128, 64, 64),
        },
        "pedestrian": {
            "Pedestrian": (64, 64, 0), "Child": (192, 128, 64), "CartLuggagePram": (64, 0, 192),
            "Animal": (64, 128, 64),
        },
        "bicyclist": {"Bicyclist": (0, 128, 192), "MotorcycleScooter": (192, 0, 192)},
    }  # fmt: skip
    labels = layout_module("camvid").ORIGINAL
    assert labels.names == tuple(colours)
    for codes, known in zip(labels.codes, colours.values(), strict=True):
        assert {labels.show_code(code) for code in codes} == set(map(str, known.values()))


def test_ade20k(tmp_path: Path) -> None:
    root = tmp_path / "ADEChallengeData2016"
    image(root / "images/validation/ADE_val_00000001.jpg")
    grey(root / "annotations/validation/ADE_val_00000001.png", [0, 1, 150])
    for spec in (f"ade20k:{tmp_path}", f"ade20k:{root}"):
        assert first_row(spec, count=3) == [IGNORE, 0, 149]
        assert first_row(spec, "validation", 3) == [IGNORE, 0, 149]
    labels = open_dataset(f"ade20k:{root}").labels
    assert (labels.names[0], labels.names[12], labels.names[149]) == ("wall", "person", "flag")
    grey(root / "annotations/validation/ADE_val_00000001.png", [0, 255])
    with pytest.raises(SegablateError, match="code 255 at 1 pixel is not in label set 'ade20k'"):
        open_dataset(f"ade20k:{root}").read(0)


def test_coco_stuff(tmp_path: Path) -> None:
    image(tmp_path / "images/val2017/000000000139.jpg")
    grey(tmp_path / "annotations/val2017/000000000139.png", [0, 10, 12, 181, 255])
    data = open_dataset(f"coco-stuff:{tmp_path}")
    assert len(data.labels) == 171
    found = [data.labels.names[k] for k in data.read(0).labels[0, :4]]
    assert found == ["person", "fire hydrant", "stop sign", "wood"]
    assert data.read(0).labels[0, 4] == IGNORE
    grey(tmp_path / "annotations/val2017/000000000139.png", [0, 11])
    with pytest.raises(SegablateError, match="code 11 at 1 pixel"):
        data.read(0)


def test_coco_stuff_train_ids(tmp_path: Path) -> None:
    image(tmp_path / "val2017/000000000139.jpg")
    grey(tmp_path / "stuffthingmaps/val2017/000000000139_labelTrainIds.png", [0, 10, 11, 170, 255])
    data = open_dataset(f"coco-stuff:{tmp_path}")
    assert data.read(0).labels[0, :5].tolist() == [0, 10, 11, 170, IGNORE]
    assert data.labels.names[11] == "stop sign"


def test_coco_stuff_leaves_train_ids_beside_codes_unmentioned(tmp_path: Path) -> None:
    image(tmp_path / "val2017/1.jpg")
    maps = tmp_path / "stuffthingmaps/val2017"
    for name in ("1.png", "1_labelTrainIds.png", "2.png", "2_labelTrainIds.png"):
        grey(maps / name, [0, 10])
    assert open_dataset(f"coco-stuff:{tmp_path}").notes == ("1 label map without an image left out (2.png)",)
    for name in ("1.png", "2.png"):
        (maps / name).unlink()
    note = "1 label map without an image left out (2_labelTrainIds.png)"
    assert open_dataset(f"coco-stuff:{tmp_path}").notes == (note,)


def panoptic(root: Path) -> None:
    ids = [0, 5, 300, 70_000]
    image(root / "val2017/000000000139.jpg")
    row = [(number & 255, number >> 8 & 255, number >> 16) for number in ids]
    colours(root / "annotations/panoptic_val2017/000000000139.png", row)
    segments = [{"id": 5, "category_id": 1}, {"id": 70_000, "category_id": 200}, {"id": 300, "category_id": 92}]
    described = {
        "images": [{"id": 139, "file_name": "000000000139.jpg"}],
        "annotations": [{"image_id": 139, "file_name": "000000000139.png", "segments_info": segments}],
    }
    (root / "annotations/panoptic_val2017.json").write_text(json.dumps(described))


@pytest.mark.parametrize("split", ["val", "val-panoptic"])
def test_coco_panoptic(tmp_path: Path, split: str) -> None:
    panoptic(tmp_path)
    data = open_dataset(f"coco-stuff:{tmp_path}", split)
    assert len(data.labels) == 133
    assert data.notes == ("labels are panoptic: 133 classes",)
    labels = data.read(0).labels[0, :4]
    assert labels[0] == IGNORE
    assert [data.labels.names[k] for k in labels[1:]] == ["person", "banner", "rug-merged"]
    colours(tmp_path / "annotations/panoptic_val2017/000000000139.png", [(9, 0, 0)])
    with pytest.raises(SegablateError, match=r"000000000139\.png: segment 9 at 1 pixel is not in the JSON file"):
        data.read(0)
    (tmp_path / "annotations/panoptic_val2017.json").write_text('{"images": []}')
    with pytest.raises(SegablateError, match="not a panoptic annotation file"):
        open_dataset(f"coco-stuff:{tmp_path}", split)


def test_nyuv2_counted_from_zero(tmp_path: Path) -> None:
    image(tmp_path / "image/test/00001.png")
    grey(tmp_path / "seg40/test/00001.png", [0, 1, 39, 255])
    spec = f"nyuv2:{tmp_path}"
    assert first_row(spec, count=4) == [0, 1, 39, IGNORE]
    names = open_dataset(spec, "test-13").labels.names
    assert [names[k] for k in first_row(spec, "test-13", 3)] == ["wall", "floor", "objects"]
    grey(tmp_path / "seg13/test/00001.png", [0, 12, 255])
    assert first_row(spec, "test-13", 3) == [0, 12, IGNORE]


def test_nyuv2_counted_from_one(tmp_path: Path) -> None:
    image(tmp_path / "test/rgb/0001.png")
    grey(tmp_path / "test/labels_40/0001.png", [1, 2, 40, 0])
    spec = f"nyuv2:{tmp_path}"
    assert first_row(spec, count=4) == [0, 1, 39, IGNORE]
    grey(tmp_path / "test/labels_13/0001.png", [1, 13, 0])
    assert first_row(spec, "test-13", 3) == [0, 12, IGNORE]


def test_nyuv2_release(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    images = np.random.default_rng(0).integers(0, 256, (3, 3, SIZE[1], SIZE[0]), np.uint8)
    labels = np.zeros((3, SIZE[1], SIZE[0]), np.uint16)
    labels[0, :4, 0] = [1, 4, 5, 894]  # the first row of the first image
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"], file["labels"] = images, labels
    data = open_dataset(f"nyuv2:{tmp_path}")
    assert (len(data), data.names[:3]) == (654, ("00001", "00002", "00009"))
    sample = data.read(0)
    assert sample.image is not None
    assert np.array_equal(sample.image, images[0].transpose(2, 1, 0))
    # of the 894 classes, 1 is an other prop, 4 the ceiling, 5 a chair
    assert [data.labels.names[k] for k in sample.labels[0, :3]] == ["otherprop", "ceiling", "chair"]
    assert sample.labels[1, 0] == IGNORE
    assert len(open_dataset(f"nyuv2:{tmp_path}", "train")) == 795
    few = open_dataset(f"nyuv2:{tmp_path}", "test-13")
    assert [few.labels.names[k] for k in few.read(0).labels[0, :3]] == ["objects", "ceiling", "chair"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros((3, *SIZE[::-1]), np.float32), "labels are float32"),
        (np.zeros((3, *SIZE[::-1], 2), np.uint16), r"labels are uint16 of shape \(2"),
        (np.zeros((3, 0, SIZE[0]), np.uint16), r"labels are uint16 of shape \(\d+, 0\)"),
    ],
    ids=["floats", "cube", "empty"],
)
def test_nyuv2_of_other_arrays(tmp_path: Path, labels: np.ndarray, said: str) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"], file["labels"] = np.zeros((3, 3, *SIZE[::-1]), np.uint8), labels
    with pytest.raises(SegablateError, match=rf"nyu_depth_v2_labeled\.mat: {said}.*; copy the file again"):
        open_dataset(f"nyuv2:{tmp_path}").read(0)


def test_nyuv2_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "nyu_depth_v2_labeled.mat").touch()
    with pytest.raises(SegablateError, match=r"needs h5py, which is not installed; pip install 'segablate\[mat\]'"):
        open_dataset(f"nyuv2:{tmp_path}").read(0)


def test_nyuv2_has_13_classes_in_their_published_order() -> None:
    few = layout_module("nyuv2").LABELS_13.names
    assert " ".join(few) == "bed books ceiling chair floor furniture objects picture sofa table tv wall window"


def test_synthia(tmp_path: Path) -> None:
    root = tmp_path / "RAND_CITYSCAPES"
    image(root / "RGB/0000000.png")
    labels = np.zeros((*SIZE, 3), np.uint16)
    labels[0, :, 0] = [3, 4, 2, 21, 11, 0, 22, 16]
    labels[..., 1] = 777  # instances
    (root / "GT/LABELS").mkdir(parents=True)
    cv2.imwrite(str(root / "GT/LABELS/0000000.png"), labels[..., ::-1])
    data = open_dataset(f"synthia:{tmp_path}")
    assert (data.split, len(data.labels), data.labels.name) == ("train", 16, "synthia")
    found = [data.labels.names[k] for k in data.read(0).labels[0, :5]]
    assert found == ["road", "sidewalk", "building", "wall", "bicycle"]
    assert (data.read(0).labels[0, 5:] == IGNORE).all()


@pytest.mark.parametrize("layout", sorted(set(dataset_layouts()) - {"sample", "folder"}))
def test_what_is_not_there_is_said(tmp_path: Path, layout: str) -> None:
    module = layout_module(layout)
    assert module.splits(tmp_path) in ([], ["train"])  # SYNTHIA has one split, whatever is there
    with pytest.raises(SegablateError, match=r"expected|no such folder"):
        open_dataset(f"{layout}:{tmp_path}")
    assert "::" in module.__doc__
    assert module.LAYOUT.label_sets or layout == "hf"  # whose classes are named beside it


@pytest.mark.parametrize("layout", sorted(set(dataset_layouts()) - {"sample", "folder"}))
def test_label_sets_come_back_from_what_they_write(layout: str) -> None:
    for labels in layout_module(layout).LAYOUT.label_sets:
        indices = np.array([[*range(len(labels)), IGNORE]], np.uint8)
        assert np.array_equal(labels.decode(labels.encode(indices)), indices)
        assert len(labels.colours) == len(labels)


def test_colours_are_packed_as_red_green_blue() -> None:
    assert pack_colour((1, 2, 3)) == 0x010203
