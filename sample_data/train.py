"""Train the sample checkpoints on the train split: ``python sample_data/train.py [NAME ...]``.

Each name is that of a recipe, ``segablate recipes show sample-NAME``, and becomes ``checkpoints/NAME.safetensors``. On
one machine, two runs give the same bytes.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from segablate.cli import run

HERE = Path(__file__).parent
NAMES = ("ce", "rmi", "weighted")
OPTIONS = ("--seed", "20", "--holdout", "0", "--workers", "0", "--device", "cpu")
"""Every image is trained on: the recipes were chosen before, and the last weights are kept."""


def train(name: str) -> Path:
    """Train under one recipe and copy the checkpoint to the others."""
    made = HERE / "checkpoints" / f"{name}.safetensors"
    with tempfile.TemporaryDirectory() as folder:
        command = ["train", "small", "sample", "--recipe", f"sample-{name}", *OPTIONS, "--save", f"{folder}/{name}"]
        if code := run(command):
            sys.exit(code)
        shutil.copyfile(f"{folder}/{name}/checkpoint.safetensors", made)
    return made


def main() -> None:
    """Train those that are named; all without a name."""
    parser = argparse.ArgumentParser(description="Train the sample checkpoints.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all when none is named")
    names = parser.parse_args().names or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"no recipe of the sample is called {', '.join(sorted(unknown))}; available: {', '.join(NAMES)}")
    for name in names:
        print(train(name))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, in the command
    main()
