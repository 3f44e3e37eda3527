"""Valid datasets in the layouts of public releases, those with lists and files of other kinds."""

import json
from pathlib import Path

import cv2
import numpy as np
from conftest import CLASSES, scene

from .pictures import by_opencv

COUNT = 3


def write_releases(root: Path) -> None:
    """CamVid, PASCAL VOC 2012 with scribbles, COCO panoptic, NYU Depth v2 and a dataset of the library `datasets`."""
    _write_camvid(root / "camvid")
    _write_voc(root / "voc")
    _write_panoptic(root / "coco")
    _write_nyu(root / "nyu")
    _write_arrow(root / "arrow")


def _write_camvid(root: Path) -> None:
    for index in range(COUNT):
        _put(root / f"test/t{index}.png", scene(index)[0])
        _put(root / f"testannot/t{index}.png", scene(index)[1] % 4)
    lines = [f"/SegNet/CamVid/test/t{index}.png /SegNet/CamVid/testannot/t{index}.png\n" for index in range(COUNT)]
    (root / "test.txt").write_text("".join(lines))


def _write_voc(root: Path) -> None:
    for index in range(COUNT):
        _put(root / f"JPEGImages/v{index}.jpg", scene(index)[0])
        _put(root / f"SegmentationClass/v{index}.png", scene(index)[1] % 4)
        strokes = "".join(
            f"<polygon><tag>{tag}</tag><point><X>{x}</X><Y>2</Y></point><point><X>{x + 9}</X><Y>9</Y></point></polygon>"
            for tag, x in (("cat", 3), ("background", 15))
        )
        size = "<size><width>32</width><height>24</height><depth>3</depth></size>"
        _put(root / f"scribble_annotation/pascal_2012/v{index}.xml", f"<annotation>{size}{strokes}</annotation>")
    _put(root / "ImageSets/Segmentation/val.txt", "".join(f"v{index}\n" for index in range(COUNT)))


def _write_panoptic(root: Path) -> None:
    images, annotations = [], []
    for index in range(COUNT):
        name = f"{index:012d}"
        segments = [{"id": code + 1, "category_id": code + 1, "area": 9, "iscrowd": 0} for code in range(4)]
        colours = np.zeros((24, 32, 3), np.uint8)
        colours[..., 0] = scene(index)[1] % 4 + 1
        _put(root / f"val2017/{name}.jpg", scene(index)[0])
        _put(root / f"annotations/panoptic_val2017/{name}.png", colours)
        images.append({"id": index, "file_name": f"{name}.jpg", "height": 24, "width": 32})
        annotations.append({"image_id": index, "file_name": f"{name}.png", "segments_info": segments})
    _put(root / "annotations/panoptic_val2017.json", json.dumps({"images": images, "annotations": annotations}))


def _write_nyu(root: Path) -> None:
    import h5py

    root.mkdir()
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file.create_dataset("images", data=np.zeros((1449, 3, 8, 6), np.uint8))
        file.create_dataset("labels", data=np.ones((1449, 8, 6), np.uint16))


def _write_arrow(root: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    encode = by_opencv(".png")
    rows = {
        "image": [{"bytes": encode(scene(index)[0]), "path": f"s{index}.png"} for index in range(COUNT)],
        "label": [{"bytes": encode(scene(index)[1]), "path": None} for index in range(COUNT)],
    }
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Image()})
    table = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"validation": table}).save_to_disk(root)
    _put(root / "id2label.json", json.dumps(dict(enumerate(CLASSES))))


def _put(path: Path, content: np.ndarray | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content)
    else:
        cv2.imwrite(str(path), content[..., ::-1] if content.ndim == 3 else content)
