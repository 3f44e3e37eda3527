"""Parquet files as downloaded from the Hugging Face hub are read as what was put into them."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_hf_datasets import encoded

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.hub_files import hub_splits
from segablate.datasets.parquet_rows import _group
from segablate.datasets.reading import Failure, ahead
from segablate.errors import SegablateError
from segablate.labels import IGNORE
from tests.conftest import CLASSES, optional, scene

datasets = optional("datasets")
pq = optional("pyarrow.parquet")

COUNT = 7


@pytest.fixture(autouse=True)
def _no_bars() -> None:
    datasets.disable_progress_bars()


def table(indices: range, maps: Any = None, feature: Any = None) -> Any:
    """Rows of scenes, as `datasets` holds them."""
    rows = {
        "image": [{"bytes": encoded(scene(index)[0]), "path": f"s{index}.png"} for index in indices],
        "label": maps or [{"bytes": encoded(scene(index)[1]), "path": None} for index in indices],
        "caption": ["a scene"] * len(indices),
    }
    features = {"image": datasets.Image(), "label": feature or datasets.Image(), "caption": datasets.Value("string")}
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def write(path: Path, indices: range, *, rows_in_group: int = 3, bare: bool = False, **more: Any) -> None:
    """Write scenes to a file; `bare`: without what `datasets` adds about features."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table(indices, **more).to_parquet(path, batch_size=rows_in_group)
    if bare:
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path, row_group_size=rows_in_group)


def named(root: Path) -> None:
    (root / "id2label.json").write_text(json.dumps(dict(enumerate(CLASSES))))


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A split of two files and one of one, with class names beside them."""
    root = tmp_path / "scenes"
    write(root / "data/train-00000-of-00001.parquet", range(2))
    write(root / "data/validation-00000-of-00002.parquet", range(4))
    write(root / "data/validation-00001-of-00002-0123456789abcdef.parquet", range(4, COUNT))
    named(root)
    return root


def check_content(root: Path, split: str | None = None, count: int = COUNT) -> None:
    data = open_dataset(f"hf:{root}", split)
    assert data.names == tuple(f"s{index}" for index in range(count))
    assert data.labels.names == CLASSES
    for index in (*range(count), 0, count - 1):
        image, labels = scene(index)
        sample = data.read(index)
        assert sample.image is not None
        assert np.array_equal(sample.image, image)
        assert np.array_equal(sample.labels, labels)


def test_rows_are_read_as_they_lie(snapshot: Path) -> None:
    check_content(snapshot)
    data = open_dataset(f"hf:{snapshot}")
    assert (data.split, data.labels.void) == ("validation", (IGNORE,))
    assert len({item.image for item in data.items}) == 2
    assert open_dataset(f"hf:{snapshot}", "val").split == "validation"
    assert len(open_dataset(f"hf:{snapshot}", "train")) == 2
    with pytest.raises(SegablateError, match="no split 'test'; available: train, validation"):
        open_dataset(f"hf:{snapshot}", "test")


def test_groups_of_rows_are_not_read_again(snapshot: Path) -> None:
    data = open_dataset(f"hf:{snapshot}")
    _group.cache_clear()
    for index in range(COUNT):
        data.read(index)
    assert _group.cache_info().misses == 3  # rows 0 to 2, 3, and 4 to 6


@pytest.mark.usefixtures("processes_at_once")
def test_worker_processes(snapshot: Path) -> None:
    data = open_dataset(f"hf:{snapshot}")
    with ahead(data.read, range(COUNT), 1) as samples:
        found = [sample for sample in samples if not isinstance(sample, Failure)]
    assert [sample.label_hash for sample in found] == [data.read(index).label_hash for index in range(COUNT)]
    assert len(pickle.dumps(data)) < 20_000


def card(text: str) -> str:
    return f"---\nlicense: mit\n{text}\n---\n# Scenes\n\n--- not this\n"


CONFIGS = """configs:
- config_name: small
  data_files: [{split: train, path: few/a*}, {split: validation, path: [few/b.parquet]}]
