"""Datasets saved by the library `datasets` are read as what was put into them."""

import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.arrow_columns import find_columns
from segablate.datasets.arrow_rows import open_rows
from segablate.datasets.reading import Failure, ahead
from segablate.errors import SegablateError
from segablate.labels import IGNORE
from tests.conftest import CLASSES, optional, scene

datasets = optional("datasets")

COUNT = 5


@pytest.fixture(autouse=True)
def _no_bars() -> None:
    datasets.disable_progress_bars()


def encoded(array: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, array[..., ::-1] if array.ndim == 3 else array)[1].tobytes()


def palette(labels: np.ndarray, path: Path) -> bytes:
    """A palette PNG whose colours are not its indices."""
    image = Image.frombytes("P", labels.shape[::-1], labels.tobytes())
    image.putpalette([index * 37 % 256 for index in range(768)])
    image.save(path)
    return path.read_bytes()


def write(
    root: Path, maps: list[Any], feature: Any = None, *, images: str = "image", labels: str = "label", **saving: Any
) -> Path:
    """Save images of scenes 0, 1, ... with these label maps, in the splits "train" and "validation"."""
    rows = {
        images: [{"bytes": encoded(scene(index)[0]), "path": f"/somewhere/s{index}.png"} for index in range(len(maps))],
        labels: maps,
        "caption": ["a scene"] * len(maps),
    }
    features = {images: datasets.Image(), labels: feature or datasets.Image(), "caption": datasets.Value("string")}
    rows = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    splits = {"train": rows.select(range(2)), "validation": rows}
    datasets.DatasetDict(splits).save_to_disk(root, **saving)
    return root


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Palette masks, with names of classes beside them."""
    maps = [{"bytes": palette(scene(index)[1], tmp_path / "m.png"), "path": None} for index in range(COUNT)]
    root = write(tmp_path / "scenes", maps)
    (root / "id2label.json").write_text(json.dumps(dict(enumerate(CLASSES))))
    return root


def check_content(root: Path, split: str | None = None) -> None:
    data = open_dataset(f"hf:{root}", split)
    assert data.names == tuple(f"s{index}" for index in range(COUNT))
    for index in range(COUNT):
        image, labels = scene(index)
        sample = data.read(index)
        assert sample.image is not None
        assert np.array_equal(sample.image, image)
        assert np.array_equal(sample.labels, labels)
        assert len(sample.label_hash) == 16


def test_palette_masks_keep_their_indices(saved: Path) -> None:
    check_content(saved)
    data = open_dataset(f"hf:{saved}")
    assert (data.split, data.labels.names, data.labels.void) == ("validation", CLASSES, (IGNORE,))
    assert data.notes == ("images are in column 'image', label maps in 'label'",)
    hashes = {data.read(index).label_hash for index in range(COUNT)}
    assert len(hashes) == COUNT


def test_label_maps_that_were_compressed_with_loss_are_refused(saved: Path) -> None:
    maps = [{"bytes": encoded(scene(index)[1], ".jpg"), "path": None} for index in range(COUNT)]
    root = write(saved.parent / "photographs", maps)
    shutil.copy(saved / "id2label.json", root)
    with pytest.raises(SegablateError, match=r"arrow, s0: holds JPEG, which changes values .* save the label map"):
        open_dataset(f"hf:{root}").read(0)


def test_splits_by_name(saved: Path) -> None:
    assert open_dataset(f"hf:{saved}", "val").split == "validation"
    assert len(open_dataset(f"hf:{saved}", "train")) == 2
    with pytest.raises(SegablateError, match=r"no split 'test'; available: train, validation"):
        open_dataset(f"hf:{saved}", "test")


@pytest.mark.usefixtures("processes_at_once")
def test_several_files_and_worker_processes(tmp_path: Path, saved: Path) -> None:
    maps = [{"bytes": encoded(scene(index)[1]), "path": None} for index in range(COUNT)]
    root = write(tmp_path / "parts", maps, num_shards={"train": 1, "validation": 3})
    shutil.copy(saved / "id2label.json", root)
    check_content(root)
    data = open_dataset(f"hf:{root}")
    assert len({item.image for item in data.items}) == 3
    with ahead(data.read, range(COUNT), 1) as samples:
        found = [sample for sample in samples if not isinstance(sample, Failure)]
    assert [sample.label_hash for sample in found] == [data.read(index).label_hash for index in range(COUNT)]
    assert len(pickle.dumps(data)) < 20_000


def test_a_dataset_without_splits(tmp_path: Path) -> None:
    maps = [{"bytes": encoded(scene(index)[1]), "path": None} for index in range(COUNT)]
    root = write(tmp_path / "dict", maps) / "validation"
    (root / "id2label.json").write_text(json.dumps(dict(enumerate(CLASSES))))
    check_content(root)
    assert open_dataset(f"hf:{root}").split == "all"


def test_sixteen_bit_masks(tmp_path: Path) -> None:
    wide = [{"bytes": encoded(scene(index)[1].astype(np.uint16) + 1000), "path": None} for index in range(COUNT)]
    root = write(tmp_path / "wide", wide)
    (root / "id2label.json").write_text(json.dumps({code + 1000: name for code, name in enumerate(CLASSES)}))
    (root / "dataset.yaml").write_text("void: [255]")
    with pytest.raises(SegablateError, match=r"arrow, s0: code 1255 at \d+ pixels is not in label set 'wide'"):
        open_dataset(f"hf:{root}").read(0)
    classes = [{"name": name, "code": code + 1000} for code, name in enumerate(CLASSES)]
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes, "void": [1255]}))
    check_content(root)


@pytest.mark.parametrize("form", ["Array2D", "ClassLabel", "numbers"])
def test_label_maps_as_numbers(tmp_path: Path, form: str) -> None:
    names = [*CLASSES, *(f"unused {index}" for index in range(4, 255)), "unlabelled"]
    values = {"ClassLabel": datasets.ClassLabel(names=names[:255]), "numbers": datasets.Value("uint8")}
    feature = datasets.Array2D((24, 32), "uint8") if form == "Array2D" else datasets.Sequence(
        datasets.Sequence(values[form])
    )  # fmt: skip
    maps = [scene(index)[1] for index in range(COUNT)]
    if form == "ClassLabel":
        maps = [np.where(labels == IGNORE, 0, labels) for labels in maps]
    root = write(tmp_path / form, [labels.tolist() for labels in maps], feature)
    if form != "ClassLabel":
        with pytest.raises(SegablateError, match=r"has no class names \(codes in the first label map: 0, 1, 2"):
            open_dataset(f"hf:{root}")
        (root / "id2label.json").write_text(json.dumps(dict(enumerate(CLASSES))))
    data = open_dataset(f"hf:{root}")
    assert data.labels.names[:4] == CLASSES
    for index, labels in enumerate(maps):
        assert np.array_equal(data.read(index).labels, labels)


def test_images_may_lie_beside(tmp_path: Path) -> None:
    """The rows hold paths alone, as when an older version of the library saved them."""
    rows: dict[str, list[Any]] = {"image": [], "label": []}
    for index in range(2):
        for column, pixels in zip(rows, scene(index), strict=True):
            (tmp_path / f"{column}{index}.png").write_bytes(encoded(pixels))
            rows[column].append({"bytes": None, "path": str(tmp_path / f"{column}{index}.png")})
    kind = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    root = tmp_path / "linked"
    datasets.Dataset.from_dict(rows, features=datasets.Features(dict.fromkeys(rows, kind))).save_to_disk(root)
    described = json.loads((root / "dataset_info.json").read_text())
    (root / "dataset_info.json").write_text(
        json.dumps({**described, "features": features(image="Image", label="Image")})
    )
    (root / "id2label.json").write_text(json.dumps(dict(enumerate(CLASSES))))
    data = open_dataset(f"hf:{root}")
    assert data.names == ("image0", "image1")
    assert np.array_equal(data.read(1).labels, scene(1)[1])
    (tmp_path / "image1.png").unlink()
    with pytest.raises(SegablateError, match=r"image1\.png: no such file"):
        data.read(1)


def features(**kinds: str) -> dict[str, Any]:
    return {name: {"_type": kind} for name, kind in kinds.items()}


@pytest.mark.parametrize(
    ("found", "columns"),
    [
        (features(image="Image", label="Image"), ("image", "label")),
        (features(pixel_values="Image", annotation="Image", category="ClassLabel"), ("pixel_values", "annotation")),
        (features(photo="Image", mask="Image"), ("photo", "mask")),
        (features(image="Image", trimap="Image"), ("image", "trimap")),
        (features(image="Image", label="ClassLabel", segmentation="Image"), ("image", "segmentation")),
        ({"img": {"_type": "Image"}, "map": [[{"_type": "Value", "dtype": "int64"}]]}, ("img", "map")),
    ],
)  # fmt: skip
def test_columns_are_found(found: dict[str, Any], columns: tuple[str, str]) -> None:
    assert find_columns(found, None, None) == columns


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            features(image="Image", depth="Image", seg="Image"),
            "the label maps could be in depth, seg; state label_column",
        ),
        (
            features(image="Image", label="ClassLabel"),
            r"the label maps are in none of its columns \(image, label\); state",
        ),
        (
            features(left="Image", right="Image", label="Image"),
            "the images could be in left, right; state image_column",
        ),
        (features(image="Image", mask="Image", labels="Image"), "the label maps could be in mask, labels; state label"),
    ],
)
def test_unclear_columns_are_named(found: dict[str, Any], message: str) -> None:
    with pytest.raises(SegablateError, match=message):
        find_columns(found, None, None)


def test_columns_may_be_stated(tmp_path: Path) -> None:
    maps = [{"bytes": encoded(scene(index)[1]), "path": None} for index in range(COUNT)]
    root = write(tmp_path / "odd", maps, images="one", labels="two")
    with pytest.raises(
        SegablateError, match=r"odd/validation: the label maps could be in one, two; state label_column"
    ):
        open_dataset(f"hf:{root}")
    said = {"classes": list(CLASSES), "image_column": "one", "label_column": "two", "name": "scenes"}
    (root / "dataset.yaml").write_text(yaml.safe_dump(said))
    check_content(root)
    assert open_dataset(f"hf:{root}").labels.name == "scenes"
    (root / "dataset.yaml").write_text(yaml.safe_dump({**said, "label_column": "tow"}))
    with pytest.raises(SegablateError, match="has no column 'tow' of label maps; did you mean 'two'"):
        open_dataset(f"hf:{root}")
    (root / "dataset.yaml").write_text(yaml.safe_dump({**said, "splits": {}}))
    with pytest.raises(SegablateError, match=r"dataset\.yaml: has an unknown key, 'splits'"):
        open_dataset(f"hf:{root}")


def test_names_are_numbers_where_files_have_none(tmp_path: Path, saved: Path) -> None:
    rows = datasets.load_from_disk(str(saved))["validation"]
    same = rows.cast_column("image", datasets.Image(decode=False)).map(
        lambda row: {"image": {**row["image"], "path": "image.png"}}
    )
    same.cast_column("image", datasets.Image()).save_to_disk(tmp_path / "same")
    shutil.copy(saved / "id2label.json", tmp_path / "same")
    assert open_dataset(f"hf:{tmp_path / 'same'}").names[:2] == ("000000", "000001")


def test_damage_is_named(tmp_path: Path, saved: Path) -> None:
    maps = [{"bytes": encoded(scene(0)[1])[:-20], "path": None}, None]
    root = write(tmp_path / "broken", [*maps, {"bytes": b"GIF8", "path": None}])
    shutil.copy(saved / "id2label.json", root)
    data = open_dataset(f"hf:{root}")
    for index, message in enumerate(
        (r"arrow, s0: the PNG is cut off", r"arrow, s1: the row is empty", "arrow, s2: not")
    ):
        with pytest.raises(SegablateError, match=message):
            data.read(index)
    (file,) = (saved / "train").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(SegablateError, match=r"data-00000-of-00001\.arrow: not an Arrow file that can be read"):
        open_dataset(f"hf:{saved}", "train")


def test_a_flipped_byte_is_read_or_refused_in_one_line(saved: Path) -> None:
    (file,) = (saved / "train").glob("*.arrow")
    whole = file.read_bytes()
    refused = 0
    for place in range(0, len(whole), 24):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        open_rows.cache_clear()
        try:
            opened = open_dataset(f"hf:{saved}", "train")
            for index in range(len(opened)):
                opened.read(index)
        except SegablateError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
    assert refused > 20


def test_a_folder_whose_name_is_not_utf8(tmp_path: Path, saved: Path) -> None:
    check_content(saved.rename(tmp_path / os.fsdecode(b"m\xfcnchen")))


def test_other_folders_are_refused(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(SegablateError, match=r"no split 'validation'; expected dataset_dict\.json or state\.json"):
        open_dataset(f"hf:{tmp_path}")
    (saved / "id2label.json").write_text('["road"]')
    with pytest.raises(SegablateError, match=r"id2label\.json: expected names by code"):
        open_dataset(f"hf:{saved}")
    (saved / "validation" / "state.json").unlink()
    with pytest.raises(SegablateError, match=r"state\.json: no such file; save the dataset again"):
        open_dataset(f"hf:{saved}")


def test_a_bare_folder_is_recognised(saved: Path) -> None:
    with pytest.raises(
        SegablateError, match=rf"was written by save_to_disk of the library datasets; open it as hf:{saved}"
    ):
        open_dataset(str(saved))


def test_without_pyarrow(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SegablateError, match=r"needs pyarrow, which is not installed; pip install 'segablate\[hf\]'"):
        open_dataset(f"hf:{saved}")


def test_commands(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["datasets", "show", "hf"]) == 0
    assert "dataset_dict.json" in capsys.readouterr().out
    assert run(["datasets", "check", f"hf:{saved}", "--workers", "0"]) == 0
    printed = capsys.readouterr().out
    assert "stray" not in printed
    assert "road" in printed
    assert run(["datasets", "check", f"hf:{saved}", "--split", "nowhere"]) == 1


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("dataset_dict.json", '{"splits": 3}', "has no 'splits'; save the dataset again"),
        ("dataset_dict.json", '{"splits": ["val"], "splits": ["test"]}', "has the key 'splits' twice"),
        ("dataset_dict.json", "[" * 100_000, "nests too many levels deep|is not valid JSON"),
        ("validation/state.json", '{"_data_files": [{"filename": 3}]}', "names no files; save the dataset again"),
        ("validation/state.json", '{"_data_files": {"a": 1}}', "has no '_data_files'"),
        ("validation/dataset_info.json", '{"features": ["image"]}', "has no 'features'"),
        ("validation/dataset_info.json", '{"features": {"image": 3, "label": [[[]]]}}', "the label maps are in none"),
        ("id2label.json", '{"road": [1]}', "expected names by code"),
        ("dataset.yaml", "image_column: [a]", r"image_column is \['a'\], but must be text"),
    ],
)
def test_odd_json_is_refused(saved: Path, file: str, content: str, message: str) -> None:
    root = saved
    (root / file).write_text(content)
    with pytest.raises(SegablateError, match=message):
        open_dataset(f"hf:{root}")


def test_rows_of_another_type_than_described(saved: Path) -> None:
    root = saved
    path = root / "validation/dataset_info.json"
    described = json.loads(path.read_text())
    described["features"]["other"] = described["features"]["image"]
    path.write_text(json.dumps(described))
    (root / "dataset.yaml").write_text("image_column: other\n")
    with pytest.raises(SegablateError, match="other"):
        open_dataset(f"hf:{root}").read(0)
