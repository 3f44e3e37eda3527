"""Training from scribbles: which pixels have a say, what identifies the labels, and what is refused."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from conftest import CLASSES
from trainings import SIZE, blank_labels, request, task_of, trained, write_splits

from segablate.cli import run
from segablate.datasets import open_dataset, supervision
from segablate.datasets.dataset import Dataset
from segablate.datasets.scribbles import write_scribbles
from segablate.datasets.supervision import supervised
from segablate.errors import DatasetError, RecipeError, RunError
from segablate.labels import IGNORE
from segablate.training import session
from segablate.training.beginning import begin
from segablate.training.sweep import Sweep, SweepSetting, open_sweep

DFR = "ce + 0.3*dfr(radius=2) + feature_consistency"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "toy", train=4)


def train_split(data: Path) -> Dataset:
    return open_dataset(f"folder:{data}", "train")


def drawn_into(data: Path, folder: Path, seed: int = 0) -> Path:
    """Write the scribbles of the train split into a folder."""
    write_scribbles(train_split(data), folder, seed)
    return folder


def from_labels(data: Path, labels: str | Path, **changes: Any) -> dict[str, Any]:
    """Changes of a request that train from these labels."""
    dataset, source = supervised(train_split(data), str(labels))
    return {"dataset": dataset, "labels": source, **changes}


def labels_of(dataset: Dataset) -> list[np.ndarray]:
    return [dataset.read(index, image=False).labels for index in range(len(dataset))]


def edited(path: Path, change: Any) -> None:
    cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))


def test_only_strokes_have_a_say(data: Path, tmp_path: Path) -> None:
    folder = drawn_into(data, tmp_path / "strokes")
    before = Path(trained(data, tmp_path / "a", **from_labels(data, folder)).checkpoint).read_bytes()
    for name in train_split(data).names:
        strokes = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        edited(data / f"labels/train/{name}.png", lambda full, on=strokes: np.where(on == IGNORE, (full + 1) % 4, full))
    other = from_labels(data, folder)
    assert Path(trained(data, tmp_path / "b", **other).checkpoint).read_bytes() == before
    edited(folder / "train0.png", lambda strokes: np.where(strokes == IGNORE, IGNORE, (strokes + 1) % 4))
    changed = from_labels(data, folder)
    assert Path(trained(data, tmp_path / "c", **changed).checkpoint).read_bytes() != before


def test_simulated_scribbles_are_those_of_the_command(data: Path, tmp_path: Path) -> None:
    folder = drawn_into(data, tmp_path / "strokes")
    simulated, source = supervised(train_split(data), "scribble")
    written, other = supervised(train_split(data), str(folder))
    for mine, theirs, full in zip(labels_of(simulated), labels_of(written), labels_of(train_split(data)), strict=True):
        assert (mine == theirs).all()
        assert (mine[mine != IGNORE] == full[mine != IGNORE]).all()
        assert (mine != IGNORE).mean() < 0.5
    share = sum((each != IGNORE).sum() for each in labels_of(simulated))
    share /= sum((each != IGNORE).sum() for each in labels_of(train_split(data)))
    told = f"{share * 100:.1f} % of the labelled pixels are left"
    assert source.notes == (f"trained from simulated scribbles: {told}",)
    assert other.notes == (f"trained from {folder}: {told}",)


def test_they_are_drawn_once_and_anew_where_labels_change(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    scribble_of = supervision.scribble_of
    monkeypatch.setattr(supervision, "scribble_of", lambda name, *more: drawn.append(name) or scribble_of(name, *more))
    first, _ = supervised(train_split(data), "scribble")
    assert drawn == list(first.names)
    supervised(train_split(data), "scribble")
    assert len(drawn) == 4
    edited(data / "labels/train/train2.png", lambda labels: labels[::-1])
    again, _ = supervised(train_split(data), "scribble")
    assert drawn[4:] == ["train2"]
    assert (labels_of(again)[2] != labels_of(first)[2]).any()
    blank_labels(data, "train1")
    assert (labels_of(supervised(train_split(data), "scribble")[0])[1] == IGNORE).all()


def test_processes_draw_the_same(data: Path, processes_at_once: None, own_cache: Path) -> None:
    here = labels_of(supervised(train_split(data), "scribble")[0])
    for path in (own_cache / "scribbles").rglob("*.png"):
        path.unlink()
    there = labels_of(supervised(train_split(data), "scribble", workers=2)[0])
    assert all((first == second).all() for first, second in zip(here, there, strict=True))


def test_scribbles_that_a_dataset_has_as_a_split_are_taken(data: Path) -> None:
    drawn_into(data, data / "strokes", seed=7)
    described = yaml.safe_load((data / "dataset.yaml").read_text())
    described["splits"]["train-scribble"] = {"images": "images/train", "labels": "strokes"}
    (data / "dataset.yaml").write_text(yaml.safe_dump(described))
    given, source = supervised(train_split(data), "scribble")
    written, _ = supervised(train_split(data), str(data / "strokes"))
    assert all((a == b).all() for a, b in zip(labels_of(given), labels_of(written), strict=True))
    assert source.notes[0].startswith("trained from the scribbles of split 'train-scribble': ")
    (data / "strokes/train1.png").unlink()
    (data / "images/train").rename(data / "images/whole")
    (data / "images/train").mkdir()
    for path in (data / "images/whole").glob("*.png"):
        (data / "images/train" / path.name).write_bytes(path.read_bytes())
    (data / "images/less").mkdir()
    for index in (0, 2, 3):
        (data / f"images/less/train{index}.png").write_bytes((data / f"images/train/train{index}.png").read_bytes())
    described["splits"]["train-scribble"]["images"] = "images/less"
    (data / "dataset.yaml").write_text(yaml.safe_dump(described))
    with pytest.raises(DatasetError, match=r"has no scribbles for 1 image of split 'train' \(first: train1\)"):
        supervised(train_split(data), "scribble")


def test_labels_are_part_of_what_a_training_is(data: Path, tmp_path: Path) -> None:
    folder = drawn_into(data, tmp_path / "strokes")
    asked = [request(data, **from_labels(data, labels)) for labels in ("full", "scribble", folder)]
    assert len({begin(each, tmp_path).identity for each in asked}) == 3
    settings = (SweepSetting("baseline", "ce"),)
    sweeps = [Sweep(settings, (0,), each, open_dataset(f"folder:{data}", "val")) for each in asked]
    open_sweep(tmp_path / "s", sweeps[0])
    with pytest.raises(RunError, match="another plan: labels: full is now scribbles, simulated: format 1, seed 0, wid"):
        open_sweep(tmp_path / "s", sweeps[1])


def test_a_sweep_may_be_moved_and_its_labels_named_from_elsewhere(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = drawn_into(data, tmp_path / "strokes")

    def opened(labels: str, place: Path) -> None:
        asked = request(data, **from_labels(data, labels))
        sweep = Sweep((SweepSetting("baseline", "ce"),), (0,), asked, open_dataset(f"folder:{data}", "val"))
        open_sweep(place, sweep)

    opened(str(folder), tmp_path / "s")
    (tmp_path / "s").rename(tmp_path / "moved")
    monkeypatch.chdir(data)
    opened("../strokes", tmp_path / "moved")
    os.utime(folder / "train1.png", (0, 0))
    changed = "plan: files: an image or label map has another path, size or time, or weights or a package another cont"
    with pytest.raises(RunError, match=changed):
        opened(str(folder), tmp_path / "moved")
    folder.rename(tmp_path / "drawn")
    with pytest.raises(
        RunError, match=f"plan: labels: folder {folder} is now folder {tmp_path}/drawn; files: an image"
    ):
        opened(str(tmp_path / "drawn"), tmp_path / "moved")


def test_by_the_command_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation sees full labels; a training under other labels is not gone on with."""
    held: list[Dataset] = []
    validator = session.validator
    monkeypatch.setattr(session, "validator", lambda *given: held.append(given[1]) or validator(*given))
    command = ["train", "small(width=4)", f"folder:{data}", "--save", str(tmp_path / "t")]
    command += ["--batch", "2", "--crop", "16x16", "--steps", "2", "--holdout", "0.25"]
    command += ["--device", "cpu", "--workers", "0", "--format", "json"]
    assert run([*command, "--labels", "scribble"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert any("trained from simulated scribbles: " in note for note in printed["notes"])
    (validated,) = held
    assert (validated.read(0).labels == train_split(data).read(3).labels).all()
    assert json.loads((tmp_path / "t/training.json").read_text())["labels"].startswith("scribbles, simulated")
    assert run([*command, "--resume"]) == 1
    assert "holds another training" in " ".join(capsys.readouterr().err.split())


def test_a_sweep_from_scribbles(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ablate", "ce", "small(width=4)", f"folder:{data}", "--against", DFR, "--save", str(tmp_path / "s")]
    command += ["--train", "full", "--steps", "2", "--seeds", "2", "--set", "batch=2", "--set", "crop=16x16"]
    command += ["--processes", "1", "--device", "cpu", "--format", "json"]
    assert run([*command, "--labels", "scribble", "--ceiling"]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = next(rows for rows in printed["tables"].values() if "difference" in rows[1])
    assert [row["setting"] for row in rows] == ["baseline", DFR, "baseline, full labels"]
    cells = (tmp_path / "s/cells").iterdir()
    told = {cell.name: json.loads((cell / "training.json").read_text())["labels"] for cell in cells}
    assert {name: labels == "full" for name, labels in told.items()} == {name: "full_labels" in name for name in told}
    notes = printed["notes"]
    assert sum("trained from simulated scribbles" in note for note in notes) == 1
    assert sum("4 channels before 'classifier' projected to 16" in note for note in notes) == 1
    assert run(command) == 1
    assert "labels: scribbles, simulated" in " ".join(capsys.readouterr().err.split())
    assert run([*command, "--ceiling"]) == 2
    assert "--ceiling adds a row from full labels to one from others" in " ".join(capsys.readouterr().err.split())


def test_folders_that_do_not_fit(data: Path, tmp_path: Path) -> None:
    folder = drawn_into(data, tmp_path / "strokes")
    train = train_split(data)
    with pytest.raises(DatasetError, match=r"'scribbles', but must be full, scribble or a folder .*mean 'scribble'"):
        supervised(train, "scribbles")
    with pytest.raises(DatasetError, match=r"'nowhere/at/all', but must be full, scribble or a folder of label maps$"):
        supervised(train, "nowhere/at/all")
    kept = (folder / "train1.png").read_bytes()
    (folder / "train1.png").unlink()
    with pytest.raises(DatasetError, match=r"strokes: no label map for 1 of 4 images \(first: train1.png\); segablate"):
        supervised(train, str(folder))
    cv2.imwrite(str(folder / "train1.png"), np.zeros((SIZE[0], SIZE[1] + 1), np.uint8))
    with pytest.raises(DatasetError, match=r"train1\.png: is 24x33, but the full label map is 24x32; draw"):
        supervised(train, str(folder))
    cv2.imwrite(str(folder / "train1.png"), np.full(SIZE, 9, np.uint8))
    with pytest.raises(Exception, match=r"strokes/train1\.png: code 9 at 768 pixels is not in label set"):
        supervised(train, str(folder))
    (folder / "train1.png").write_bytes(kept[:-20])
    with pytest.raises(Exception, match=r"train1\.png: .*; replace it$"):  # no item can be skipped here
        supervised(train, str(folder))
    with pytest.raises(DatasetError, match="--labels is '', but must be full"):
        supervised(train, "")
    (folder / "train1.png").write_bytes(kept)
    supervised(train, str(folder))


def test_a_class_without_a_scribble(data: Path, tmp_path: Path) -> None:
    folder = drawn_into(data, tmp_path / "strokes")
    for path in folder.glob("*.png"):
        edited(path, lambda strokes: np.where(strokes == 1, IGNORE, strokes))
    with pytest.raises(DatasetError, match=f"no scribble of '{CLASSES[1]}', which split 'train' labels; draw at least"):
        supervised(train_split(data), str(folder))
    for path in (data / "labels/train").glob("*.png"):
        edited(path, lambda labels: np.where(labels == 1, IGNORE, labels))
    _, source = supervised(train_split(data), str(folder))
    assert source.notes[1:] == (f"classes without a labelled pixel in split 'train': {CLASSES[1]}",)


def test_label_sets_without_void(data: Path) -> None:
    train = train_split(data)
    with pytest.raises(DatasetError, match="has no code for void, which most pixels of a scribble have"):
        supervised(replace(train, labels=replace(train.labels, void=())), "scribble")


def test_an_edge_network_would_see_full_labels(data: Path) -> None:
    with pytest.raises(RecipeError, match="edge network, which is trained on full label maps; leave out semeda"):
        task_of(data, objective="ce + semeda", **from_labels(data, "scribble"))


def test_the_dense_crf_changes_what_is_learnt(data: Path, tmp_path: Path) -> None:
    weights = []
    for place, objective in enumerate(("ce", "ce + 1e-4*dense_crf")):
        found = trained(data, tmp_path / str(place), objective=objective, **from_labels(data, "scribble"))
        weights.append(Path(found.checkpoint).read_bytes())
    assert weights[0] != weights[1]
