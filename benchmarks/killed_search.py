"""Kill a search at random moments, give its command again each time, and compare what it ends with.

::

    python benchmarks/killed_search.py [KILLS] [OPTION ...]     # 2 kills by default; about five minutes on two cores

Both searches are `segablate search miou` on the sample data, by the same command line in two folders; options are added
to it. What is compared: ``theta.yaml``, the plan and the log of every round, and the printed tables, but for the
seconds of trainings.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "segablate", "search", "miou", "--format", "json"]
RUN = Path("runs/search-miou-sample_ce")


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "SEGABLATE_CACHE": str(folder / "cache")}


def ended(folder: Path) -> list[bytes]:
    """What a search left: its file, and plans and logs of its rounds."""
    return [
        path.read_bytes() for path in [folder / RUN / "theta.yaml", *sorted((folder / RUN).glob("rounds/*/*.json"))]
    ]


def tables(printed: bytes) -> dict:
    found = json.loads(printed)["tables"]
    return {name: rows for name, rows in found.items() if name != "cells"}


def whole(folder: Path, options: list[str]) -> tuple[bytes, float]:
    began = time.monotonic()
    done = subprocess.run([*COMMAND, *options], cwd=folder, env=environment(folder), check=True, stdout=subprocess.PIPE)
    return done.stdout, time.monotonic() - began


def killed(folder: Path, options: list[str], seconds: float) -> None:
    """Start a search and kill it after some seconds, unless it has ended."""
    log = subprocess.DEVNULL
    process = subprocess.Popen([*COMMAND, *options], cwd=folder, env=environment(folder), stdout=log, stderr=log)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    rounds, cells = (len(list((folder / RUN).glob(pattern))) for pattern in ("rounds/*/samples.json", "**/cell.json"))
    print(f"killed after {seconds:.0f} s: {rounds} rounds and {cells} trainings had ended", flush=True)


def main(kills: int, options: list[str]) -> None:
    """Print how far each killed search had come, and whether both end with the same."""
    with tempfile.TemporaryDirectory() as place:
        first, second = Path(place, "first"), Path(place, "second")
        first.mkdir()
        second.mkdir()
        printed, seconds = whole(first, options)
        print(f"unbroken: {seconds:.0f} s", flush=True)
        rng = random.Random(0)
        for _ in range(kills):
            killed(second, options, rng.uniform(5, seconds / kills))
        again, _ = whole(second, options)
        if ended(first) != ended(second) or tables(printed) != tables(again):
            raise SystemExit("what the searches end with DIFFERS")
        print(f"{kills} kills: theta.yaml, logs and tables are identical")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2, sys.argv[2:])
