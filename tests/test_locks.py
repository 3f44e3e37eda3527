"""Two processes with one output: the second is refused at its start; a process that is gone blocks nobody."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segablate.cli import run
from segablate.errors import RunError
from segablate.locks import held

HOLDING = """
import sys, time
from pathlib import Path
from segablate.locks import held

with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock on a path until its input ends."""
    command = [sys.executable, "-c", HOLDING, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.communicate()


def test_the_second_is_refused_and_the_first_named(tmp_path: Path) -> None:
    with other_process(tmp_path / "run") as process:
        message = rf"run is being written by another process \(process {process.pid} on .+\); wait for it, or choose"
        with pytest.raises(RunError, match=message), held(tmp_path / "run"):
            pass
        with held(tmp_path / "other"):
            pass
    assert not list(tmp_path.iterdir())
    with held(tmp_path / "run"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_process_that_was_killed_blocks_nobody(tmp_path: Path) -> None:
    with other_process(tmp_path / "run") as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert (tmp_path / ".run.lock").is_file()
        with held(tmp_path / "run"):
            assert (tmp_path / ".run.lock").read_text().startswith(f"process {os.getpid()} on ")
    assert not list(tmp_path.iterdir())


def test_a_lock_that_is_removed_while_one_waits_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    lockf, taken = fcntl.lockf, []

    def removed_before(handle: int, what: int) -> None:
        if not taken:
            (tmp_path / ".run.lock").unlink()  # as the one that held it does
        taken.append(handle)
        lockf(handle, what)

    monkeypatch.setattr(fcntl, "lockf", removed_before)
    with held(tmp_path / "run"):
        assert len(taken) == 2
        assert (tmp_path / ".run.lock").is_file()


def test_without_locks_in_the_file_system_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def none(handle: int, what: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", none)
    with held(tmp_path / "run"):
        pass


def test_what_is_no_folder_gets_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with held(tmp_path / "file"), held(Path(os.devnull)), held(None):
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(RunError, match=r"cannot be written: .*; choose another --save"), held(tmp_path / "file/run"):
        pass


@pytest.mark.parametrize("name", [".", ""])
def test_the_working_directory_is_locked_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    with held(Path(name)):
        assert (tmp_path / ".run.lock").is_file()
    assert not list(tmp_path.glob(".*"))


SMALL = ["--batch", "2", "--crop", "16x16", "--steps", "2", "--train-split", "val", "--holdout", "0"]
PREDICTIONS = ["predictions:{toy}/labels/val", "folder:{toy}"]
COMMANDS = {
    "evaluate": ["evaluate", *PREDICTIONS, "--save", "{run}"],
    "evaluate resumed": ["evaluate", *PREDICTIONS, "--save", "{run}", "--resume"],
    "compare": [
        "compare",
        "predictions:{toy}/labels/val",
        "predictions:{toy}/x",
        "--on",
        "folder:{toy}",
        "--save",
        "{run}",
    ],
    "ablate": ["ablate", "ce", "{toy}/no.pth", "folder:{toy}", "--save", "{run}"],
    "train": ["train", "small", "folder:{toy}", *SMALL, "--save", "{run}"],
    "train resumed": ["train", "small", "folder:{toy}", *SMALL, "--save", "{run}", "--resume"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_refuse_an_output_that_another_writes(
    command: str, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (toy / "x").mkdir()
    arguments = [word.format(toy=toy, run=tmp_path / "run") for word in COMMANDS[command]]
    with other_process(tmp_path / "run"):
        began = time.monotonic()
        assert run(arguments) == 1
    assert time.monotonic() - began < 60
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "run is being written by another process" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_command_leaves_no_lock(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    arguments = ["evaluate", f"predictions:{toy}/labels/val", f"folder:{toy}", "--workers", "0"]
    assert run([*arguments, "--save", f"{tmp_path}/runs/a"]) == 0
    assert run([*arguments, "--save", f"{tmp_path}/runs/a"]) == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]
