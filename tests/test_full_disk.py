"""A full disk: every command that writes says so in one line, and leaves nothing half-written behind."""

import errno
import os
from pathlib import Path

import pytest

from segablate.cli import run

NET = "python:{toy}/net.py:small(4)@{toy}/net.pth"
SMALL = ["--batch", "2", "--crop", "16x16", "--steps", "2", "--train-split", "val", "--holdout", "0", "--device", "cpu"]
QUIET = ["--workers", "0", "--no-cache"]
COMMANDS = {
    "evaluate": ["evaluate", NET, "folder:{toy}", *QUIET, "--save", "{out}/run"],
    "predictions": ["evaluate", NET, "folder:{toy}", *QUIET, "--write-predictions", "{out}/written"],
    "plot": ["evaluate", NET, "folder:{toy}", *QUIET, "--plot", "{out}/plot.svg"],
    "compare": [
        *("compare", NET, "predictions:{toy}/labels/val", "--on", "folder:{toy}", *QUIET, "--replicates", "100"),
        *("--save", "{out}/run"),
    ],
    "ablate": ["ablate", "ce", NET, "folder:{toy}", "--workers", "0", "--no-cost", "--save", "{out}/run"],
    "train": ["train", "small", "folder:{toy}", *SMALL, "--workers", "0", "--save", "{out}/run"],
    "train-edges": [
        *("train-edges", "folder:{toy}", "--split", "val", "--steps", "2", "--masks", "2"),
        *("--out", "{out}/edges.safetensors"),
    ],
    "checkpoints init": ["checkpoints", "init", NET, "--out", "{out}/card.yaml"],
    "scribbles": ["datasets", "scribble", "folder:{toy}", "--out", "{out}/scribbled"],
}


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can be written to the end."""

    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_line(
    command: str, toy: Path, network_spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (out := tmp_path / "out").mkdir()
    words = [network_spec if word == NET else word.format(toy=toy, out=out) for word in COMMANDS[command]]
    assert run(words) in (1, 2)
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "no space left on device" in error.lower()
    left = [path for path in out.rglob("*") if path.is_file() and path.name != "progress.jsonl"]
    assert not left