- config_name: large
  default: true
  data_files: [{split: validation, path: many/*}]"""


def test_splits_are_those_of_the_card(tmp_path: Path) -> None:
    write(tmp_path / "few/a1.parquet", range(1))
    write(tmp_path / "few/b.parquet", range(2))
    write(tmp_path / "many/x.parquet", range(COUNT))
    write(tmp_path / "unused.parquet", range(1))
    named(tmp_path)
    (tmp_path / "README.md").write_text(card(CONFIGS))
    assert list(hub_splits(tmp_path)) == ["small/train", "small/validation", "validation"]
    check_content(tmp_path)
    check_content(tmp_path, "small/validation", 2)
    (tmp_path / "README.md").write_text(card("configs:\n- config_name: default\n  data_files: few/*.parquet"))
    assert {split: len(files) for split, files in hub_splits(tmp_path).items()} == {"train": 2}
    (tmp_path / "README.md").write_text("---\nno: [\n---\n")
    assert list(hub_splits(tmp_path)) == ["few/a1", "few/b", "many/x", "unused"]


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (["data/train-00000-of-00001.parquet"], ["train"]),
        (["train-00000-of-00001-aa11.parquet", "test-00000-of-00001.parquet"], ["test", "train"]),
        (["default/train/0000.parquet", "default/test/0000.parquet"], ["test", "train"]),
        (["a/train/0000.parquet", "default/partial-train/0000.parquet"], ["a/train", "train"]),
        (["validation.parquet", "train.parquet"], ["train", "validation"]),
        (["0000.parquet"], ["train"]),
        (["data/my-split-00000-of-00001.parquet"], ["my-split"]),
    ],
)
def test_splits_are_read_off_names(tmp_path: Path, files: list[str], splits: list[str]) -> None:
    for name in files:
        write(tmp_path / name, range(1))
    assert sorted(hub_splits(tmp_path)) == splits


FEATURES = """dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype: image
  - name: caption
    dtype: string"""

NAMES = """dataset_info:
- config_name: default
  features:
  - {name: image, dtype: image}
  - name: label
    list: {list: {class_label: {names: {'0': road, '1': car, '2': tree, '3': sky}}}}"""


@pytest.mark.parametrize("text", [FEATURES, "license: mit", None])
def test_files_that_state_no_features(tmp_path: Path, text: str | None) -> None:
    write(tmp_path / "data/validation-00000-of-00001.parquet", range(COUNT), bare=True)
    named(tmp_path)
    if text:
        (tmp_path / "README.md").write_text(card(text.removeprefix("license: mit")))
    check_content(tmp_path)


def test_class_names_are_those_of_the_card(tmp_path: Path) -> None:
    maps = [np.where(scene(index)[1] == IGNORE, 0, scene(index)[1]).tolist() for index in range(COUNT)]
    feature = datasets.Sequence(datasets.Sequence(datasets.Value("uint8")))
    write(tmp_path / "data/test-00000-of-00001.parquet", range(COUNT), maps=maps, feature=feature, bare=True)
    with pytest.raises(SegablateError, match="has no class names"):
        open_dataset(f"hf:{tmp_path}")
    (tmp_path / "README.md").write_text(card(NAMES))
    data = open_dataset(f"hf:{tmp_path}")
    assert (data.split, data.labels.names) == ("test", CLASSES)
    assert np.array_equal(data.read(4).labels, maps[4])


def test_class_labels_in_the_file(tmp_path: Path) -> None:
    maps = [np.where(scene(index)[1] == IGNORE, 0, scene(index)[1]).tolist() for index in range(2)]
    feature = datasets.Sequence(datasets.Sequence(datasets.ClassLabel(names=list(CLASSES))))
    write(tmp_path / "train-00000-of-00001.parquet", range(2), maps=maps, feature=feature)
    data = open_dataset(f"hf:{tmp_path}")
    assert data.labels.names == CLASSES
    assert np.array_equal(data.read(1).labels, maps[1])


def test_a_repository_in_the_cache_of_the_hub(tmp_path: Path, snapshot: Path) -> None:
    """Its snapshots are links into a folder of blobs; refs/main names the current one."""
    root = tmp_path / "datasets--someone--scenes"
    (root / "blobs").mkdir(parents=True)
    for place, path in enumerate(sorted(snapshot.rglob("*.*"))):
        blob = root / "blobs" / f"{place}"
        path.rename(blob)
        link = root / "snapshots/abc" / path.relative_to(snapshot)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    write(root / "snapshots/zzz/data/train-00000-of-00001.parquet", range(1))
    named(root / "snapshots/zzz")
    (root / "refs").mkdir()
    (root / "refs/main").write_text("abc")
    check_content(root)
    (root / "refs/main").write_text("zzz\n")
    assert open_dataset(f"hf:{root}").split == "train"
    (root / "refs/main").unlink()
    os.utime(root / "snapshots/abc", (2e9, 2e9))
    check_content(root)
    os.utime(root / "snapshots/zzz", (3e9, 3e9))
    assert open_dataset(f"hf:{root}").split == "train"
    assert open_dataset(f"hf:{root / 'snapshots/abc'}").split == "validation"


def test_parts_that_are_missing_are_said(snapshot: Path) -> None:
    (snapshot / "data/validation-00000-of-00002.parquet").unlink()
    with pytest.raises(
        SegablateError, match=r"split 'validation' has 1 of 2 files \(validation-00001.*download the oth"
    ):
        open_dataset(f"hf:{snapshot}")


def test_damage_is_one_line(snapshot: Path) -> None:
    file = snapshot / "data/train-00000-of-00001.parquet"
    whole = file.read_bytes()
    refused = 0
    for data in (
        whole[:100],
        whole[:-9],
        b"",
        *(whole[:at] + b"\xff\xff" + whole[at + 2 :] for at in range(0, 4000, 91)),
    ):
        file.write_bytes(data)
        for cached in ("_starts", "_group"):
            getattr(__import__("segablate.datasets.parquet_rows", fromlist=[cached]), cached).cache_clear()
        try:
            opened = open_dataset(f"hf:{snapshot}", "train")
            for index in range(len(opened)):
                opened.read(index)
        except SegablateError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
    assert refused > 3


def test_commands(snapshot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SegablateError, match=f"{snapshot} holds Parquet files.*open it as hf:{snapshot}"):
        open_dataset(str(snapshot))
    assert run(["datasets", "check", f"hf:{snapshot}", "--workers", "0"]) == 0
    printed = capsys.readouterr().out
    assert "road" in printed
    (snapshot / "dataset.yaml").write_text("label_column: image\n")
    assert run(["datasets", "check", f"hf:{snapshot}", "--workers", "0"]) == 1
