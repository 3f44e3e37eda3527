"""Kill a training at random moments, resume it each time, and compare its weights with those of an unbroken one.

::

    python benchmarks/killed_training.py [KILLS]          # 20 by default; about five minutes on two cores

One kill in five comes while the program starts, the others while it trains, in every part of the training.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL

STEPS = 400
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
OPTIONS = ["--recipe", "sample-ce", "--steps", str(STEPS), "--state-every", "0.1", "--validate-every", "100"]


def command(folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "segablate", "train", "small", "sample", *OPTIONS, "--save", str(folder), *more]


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "checkpoint.safetensors").read_bytes()).hexdigest()


def moment(rng: random.Random, startup: float, training: float, kills: int) -> float:
    """Draw the seconds after which a process is killed."""
    return rng.uniform(0.1, startup) if rng.random() < 0.2 else startup + rng.uniform(0, 2 * training / kills)


def resumed(folder: Path, kill_after: Iterator[float]) -> None:
    """Train into a folder; each process is killed after the next of these seconds, while there are any."""
    while not (folder / "training.json").is_file():
        process = subprocess.Popen(command(folder, *["--resume"] * folder.exists()), env=ENVIRONMENT, stdout=DEVNULL)
        try:
            code = process.wait(next(kill_after, None))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            states = sorted(folder.glob("state-*")) if folder.exists() else []
            print(f"killed: {states[-1].stem if states else 'no state yet'}", flush=True)
        else:
            if code:
                raise SystemExit(f"exit code {code}")


def _taken(times: list[float]) -> Iterator[float]:
    while times:
        yield times.pop()


def main(kills: int) -> None:
    """Print after each kill how far the training had come, and whether the weights are identical in the end."""
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place, "whole")
        began = time.monotonic()
        subprocess.run(command(whole), env=ENVIRONMENT, check=True, capture_output=True)
        training = json.loads((whole / "training.json").read_text())["seconds"]
        startup = time.monotonic() - began - training
        rng = random.Random(0)
        left = [moment(rng, startup, training, kills) for _ in range(kills)]
        trainings = 0
        while left:  # a training may end before it was killed often enough; then the next one is
            trainings += 1
            broken = Path(place, f"broken-{trainings}")
            resumed(broken, _taken(left))
            if digest(whole) != digest(broken):
                raise SystemExit("weights DIFFER")
        print(f"{STEPS} steps, {kills} kills, {trainings} trainings: weights identical")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
