"""``datasets init``: which folder or list is which split, which files are label maps, and what is no void.

As in :mod:`test_init`, what was planted is read back and evaluated at the first try.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from nearest import COLOURS, scene
from PIL import Image
from test_init import Case, first_try, mask, pairs, picture

from segablate.cli import run
from segablate.datasets.drafting import draft
from segablate.errors import SegablateError

CLASSES = ("class_0", "class_1", "class_2")
TWO = ("background", "foreground")


def words_in_folders(root: Path) -> dict[str, np.ndarray]:
    """ISIC: a folder for images and one for label maps of each split; a suffix for the label maps."""
    maps = {}
    for split, chosen in (("Training", (0, 1, 2)), ("Validation", (3, 4))):
        for index in chosen:
            labels, name = scene(index, 2), f"ISIC_{index:07}"
            picture(root / f"Task1-2_{split}_Input/{name}.png", labels)
            mask(root / f"Task1_{split}_GroundTruth/{name}_segmentation.png", labels * np.uint8(255))
            maps |= {name: labels} if split == "Validation" else {}
    return maps


def several_encodings(root: Path) -> dict[str, np.ndarray]:
    """Cityscapes' own files: ids, instances and colours of one image."""
    maps = {}
    for city in ("aachen", "bochum"):
        for index in range(2):
            labels, name = scene(index), f"{city}_{index:06}"
            picture(root / f"leftImg8bit/val/{city}/{name}_leftImg8bit.png", labels)
            for kind, values in (("labelIds", labels), ("instanceIds", labels + 7), ("color", COLOURS[labels])):
                mask(root / f"gtFine/val/{city}/{name}_gtFine_{kind}.png", values)
            maps[f"{city}/{name}"] = labels
    return maps


def field_of_view(root: Path) -> dict[str, np.ndarray]:
    """DRIVE: label maps as GIF, and masks of what the camera sees, in a folder called mask."""
    maps = {}
    for index in range(3):
        labels = scene(index, 2)
        picture(root / f"images/{index + 21}_training.tif", labels)
        mask(root / f"1st_manual/{index + 21}_manual1.gif", labels * np.uint8(255))
        mask(root / f"mask/{index + 21}_training_mask.gif", labels * np.uint8(0) + np.uint8(255))
        maps[str(index + 21)] = labels
    return maps


def folds(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "images/{}.png", "masks/{}.png", lambda labels: labels)
    rows = "".join(f"{index}.png;{index % 2}\n" for index in range(4))
    (root / "folds.csv").write_text("image_id;fold\n" + rows)
    return {name: maps[name] for name in ("0", "2")}


def tables_of_pairs(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "images/{}.png", "masks/{}.png", lambda labels: labels)
    for name, chosen in (("train", "01"), ("val", "23")):
        rows = "".join(f"images/{index}.png,masks/{index}.png\n" for index in chosen)
        (root / f"{name}.csv").write_text("img,mask\n" + rows)
    return {name: maps[name] for name in "23"}


def partly_labelled(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "images/{}.png", "masks/{}.png", lambda labels: labels)
    (root / "masks/3.png").unlink()
    return {name: maps[name] for name in "012"}


def other_proportions(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "images/{}.png", "masks/{}.png", lambda labels: labels.repeat(2, axis=1))
    return {name: labels.repeat(2, axis=1) for name, labels in maps.items()}


def twice_the_size(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "images/{}.png", "masks/{}.png", lambda labels: labels.repeat(2, 0).repeat(2, 1))
    return {name: labels.repeat(2, 0).repeat(2, 1) for name, labels in maps.items()}


def deep_images(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "images/{}.png", "masks/{}.png", lambda labels: labels)
    for name, labels in maps.items():
        cv2.imwrite(str(root / f"images/{name}.png"), COLOURS[labels][..., ::-1].astype(np.uint16) * 16)
    return maps


def white_is_a_class(root: Path) -> dict[str, np.ndarray]:
    return pairs(root, "images/{}.png", "masks/{}.png", lambda labels: np.array([0, 128, 255], np.uint8)[labels])


def nearly_white(root: Path) -> dict[str, np.ndarray]:
    def values(labels: np.ndarray) -> np.ndarray:
        grey = labels * np.uint8(255)
        grey[0, 0] = 254
        return grey

    return pairs(root, "images/{}.png", "masks/{}.png", values, 2)


def rarely_two_masks(root: Path) -> dict[str, np.ndarray]:
    """One image of many has two masks, in one split alone."""
    maps = {}
    for index in range(8):
        labels, folder = scene(index, 2), root / ("train" if index < 6 else "val")
        picture(folder / f"b ({index}).png", labels)
        whole = labels * np.uint8(255)
        if index == 0:
            mask(folder / f"b ({index})_mask_1.png", np.where(np.arange(64) < 30, 0, whole).astype(np.uint8))
            whole = np.where(np.arange(64) < 30, whole, 0).astype(np.uint8)
        mask(folder / f"b ({index})_mask.png", whole)
        maps |= {f"b ({index})": labels} if index >= 6 else {}
    return maps


