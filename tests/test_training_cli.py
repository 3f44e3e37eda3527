"""`segablate train`: what it does with a folder that holds a training already."""

import json
from pathlib import Path

import pytest

import segablate
from segablate.cli import run
from segablate.errors import UnknownSplit

SMALL = ["--batch", "2", "--crop", "16x16", "--steps", "2", "--train-split", "val", "--holdout", "0", "--device", "cpu"]


@pytest.fixture
def command(toy: Path, tmp_path: Path) -> list[str]:
    return ["train", "small", f"folder:{toy}", *SMALL, "--workers", "0", "--save", str(tmp_path / "t")]


def test_a_finished_training_is_refused_and_with_resume_printed_again(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command) == 0
    weights = (tmp_path / "t/checkpoint.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    assert run(command) == 2
    assert "t holds a finished training; choose another --save, remove it, or print it again with --resume" in (
        " ".join(capsys.readouterr().err.split())
    )
    assert run([*command, "--resume", "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert "this training was finished before; nothing was trained now" in printed["notes"]
    assert (tmp_path / "t/checkpoint.safetensors").stat().st_mtime_ns == weights
    assert run([*command, "--resume", "--steps", "3"]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "t holds another training (recipe steps: 2 is now 3); choose another --save" in error


def test_a_folder_of_something_else_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/notes.txt").write_text("mine")
    assert run(command) == 2
    assert "holds something else; choose another --save" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.glob("t/*")] == ["notes.txt"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--objective", "asl(theta=nowhere.json)"], "nowhere.json"),
        (["--labels", ""], "--labels is '', but must be full, scribble or a folder of label maps"),
        (["--holdout", ""], "--holdout is '', but must be a share of at most 0.5, or the name of a split"),
        (["--train-split", "trian"], "no split 'trian'; available: val; name the split to train on with --train-split"),
    ],
)
def test_what_cannot_begin_leaves_no_folder(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert run([*command, *more]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("train small sample --steps 1 --train-split", "--train-split"),
        ("ablate ce --train head --steps 1 --train-split", "--train-split"),
        ("search miou --steps 1 --train-split", "--train-split"),
        ("evaluate --limit 1 --split", "--split"),
    ],
)
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_split_is_not_the_default_one(
    words: str, option: str, empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*words.split(), empty]) == 2
    assert capsys.readouterr().err == f"error: {option} is {empty!r}, but must be the name of a split\n"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnknownSplit, match=r"sample: split is '.*', but must be the name of a split, or None"):
        segablate.open_dataset("sample", empty)


def test_a_folder_that_was_there_stays(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    assert run([*command, "--objective", "asl(theta=nowhere.json)"]) == 1
    assert (tmp_path / "t").is_dir()


def test_an_unknown_layout_is_not_a_missing_split(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "small", "drive:/x"]) == 1
    error = capsys.readouterr().err
    assert "no dataset layout is called 'drive'" in error
    assert "--train-split" not in error


def test_no_labels_are_full_labels(toy: Path, tmp_path: Path) -> None:
    small = {"batch": 2, "crop": "16x16", "steps": 1, "train_split": "val", "holdout": 0, "device": "cpu"}
    training = segablate.train("small", f"folder:{toy}", save=tmp_path / "t", labels=None, **small)
    assert training.facts["labels"] == "full"
