"""BDD100K, KITTI, LoveDA, Mapillary Vistas and PASCAL-Context open as released; each miniature is made here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from test_layouts import SIZE, first_row, grey, image

from segablate.datasets import layout_module, open_dataset
from segablate.errors import SegablateError
from segablate.labels import IGNORE


def names_of(spec: str, split: str | None = None, count: int = SIZE[1]) -> list[str]:
    """The classes of the first pixels."""
    data = open_dataset(spec, split)
    indices = data.read(0).labels[0, :count].tolist()
    return [data.labels.names[index] if index != data.labels.ignore else "void" for index in indices]


def palette(path: Path, codes: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.full(SIZE, codes[0], np.uint8)
    labels[0, : len(codes)] = codes
    picture = Image.frombytes("P", SIZE[::-1], labels.tobytes())
    picture.putpalette([index * 91 % 256 for index in range(768)])
    picture.save(path)


@pytest.mark.parametrize(
    ("images", "masks", "suffix"),
    [("images/10k/val", "labels/sem_seg/masks/val", ""), ("seg/images/val", "seg/labels/val", "_train_id")],
)
@pytest.mark.parametrize("above", ["", "bdd100k"])
def test_bdd100k(tmp_path: Path, above: str, images: str, masks: str, suffix: str) -> None:
    image(tmp_path / above / images / "7d06fefd-f7be05a6.jpg")
    grey(tmp_path / above / masks / f"7d06fefd-f7be05a6{suffix}.png", [0, 6, 7, 18, 255])
    spec = f"bdd100k:{tmp_path}"
    assert names_of(spec, count=5) == ["road", "traffic light", "traffic sign", "bicycle", "void"]
    assert open_dataset(spec).names == ("7d06fefd-f7be05a6",)
    assert len(open_dataset(spec).labels) == 19
    with pytest.raises(SegablateError, match="no split 'train'; available: val"):
        open_dataset(spec, "train")


@pytest.mark.parametrize("above", ["", "data_semantics"])
def test_kitti(tmp_path: Path, above: str) -> None:
    root = tmp_path / above
    for name in ("000000_10", "000001_10"):
        image(root / f"training/image_2/{name}.png")
        grey(root / f"training/semantic/{name}.png", [7, 26, 33, 0, 6, 29, 255])
    spec = f"kitti:{tmp_path}"
    assert open_dataset(spec).split == "train"
    assert names_of(spec, count=7) == ["road", "car", "bicycle", "void", "void", "void", "void"]
    (root / "val.txt").write_text("000001_10\n")
    assert open_dataset(spec, "val").names == ("000001_10",)
    assert len(open_dataset(spec)) == 2
    labels = layout_module("kitti").LABELS
    assert sorted({code for codes in (*labels.codes, labels.void) for code in codes}) == [*range(34), 255]


def test_loveda(tmp_path: Path) -> None:
    for domain, name in (("Urban", "3514"), ("Rural", "2522")):
        image(tmp_path / f"Val/{domain}/images_png/{name}.png")
        grey(tmp_path / f"Val/{domain}/masks_png/{name}.png", [0, 1, 2, 7] if domain == "Urban" else [3, 4, 5, 6])
    spec = f"loveda:{tmp_path}"
    assert open_dataset(spec).names == ("urban/3514", "rural/2522")
    assert names_of(spec, count=4) == ["void", "background", "building", "agriculture"]
    assert names_of(spec, "val-rural", 4) == ["road", "water", "barren", "forest"]
    assert open_dataset(spec, "val-urban").names == ("urban/3514",)
    assert layout_module("loveda").splits(tmp_path) == ["val", "val-urban", "val-rural"]


def test_loveda_rearranged(tmp_path: Path) -> None:
    image(tmp_path / "loveDA/img_dir/val/2522.png")
    grey(tmp_path / "loveDA/ann_dir/val/2522.png", [0, 1, 7])
    assert names_of(f"loveda:{tmp_path}", count=3) == ["void", "background", "agriculture"]


def vistas(version: str) -> dict[str, Any]:
    names = ["animal--bird", "construction--flat--road", "void--car-mount", "void--unlabeled"]
    more = ["marking-only--continuous--dashed"] if version == "v2.0" else []
    labels = [
        {
            "name": name,
            "readable": name,
            "color": [place, 2, 3],
            "instances": True,
            "evaluate": name != "void--unlabeled",
        }
        for place, name in enumerate([*more, *names])
    ]
    return {"labels": labels, "mapping": "public", "version": version[1:]}


def test_mapillary_of_one_version(tmp_path: Path) -> None:
    image(tmp_path / "validation/images/a.jpg")
    palette(tmp_path / "validation/labels/a.png", [0, 1, 2, 3])
    (tmp_path / "config.json").write_text(json.dumps(vistas("v1.2")))
    spec = f"mapillary:{tmp_path}"
    expected = ["animal--bird", "construction--flat--road", "void--car-mount", "void"]
    assert names_of(spec, count=4) == names_of(spec, "validation", 4) == expected
    assert open_dataset(spec).labels.colours[1] == (1, 2, 3)
    assert open_dataset(spec).notes == ()
    (tmp_path / "config.json").unlink()
    palette(tmp_path / "validation/labels/a.png", [0, 13, 64, 65])
    expected = ["animal--bird", "construction--flat--road", "void--ego-vehicle", "void"]
    assert names_of(spec, count=4) == expected
    (tmp_path / "config.json").write_text('{"labels": 3}')
    with pytest.raises(SegablateError, match=r"config\.json: expected \{\"labels\""):
        open_dataset(spec)


def test_mapillary_of_both_versions(tmp_path: Path) -> None:
    image(tmp_path / "training/images/a.jpg")
    for version in ("v1.2", "v2.0"):
        palette(tmp_path / f"training/{version}/labels/a.png", [0, 1, 3])
        (tmp_path / f"config_{version}.json").write_text(json.dumps(vistas(version)))
    spec = f"mapillary:{tmp_path}"
    assert names_of(spec, "train", 3) == ["animal--bird", "construction--flat--road", "void"]
    assert names_of(spec, "train-v2.0", 3) == ["marking-only--continuous--dashed", "animal--bird", "void--car-mount"]
    assert open_dataset(spec, "train").notes == ("labels are those of v1.2",)
    assert layout_module("mapillary").splits(tmp_path) == ["train", "train-v1.2", "train-v2.0"]
    (tmp_path / "config_v2.0.json").unlink()
    with pytest.raises(SegablateError, match=r"config_v2\.0\.json: no such file; copy it from the release"):
        open_dataset(spec, "train-v2.0")


def test_mapillary_has_its_published_labels() -> None:
    older, newer = layout_module("mapillary").LAYOUT.label_sets
    assert (len(older), older.void, older.names[19], older.colours[13]) == (65, (65,), "human--person", (128, 64, 128))
    assert (len(newer), newer.void, newer.names[-1]) == (123, (123,), "void--static")


def context(root: Path, folder: str, codes: list[int], lists: str = "ImageSets/SegmentationContext") -> None:
    place = root / "VOC2010"
    for name in ("2008_000002", "2008_000003"):
        image(place / f"JPEGImages/{name}.jpg")
        labels = np.full(SIZE, codes[0], np.uint16)
        labels[0, : len(codes)] = codes
        (place / folder).mkdir(parents=True, exist_ok=True)
        if folder == "trainval":
            savemat(place / folder / f"{name}.mat", {"LabelMap": labels})
        else:
            grey(place / folder / f"{name}.png", codes)
    (place / lists).mkdir(parents=True, exist_ok=True)
    (place / lists / "val.txt").write_text("2008_000003\n")


@pytest.mark.parametrize(
    ("folder", "codes"),
    [
        ("SegmentationClassContext", [0, 1, 2, 37, 59]),
        ("59_context_labels", [0, 1, 21, 15, 59]),
        ("trainval", [0, 2, 9, 284, 458]),
    ],
)
def test_pascal_context(tmp_path: Path, folder: str, codes: list[int]) -> None:
    """Three encodings of the same labels."""
    context(tmp_path, folder, codes, "ImageSets/Main" if folder == "trainval" else "ImageSets/SegmentationContext")
    spec = f"pascal-context:{tmp_path}"
    assert open_dataset(spec).names == ("2008_000003",)
    assert open_dataset(spec).notes == (f"labels are read from {folder}",)
    assert names_of(spec, count=5) == ["void", "aeroplane", "bag", "person", "wood"]
    assert names_of(spec, "val-60", 5) == ["background", "aeroplane", "bag", "person", "wood"]
    assert (len(open_dataset(spec).labels), len(open_dataset(spec, "val-60").labels)) == (59, 60)
    with pytest.raises(SegablateError, match="no split 'train'; available: val, val-60"):
        open_dataset(spec, "train")


def test_pascal_context_takes_other_classes_for_background(tmp_path: Path) -> None:
    context(tmp_path, "trainval", [1, 3, 459, 2])
    assert names_of(f"pascal-context:{tmp_path}", "val-60", 4) == [*["background"] * 3, "aeroplane"]
    assert first_row(f"pascal-context:{tmp_path}", count=4) == [IGNORE] * 3 + [0]


def test_pascal_context_by_the_authors_list(tmp_path: Path) -> None:
    context(tmp_path, "59_context_labels", [0, 1, 2, 3])
    names = list(layout_module("pascal-context").LABELS.names)
    lines = [f"{place}: {name}" for place, name in enumerate(["wood", "table", *names], 1)]
    kept = [line for place, line in enumerate(lines) if place < 2 or line.partition(": ")[2] not in ("wood", "table")]
    path = tmp_path / "59_labels.txt"
    path.write_text("\n".join(kept).replace("table", "diningtable"))
    assert names_of(f"pascal-context:{tmp_path}", count=4) == ["void", "wood", "table", "aeroplane"]
    path.write_text("\n".join(kept[1:]))
    with pytest.raises(SegablateError, match=r"59_labels\.txt: does not name wood; copy it again"):
        open_dataset(f"pascal-context:{tmp_path}")
    path.write_text("wood\n")
    with pytest.raises(SegablateError, match=r"59_labels\.txt: expected a code and a name in each line"):
        open_dataset(f"pascal-context:{tmp_path}")


def test_pascal_context_with_all_its_classes(tmp_path: Path) -> None:
    context(tmp_path, "trainval", [0, 1, 256, 459])
    (tmp_path / "labels.txt").write_text("\n".join(f"{code}: class {code}" for code in range(1, 460)))
    spec = f"pascal-context:{tmp_path}"
    assert "val-459" in layout_module("pascal-context").splits(tmp_path)
    assert names_of(spec, "val-459", 4) == ["void", "class 1", "class 256", "class 459"]