def sixteen_bits(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "images/{}.png", "masks/{}.png", lambda labels: labels)
    for name, labels in maps.items():
        labels[:3] = 255
        codes = np.where(labels == 255, 65535, labels.astype(int)).astype(np.uint16)
        cv2.imwrite(str(root / f"masks/{name}.png"), codes)
    return maps


def one_pair(root: Path) -> dict[str, np.ndarray]:
    maps = pairs(root, "images/scan_{}.png", "masks/scan_{}_mask.png", lambda labels: labels, count=1)
    return dict(maps)


CASES = {
    "words_in_folders": Case(words_in_folders, TWO, "validation"),
    "several_encodings": Case(several_encodings, CLASSES, "val"),
    "field_of_view": Case(field_of_view, TWO),
    "folds": Case(folds, CLASSES, "fold_0"),
    "tables_of_pairs": Case(tables_of_pairs, CLASSES, "val"),
    "partly_labelled": Case(partly_labelled, CLASSES),
    "other_proportions": Case(other_proportions, CLASSES),
    "twice_the_size": Case(twice_the_size, CLASSES),
    "deep_images": Case(deep_images, CLASSES),
    "white_is_a_class": Case(white_is_a_class, ("class_0", "class_128", "class_255")),
    "nearly_white": Case(nearly_white, TWO, exact=0.999),
    "rarely_two_masks": Case(rarely_two_masks, TWO, "val"),
    "sixteen_bits": Case(sixteen_bits, CLASSES),
    "one_pair": Case(one_pair, CLASSES),
}

KEYS = {
    "partly_labelled": ("splits", {"all": {"images": "images", "labels": "masks", "unlabelled": "skip"}}),
    "other_proportions": ("label_size", "label"),
    "deep_images": ("image_range", [0, 4095]),
    "nearly_white": ("threshold", 128),
    "sixteen_bits": ("void", [65535]),
    "white_is_a_class": ("void", []),
}
"""What the description must have too."""


def test_masks_of_objects_are_no_second_reading(tmp_path: Path) -> None:
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / folder / "a.png")
    assert "pair as well" not in draft(tmp_path)[1]


@pytest.mark.parametrize("name", CASES)
def test_the_first_try(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    described = first_try(CASES[name], tmp_path, capsys)
    key, value = KEYS.get(name, ("name", "data"))
    assert described[key] == value
    assert ("label_size" in described) == (name == "other_proportions"), "equal proportions need no key"


def test_what_fails_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pairs(tmp_path, "images/{}.png", "masks/{}.png", lambda labels: labels)
    (tmp_path / "masks/2.png").write_bytes(b"\x89PNG")
    assert run(["datasets", "init", str(tmp_path)]) == 1
    assert "masks/2.png: " in capsys.readouterr().err
    for index in range(4):
        image = Image.fromarray(scene(index), "P")
        image.putpalette([0, 0, 0, 200, 0, index, 0, 200, 0])
        image.save(tmp_path / f"masks/{index}.png")
    assert run(["datasets", "init", str(tmp_path)]) == 1
    assert "palette entry 1 is" in capsys.readouterr().err
    assert not (tmp_path / "dataset.yaml").exists()


@pytest.mark.parametrize("form", ["splits.csv", "train.txt"])
def test_a_list_with_a_name_that_is_not_there_is_refused_rather_than_left_out(form: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
        for index in range(6):
            values = np.arange(64).reshape(8, 8) % 2
            Image.fromarray((values * 9 if folder == "images" else values).astype(np.uint8)).save(
                root / folder / f"{index}.png"
            )
    if form == "splits.csv":
        rows = [f"{index}.png,{'val' if index < 2 else 'train'}" for index in range(7)]
        (root / form).write_text("\n".join(["file,split", *rows]))
    else:
        (root / "val.txt").write_text("0\n1\n")
        (root / form).write_text("2\n3\n4\n5\n6\n")
    with pytest.raises(
        SegablateError, match=rf"{form}: 1 name without an image \(first: 6(\.png)?\); correct the list"
    ):
        draft(root)
    assert not (root / "dataset.yaml").exists()


def test_a_second_folder_of_label_maps_that_pairs_as_well_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    for folder in ("img", "a", "b"):
        (tmp_path / folder).mkdir()
        for index in range(3):
            labels = np.arange(64).reshape(8, 8) % 2 ^ (folder == "b")
            values = noise.integers(0, 256, (8, 8, 3)) if folder == "img" else labels
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / folder / f"{index}.png")
    assert draft(tmp_path)[1].endswith("; the label maps in b pair as well: check that a is right")
    (tmp_path / "dataset.yaml").unlink()
    (tmp_path / "b").rename(tmp_path / "labels")
    assert "pair as well" not in draft(tmp_path)[1], "the name decides"
