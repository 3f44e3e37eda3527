"""The command goes on with a run that was interrupted, failed or was killed, and refuses to mix two."""

import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import write_dataset, write_predictions

from segablate.cli import run
from segablate.evaluation import session
from segablate.evaluation.pieces import Pieces, partial_folder
from segablate.evaluation.results import Evaluation
from segablate.files import write_atomically

ROOT = Path(__file__).parents[1]


def options(toy: Path, tmp_path: Path, network_spec: str) -> list[str]:
    return [
        "evaluate", network_spec, f"folder:{toy}", "--device", "cpu", "--workers", "0", "--no-cache",
        "--save", str(tmp_path / "run"),
    ]  # fmt: skip


def broken_by_command(command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says when it is interrupted after its third piece."""
    write = Pieces.write

    def interrupted(pieces: Pieces, part: Evaluation, stamps: Any, number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt
        write(pieces, part, stamps, number)

    with monkeypatch.context() as patch:
        patch.setattr(Pieces, "write", interrupted)
        assert run(command) == 130
    return " ".join(capsys.readouterr().err.split())


CHANGES = {
    "checkpoint preprocessing": ["--scale", "1/128"],
    "checkpoint inference": ["--flip"],
    "measures tolerances": ["--tolerance", "5"],
    "measures losses": ["--losses", "ce,dice"],
    "dataset images": ["--limit", "5"],
}


@pytest.mark.usefixtures("every_image")
def test_what_differs_is_said(
    toy: Path, tmp_path: Path, network_spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = options(toy, tmp_path, network_spec)
    said = broken_by_command(command, monkeypatch, capsys)
    assert said.endswith("run.partial holds what was measured; continue with --resume")
    assert run(command) == 1
    assert "run.partial holds an interrupted run; continue it with --resume, or remove the folder" in one_line(capsys)
    for what, changed in CHANGES.items():
        assert run([*command, "--resume", *changed]) == 1
        assert re.search(
            rf"was started with another {what}.* \(.+, now .+\); resume with the former", one_line(capsys)
        ), what
    assert run([*command, "--resume", "--tolerance", "5,0.01d"]) == 1
    assert "another measures tolerances (['3'], now ['5', '0.01d']); resume with" in one_line(capsys)
    weights = Path(network_spec.partition("@")[2])
    before = weights.read_bytes()
    weights.write_bytes(before + b"\0")
    assert run([*command, "--resume"]) == 1
    assert re.search(r"another checkpoint files net\.pth \(\w{57}\.\.\., now \w{57}\.\.\.\)", one_line(capsys))
    weights.write_bytes(before)
    assert run([*command, "--resume", "--batch-size", "1", "--workers", "1"]) == 0
    assert not partial_folder(tmp_path / "run").exists()
    assert run([*command[:-1], str(tmp_path / "unbroken")]) == 0
    a, b = (tmp_path / name / "counts.npz" for name in ("run", "unbroken"))
    assert a.read_bytes() == b.read_bytes()


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_resume_needs_a_run_and_every_prediction(
    toy: Path, tmp_path: Path, network_spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = options(toy, tmp_path, network_spec)
    assert run([*command[:-2], "--resume"]) == 2
    assert "name the run, as in: --save RUN --resume" in one_line(capsys)
    assert run([*command, "--resume", "--write-predictions", str(tmp_path / "maps")]) == 2
    assert "--write-predictions needs every image again" in one_line(capsys)


@pytest.mark.usefixtures("every_image")
def test_a_full_disk_leaves_what_there_was(
    toy: Path, tmp_path: Path, network_spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full_disk(path: Path, data: bytes) -> None:
        if "-000003-" in path.name:
            raise OSError(28, "No space left on device")
        write_atomically(path, data)

    command = options(toy, tmp_path, network_spec)
    with monkeypatch.context() as patch:
        patch.setattr("segablate.evaluation.pieces.write_atomically", full_disk)
        assert run(command) == 1
    assert "No space left on device; free some space; then continue with --resume" in one_line(capsys)
    assert len(list((tmp_path / "run.partial").glob("piece-*"))) == 3
    assert run([*command, "--resume"]) == 0


def test_a_run_that_ends_at_once_leaves_nothing(
    toy: Path, tmp_path: Path, network_spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Evaluation:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "run", interrupted)
    assert run(options(toy, tmp_path, network_spec)) == 130
    assert not partial_folder(tmp_path / "run").exists()


READERS = """
import multiprocessing, time
from segablate.datasets import reading
from segablate.datasets.reading import ahead
if __name__ == "__main__":
    reading.WORTHWHILE = 0
    with ahead(time.sleep, [0] * 4 + [60] * 4, 2) as results:
        next(results)
        print(*(process.pid for process in multiprocessing.active_children()), flush=True)
        time.sleep(60)
"""


def alive(pid: str) -> bool:
    """Whether there is such a process that has not ended; one that waits to be buried has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_processes_that_read_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "readers.py").write_text(READERS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "readers.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        readers = process.stdout.readline().decode().split()
        assert len(readers) == 2
        assert all(map(alive, readers))
        process.kill()
    end = time.monotonic() + 20
    while any(map(alive, readers)):
        assert time.monotonic() < end
        time.sleep(0.05)


PIECE_BY_PIECE = """
import sys
from segablate import cli
from segablate.evaluation import loop as evaluation
evaluation._pace = lambda: lambda: True
sys.exit(cli.run(sys.argv[1:]))
"""


def kill(process: subprocess.Popen, partial: Path, moments: random.Random) -> bool:
    """Kill at a random moment, mostly after there is a new piece; False for a process that ended before."""
    before = set(partial.glob("piece-*"))
    if moments.random() < 0.8:
        while process.poll() is None and set(partial.glob("piece-*")) <= before:
            time.sleep(0.002)
    time.sleep(moments.uniform(0, 0.15))
    ended = process.poll()
    process.kill()
    process.wait()
    assert ended in (None, 0)
    return ended is None


def test_killed_twenty_times(tmp_path: Path) -> None:
    """Runs are killed at random moments, and taken up again, until there were twenty kills; each ends as it should."""
    data = write_dataset(tmp_path / "data", 60, ((120, 160),))
    spec = f"predictions:{write_predictions(tmp_path / 'predicted', 60, (120, 160))}"
    command = [sys.executable, "-c", PIECE_BY_PIECE, "evaluate", spec, f"folder:{data}", "--tolerance", "0.05d"]
    command += ["--workers", "0", "--no-cache", "--save"]
    where: Any = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "stdout": subprocess.DEVNULL}
    subprocess.run([*command, "whole"], **where, check=True)
    expected = (tmp_path / "whole/counts.npz").read_bytes()
    moments, kills, resumed, run = random.Random(0), 0, 0, tmp_path / "run"
    while kills < 20:
        resume = ["--resume"] if partial_folder(run).exists() else []
        resumed += len(resume)
        kills += kill(subprocess.Popen([*command, "run", *resume], **where), partial_folder(run), moments)
        if run.exists():  # if need be killed after its last write
            assert (run / "counts.npz").read_bytes() == expected
            shutil.rmtree(run)
            shutil.rmtree(partial_folder(run), ignore_errors=True)
    subprocess.run([*command, "run", "--resume"], **where, check=True)
    assert (run / "counts.npz").read_bytes() == expected
    assert resumed >= 10
