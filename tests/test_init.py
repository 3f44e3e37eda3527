"""``datasets init`` describes data as people have it, and ``evaluate`` takes the description at the first try.

Every case is a miniature of a public shape of data. The label maps that the description reads are held against those
that were planted, pixel for pixel.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from nearest import COLOURS, nearest_network, scene
from PIL import Image

from segablate.cli import run
from segablate.datasets import Dataset, open_dataset
from segablate.labels import IGNORE

PALETTE = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
ISPRS = np.array([[255, 255, 255], [0, 0, 255], [0, 255, 0]], np.uint8)


@dataclass(frozen=True)
class Case:
    """A shape of data: `write` plants label maps and images; what init should find.

    - `maps`: the label map of each name; `exact`: the share of pixels that must agree.
    """

    write: Callable[[Path], dict[str, np.ndarray]]
    names: tuple[str, ...]
    split: str = "all"
    exact: float = 1.0


def picture(path: Path, labels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(COLOURS[np.where(labels == IGNORE, 0, labels)]).save(path, **options)


def mask(path: Path, values: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)


def pairs(
    root: Path, image: str, label: str, values: Callable[[np.ndarray], np.ndarray], classes: int = 3, count: int = 4
) -> dict[str, np.ndarray]:
    """Plant images and masks under patterns with {}; the label maps by name."""
    maps = {}
    for index in range(count):
        labels = scene(index, classes)
        picture(root / image.format(index), labels)
        mask(root / label.format(index), values(labels))
        maps[Path(image.format(index)).stem] = labels
    return maps


def rgb_mask(root: Path) -> dict[str, np.ndarray]:
    return pairs(root, "images/{}.png", "masks/{}_mask.png", lambda labels: PALETTE[labels])


def black_and_white(root: Path) -> dict[str, np.ndarray]:
    return pairs(root, "images/{}.png", "masks/{}.png", lambda labels: labels * np.uint8(255), 2)


def jpeg(root: Path) -> dict[str, np.ndarray]:
    return pairs(root, "images/{}.png", "masks/{}.jpg", lambda labels: labels * np.uint8(255), 2)


def jpeg_in_rgb(root: Path) -> dict[str, np.ndarray]:
    return pairs(root, "images/{}.png", "masks/{}.jpg", lambda labels: np.stack([labels * np.uint8(255)] * 3, -1), 2)


def jpeg_of_three(root: Path) -> dict[str, np.ndarray]:
    return pairs(root, "images/{}.png", "masks/{}.jpg", lambda labels: labels * np.uint8(120))


def soft(root: Path) -> dict[str, np.ndarray]:
    return pairs(root, "images/{}.png", "masks/{}.png", lambda m: cv2.GaussianBlur(m * np.uint8(255), (5, 5), 1.3), 2)


def half_soft(root: Path) -> dict[str, np.ndarray]:
    """Resized down and up by a factor of two: three values between black and white."""

    def values(labels: np.ndarray) -> np.ndarray:
        size = labels.shape[::-1]
        small = cv2.resize(labels * np.uint8(255), (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)

    return pairs(root, "images/{}.png", "masks/{}.png", values, 2)


def soft_colours(root: Path) -> dict[str, np.ndarray]:
    return pairs(root, "images/{}.png", "masks/{}.png", lambda labels: cv2.GaussianBlur(PALETTE[labels], (3, 3), 0.8))


def cvat(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "JPEGImages/{}.png", "SegmentationClass/{}.png", lambda labels: PALETTE[labels])
    for index in range(4):
        mask(root / f"SegmentationObject/{index}.png", PALETTE[::-1][scene(index)])
    colours = "\n".join(
        f"{n}:{','.join(map(str, c))}::" for n, c in zip(("ground", "cat", "dog"), PALETTE, strict=True)
    )
    (root / "labelmap.txt").write_text(f"# label:color_rgb:parts:actions\n{colours}\n")
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/default.txt").write_text("0\n1\n2\n3\n")
    return maps


def nnunet(root: Path) -> dict[str, np.ndarray]:
    maps = {}
    for index in range(3):
        labels = scene(index)
        picture(root / f"imagesTr/case_{index:03}_0000.png", labels)
        mask(root / f"labelsTr/case_{index:03}.png", labels)
        maps[f"case_{index:03}"] = labels
        picture(root / f"imagesTs/case_{index + 3:03}_0000.png", labels)
    described = {
        "channel_names": {"0": "R"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "file_ending": ".png",
    }
    (root / "dataset.json").write_text(json.dumps(described))
    return maps


def roboflow(root: Path) -> dict[str, np.ndarray]:
    maps = {}
    for first, split in ((3, "train"), (0, "valid")):
        for index in range(first, first + 3):
            labels, name = scene(index), f"im{index}_jpg.rf.{index:08x}"
            picture(root / split / f"{name}.png", labels)
            mask(root / split / f"{name}_mask.png", labels)
            maps |= {name: labels} if split == "valid" else {}
        (root / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")
    return maps


def busi(root: Path) -> dict[str, np.ndarray]:
    """Several masks of one image, one kind a folder, one suffix for images and masks."""
    maps = {}
    for kind in ("benign", "malignant"):
        for index in (1, 2):
            whole, name = scene(index, 2), f"{kind} ({index})"
            picture(root / kind / f"{name}.png", whole)
            left = whole * np.uint8(255)
            if index == 2:
                right = left.copy()
                left[:, 32:], right[:, :32] = 0, 0
                mask(root / kind / f"{name}_mask_1.png", right)
            mask(root / kind / f"{name}_mask.png", left)
            maps[f"{kind}/{name}"] = whole
    return maps


def voc(root: Path) -> dict[str, np.ndarray]:
    """Palette files with a void border, images without label maps, and lists."""
    maps = {}
    for index in range(6):
        labels = scene(index)
        picture(root / f"JPEGImages/2007_{index:06}.jpg", labels, quality=98)
        if index < 4:
            labels[:, :3] = IGNORE
            image = Image.fromarray(labels, "P")
            image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)
            (root / "SegmentationClass").mkdir(parents=True, exist_ok=True)
            image.save(root / f"SegmentationClass/2007_{index:06}.png")
            maps[f"2007_{index:06}"] = labels
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for name, chosen in (("train", (0, 1)), ("val", (2, 3)), ("test", (4, 5))):
        (lists / f"{name}.txt").write_text("".join(f"2007_{index:06}\n" for index in chosen))
    return {name: maps[name] for name in ("2007_000002", "2007_000003")}


def potsdam(root: Path) -> dict[str, np.ndarray]:
    """Tiles of which some have no label map; a second set of label maps without boundaries."""
    maps = {}
    for index in range(5):
        labels = scene(index)
        picture(root / f"2_Ortho_RGB/top_potsdam_2_{index}_RGB.tif", labels)
        if index < 3:
            mask(root / f"5_Labels_all/top_potsdam_2_{index}_label.tif", ISPRS[labels])
            mask(root / f"5_Labels_all_noBoundary/top_potsdam_2_{index}_label_noBoundary.tif", 0 * ISPRS[labels])
            maps[f"top_potsdam_2_{index}"] = labels
    return maps


def one_folder(root: Path) -> dict[str, np.ndarray]:
    return pairs(root, "a[{}].v2 (x).png", "a[{}].v2 (x)_mask.png", lambda labels: labels)


def sat(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "{}_sat.png", "{}_mask.png", lambda labels: labels)
    return {name.removesuffix("_sat"): labels for name, labels in maps.items()}


def planes(root: Path) -> dict[str, np.ndarray]:
    """A mask for each class, told apart by the end of the name; the second class is nowhere in one image."""
    maps = {}
    for index in range(3):
        labels = scene(index)
        labels[labels == 2] = 0 if index == 1 else 2
        picture(root / f"images/{index}.png", labels)
        for value, name in enumerate(("bg", "nuclei", "tissue")):
            if (labels == value).any():
                mask(root / f"labels/{index}_{name}.png", (labels == value) * np.uint8(255))
        maps[str(index)] = labels
    return maps


def folder_for_each_class(root: Path) -> dict[str, np.ndarray]:
    maps = {}
    for index in range(3):
        labels = scene(index)
        picture(root / f"images/{index}.png", labels)
        for value, name in ((1, "building"), (2, "road")):
            mask(root / f"masks/{name}/{index}.png", (labels == value) * np.uint8(255))
        maps[str(index)] = labels
    return maps


def split_table(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "images/{}.png", "masks/{}.png", lambda labels: labels)
    rows = [f"{index},images/{index}.png,{'val' if index > 1 else 'train'},x" for index in range(4)]
    (root / "meta.csv").write_text("\n".join(["id,file,split,source", *rows]) + "\n")
    return {name: maps[name] for name in ("2", "3")}


def negative(root: Path) -> dict[str, np.ndarray]:
    maps = {}
    for index in range(2):
        labels = scene(index)
        picture(root / f"images/{index}.png", labels)
        codes = labels.astype(np.int64)
        codes[:4] = -1
        labels[:4] = IGNORE
        (root / "labels").mkdir(exist_ok=True)
        np.save(root / f"labels/{index}.npy", codes)
        maps[str(index)] = labels
    return maps


def geotiff(root: Path) -> dict[str, np.ndarray]:
    """A code of its own for pixels without data, which the file states."""
    maps = {}
    for index in range(2):
        labels = scene(index)
        picture(root / f"images/{index}.tif", labels)
        codes = np.where(np.arange(64) < 4, 99, labels).astype(np.int32)
        (root / "labels").mkdir(exist_ok=True)
        Image.fromarray(codes, "I").save(root / f"labels/{index}.tif", tiffinfo={42113: "99"})
        labels[:, :4] = IGNORE
        maps[str(index)] = labels
    return maps


def whole_floats(root: Path) -> dict[str, np.ndarray]:
    """Floats, with the value that GDAL writes for no data."""
    maps = {}
    for index in range(2):
        labels = scene(index)
        picture(root / f"images/{index}.tif", labels)
        codes = np.where(np.arange(64) < 4, -9999, labels.astype(np.float32))
        (root / "labels").mkdir(exist_ok=True)
        Image.fromarray(codes, "F").save(root / f"labels/{index}.tif")
        labels[:, :4] = IGNORE
        maps[str(index)] = labels
    return maps


def obj_names(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "images/{}.png", "labels/{}.png", lambda labels: labels)
    (root / "obj.names").write_text("ground\ncat\ndog\n")
    return maps


CASES = {
    "rgb_mask": Case(rgb_mask, ("class_0", "class_1", "class_2")),
    "black_and_white": Case(black_and_white, ("background", "foreground")),
    "jpeg": Case(jpeg, ("background", "foreground")),
    "jpeg_in_rgb": Case(jpeg_in_rgb, ("background", "foreground")),
    "jpeg_of_three": Case(jpeg_of_three, ("class_0", "class_120", "class_240"), exact=0.99),
    "soft": Case(soft, ("background", "foreground"), exact=0.98),
    "half_soft": Case(half_soft, ("background", "foreground"), exact=0.98),
    "soft_colours": Case(soft_colours, ("class_0", "class_1", "class_2"), exact=0.85),
    "cvat": Case(cvat, ("ground", "cat", "dog")),
    "nnunet": Case(nnunet, ("background", "liver", "tumour")),
    "roboflow": Case(roboflow, ("background", "cat", "dog"), "valid"),
    "busi": Case(busi, ("background", "foreground")),
    "voc": Case(voc, ("class_0", "class_1", "class_2"), "val"),
    "potsdam": Case(potsdam, ("impervious_surface", "building", "tree")),
    "one_folder": Case(one_folder, ("class_0", "class_1", "class_2")),
    "sat": Case(sat, ("class_0", "class_1", "class_2")),
    "planes": Case(planes, ("bg", "nuclei", "tissue")),
    "folder_for_each_class": Case(folder_for_each_class, ("background", "building", "road")),
    "split_table": Case(split_table, ("class_0", "class_1", "class_2"), "val"),
    "negative": Case(negative, ("class_0", "class_1", "class_2")),
    "geotiff": Case(geotiff, ("class_0", "class_1", "class_2")),
    "whole_floats": Case(whole_floats, ("class_0", "class_1", "class_2")),
    "obj_names": Case(obj_names, ("ground", "cat", "dog")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_first_try(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    first_try(case, tmp_path, capsys)


def first_try(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture) -> dict:
    """Describe, compare what is read with what was planted, evaluate and check; the description."""
    root = tmp_path / "data"
    root.mkdir()
    maps = case.write(root)
    assert run(["datasets", "init", str(root)]) == 0, capsys.readouterr().err
    described = yaml.safe_load((root / "dataset.yaml").read_text())
    assert described["default_split"] == case.split
    dataset = open_dataset(f"folder:{root}")
    assert dataset.labels.names == case.names
    assert set(dataset.names) == set(maps)
    order = _order(case, dataset)
    for index, name in enumerate(dataset.names):
        planted = maps[name]
        read = np.array([*order, *[IGNORE] * (256 - len(order))], np.uint8)[dataset.read(index).labels]
        assert (read == planted).mean() >= case.exact, name
    capsys.readouterr()
    network = nearest_network(tmp_path / "net", order=order)
    assert run(["evaluate", network, f"folder:{root}", "--format", "json", "--workers", "0"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert _miou(report) >= 0.85, "the network takes the nearest colour"
    assert run(["datasets", "check", f"folder:{root}", "--workers", "0"]) == 0, capsys.readouterr().out
    return described


def _order(case: Case, dataset: Dataset) -> tuple[int, ...]:
    """The planted class of each class of the description; they differ in order only for colours."""
    colours = dataset.labels.codes
    if dataset.labels.encoding != "colours":
        return tuple(range(len(colours)))
    palette = ISPRS if case.write is potsdam else PALETTE
    packed = [int(red) << 16 | int(green) << 8 | int(blue) for red, green, blue in palette]
    return tuple(packed.index(codes[0]) for codes in colours)


def _miou(report: dict) -> float:
    return next(row["value"] for row in report["tables"]["overall"] if row["measure"] == "mIoU")
