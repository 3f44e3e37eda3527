"""Odd names of images, classes and runs, where all that is read is whole."""

import contextlib
import json
import os
from pathlib import Path
from random import Random

import yaml

from .saved_runs import sealed
from .text_damage import WORDS, encoded

ON_DISK = tuple(encoded(word) for word in WORDS if not set(word) & {"\0", "/"} and word.strip(". ") and len(word) < 250)
NOT_TEXT = (b"\xff\xfe", b"a\xe4", b"a\nb", b"n" * 240)
"""Names that a disk may hold: bytes, be they UTF-8 or not."""


def rename_image(root: Path, rng: Random) -> None:
    """An image, its label map and its prediction under another name, be it no UTF-8."""
    stem = rng.choice(ON_DISK if rng.random() < 0.7 else NOT_TEXT)
    for folder in ("data/images/val", "data/labels/val", "predicted"):
        with contextlib.suppress(OSError):
            os.rename(root / folder / "s1.png", os.fsencode(root / folder) + b"/" + stem + b".png")


def rename_classes(root: Path, rng: Random) -> None:
    """Odd names of classes in ``dataset.yaml``."""
    path = root / "data/dataset.yaml"
    described = yaml.safe_load(path.read_bytes())
    for entry in rng.sample(described["classes"], 2):
        entry["name"] = rng.choice(WORDS)
    path.write_bytes(yaml.safe_dump(described, allow_unicode=False, width=10_000).encode("utf-8", "surrogatepass"))


def rename_in_runs(root: Path, rng: Random) -> None:
    """Odd names of classes, of the checkpoint and of notes in every saved run."""
    names = [rng.choice(WORDS) for _ in range(4)]
    for path in sorted((root / "runs").glob("*/run.json")):
        described = json.loads(path.read_bytes())
        if "labels" in described:
            described["labels"]["names"] = names
            described["facts"]["checkpoint"]["name"] = rng.choice(WORDS)
            described["notes"] = [rng.choice(WORDS)]
        path.write_text(json.dumps(sealed(described)))


def rename_run(root: Path, rng: Random) -> None:
    """A saved run in a folder of an odd name."""
    with contextlib.suppress(OSError):
        os.rename(root / "runs/compared", os.fsencode(root / "runs") + b"/" + rng.choice(ON_DISK))
