"""A training that is killed twice and resumed ends in the bytes of an unbroken one, through the command."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STEPS = 200
OPTIONS = ["--recipe", "sample-rmi", "--steps", str(STEPS), "--state-every", "0.2", "--validate-every", "50"]


def start(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "segablate", "train", "small", "sample", *OPTIONS, "--save", str(folder), *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder.parent, env=environment, stdout=subprocess.DEVNULL)


def steps(folder: Path) -> int:
    """The steps in the newest state; states are written whole, so that the last name is of a whole one."""
    return max((int(path.stem.removeprefix("state-")) for path in folder.glob("state-*.safetensors")), default=0)


def kill_after(step: int, folder: Path, *more: str) -> None:
    """Run the training until a state later than this step was written, then kill it."""
    process = start(folder, *more)
    while steps(folder) <= step:
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.02)
    process.kill()
    process.wait()


@pytest.mark.timeout(600)
def test_a_training_killed_twice_ends_in_the_bytes_of_an_unbroken_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    unbroken = start(whole)
    kill_after(STEPS // 5, broken)
    reached = steps(broken)
    assert STEPS // 5 < reached < STEPS
    kill_after(max(STEPS // 2, reached), broken, "--resume")
    assert reached < steps(broken) < STEPS
    assert start(broken, "--resume").wait() == 0
    assert unbroken.wait() == 0
    first, second = ((folder / "checkpoint.safetensors").read_bytes() for folder in (whole, broken))
    assert first == second
