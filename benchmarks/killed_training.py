"""Kill a training at random moments, resume it each time, and compare its weights with those of an unbroken one.

python benchmarks/killed_training.py [KILLS]          # 20 by default; about ten minutes on two cores
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = 200
OPTIONS = ["--recipe", "sample-ce", "--steps", str(STEPS), "--state-every", "0.5", "--validate-every", "50"]


def command(folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "segablate", "train", "small", "sample", *OPTIONS, "--save", str(folder), *more]


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "checkpoint.safetensors").read_bytes()).hexdigest()


def main(kills: int) -> None:
    """Print after each kill how far the training had come, and whether the weights are identical in the end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as place:
        whole, broken = Path(place, "whole"), Path(place, "broken")
        began = time.monotonic()
        subprocess.run(command(whole), env=environment, check=True, capture_output=True)
        length = time.monotonic() - began
        rng, killed = random.Random(0), 0
        while not (broken / "training.json").is_file():
            more = ["--resume"] if broken.exists() else []
            process = subprocess.Popen(command(broken, *more), env=environment, stderr=subprocess.PIPE)
            if killed < kills:
                time.sleep(rng.uniform(0.2, 2.5 * length / max(kills / 4, 1)))
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
                states = sorted(broken.glob("state-*")) if broken.exists() else []
                print(f"kill {killed}: {states[-1].stem if states else 'no state yet'}", flush=True)
            elif process.wait():
                raise SystemExit(process.stderr.read().decode() if process.stderr else "failed")
        same = digest(whole) == digest(broken)
        print(f"{STEPS} steps, {killed} kills: weights {'identical' if same else 'DIFFER'}")
    sys.exit(not same)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
