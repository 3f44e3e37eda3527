"""`segablate train`: what it does with a folder that holds a training already."""

import json
from pathlib import Path

import pytest

from segablate.cli import run

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
    assert "t holds another training; choose another --save" in " ".join(capsys.readouterr().err.split())


def test_a_folder_of_something_else_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/notes.txt").write_text("mine")
    assert run(command) == 2
    assert "holds something else; choose another --save" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.glob("t/*")] == ["notes.txt"]
