"""A training that is killed twice and resumed ends in the bytes of an unbroken one, through the command."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STEPS = 60
OPTIONS = ["--recipe", "sample-rmi", "--steps", str(STEPS), "--validate-every", "15"]
STATES = 3
"""Steps between states of a training that is killed, so that some steps are lost with it."""

DEADLY = """
import signal
import sys

from segablate.cli import main
from segablate.training.trainer import Trainer

first, last, states, seconds = *map(int, sys.argv[1:4]), float(sys.argv[4])
del sys.argv[1:5]
advance = Trainer.advance


def advance_and_die(trainer, batch):
    if batch.step == first:
        signal.setitimer(signal.ITIMER_REAL, seconds)  # its signal ends a process at once, wherever it is
    if batch.step == last:
        while True:
            signal.pause()
    if batch.step % states == 0:
        trainer.last_state = float("-inf")  # a state is due
    advance(trainer, batch)


Trainer.advance = advance_and_die
main()
"""


def train(folder: Path, *more: str, program: tuple[str, ...] = ("-m", "segablate")) -> int:
    command = [sys.executable, *program, "train", "small", "sample", *OPTIONS, "--save", str(folder), *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder.parent, env=environment, stdout=subprocess.DEVNULL, check=False
    ).returncode


def kill_after(step: int, seconds: float, folder: Path, *more: str) -> int:
    """Have the training killed so many seconds after a step, ten steps later at the most; return its last state."""
    program = ("-c", DEADLY, str(step), str(step + 10), str(STATES), str(seconds))
    assert train(folder, *more, program=program) == -signal.SIGALRM
    return max(int(path.stem.removeprefix("state-")) for path in folder.glob("state-*.safetensors"))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that end a process")
def test_a_training_killed_twice_ends_in_the_bytes_of_an_unbroken_one(tmp_path: Path) -> None:
    whole, broken, moments = tmp_path / "whole", tmp_path / "broken", random.Random(0)
    assert train(whole) == 0
    for step, more in ((STEPS // 5, ()), (STEPS // 2, ("--resume",))):
        reached = kill_after(step, moments.uniform(0.01, 0.2), broken, *more)
        assert step - STATES <= reached <= step + 10
    assert train(broken, "--resume") == 0
    one, other = ((folder / "checkpoint.safetensors").read_bytes() for folder in (whole, broken))
    assert one == other
