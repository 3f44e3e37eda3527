"""Check that a run killed at random moments and resumed each time has the counts of an uninterrupted one.

    python benchmarks/killed.py [--kills 20] [-- CHECKPOINT DATASET OPTIONS...]

By default the sample checkpoint on the sample data, repeatedly: a run that ends between two kills is compared, and
another is started, until there were enough kills. Prints the numbers of kills and of runs with the same `counts.npz`.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE = ["sample:ce", "sample", "--losses", "ce,rmi,lovasz", "--tolerance", "0.05d"]


def command(run: Path, evaluated: list[str]) -> list[str]:
    """Return the command of the evaluation, which resumes where there is something to resume."""
    resume = ["--resume"] if run.with_name(f"{run.name}.partial").exists() else []
    return [sys.executable, "-m", "segablate", "evaluate", *evaluated, "--no-cache", "--save", str(run), *resume]


def killed(line: list[str], moment: float) -> bool:
    """Whether the process was still running at this moment and was killed; exit if it failed by itself."""
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    try:
        if process.wait(moment):
            raise SystemExit(f"{' '.join(line)} failed")
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def main() -> None:
    """Run without and with kills, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("evaluated", nargs="*", default=SAMPLE, help="what to evaluate, after --")
    options = parser.parse_args()
    moments, kills, resumed, same, runs = random.Random(options.seed), 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        whole, broken = Path(place, "whole"), Path(place, "broken")
        began = time.monotonic()
        subprocess.run(command(whole, options.evaluated), check=True, stdout=subprocess.DEVNULL)
        span = time.monotonic() - began
        expected = (whole / "counts.npz").read_bytes()
        while kills < options.kills or broken.with_name("broken.partial").exists():
            line = command(broken, options.evaluated)
            resumed += line[-1] == "--resume"
            moment = moments.uniform(0, span) if kills < options.kills else 100 * span
            kills += killed(line, moment)
            if broken.exists():  # it may have been killed after its last write
                runs += 1
                same += (broken / "counts.npz").read_bytes() == expected
                shutil.rmtree(broken)
                shutil.rmtree(broken.with_name("broken.partial"), ignore_errors=True)
    print(f"uninterrupted: {span:.1f} s; {kills} kills, resumed {resumed} times; {same} of {runs} runs have its counts")


if __name__ == "__main__":
    main()
