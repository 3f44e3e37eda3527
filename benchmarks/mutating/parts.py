"""The parts of the program that are mutated, the tests that guard each, and the sample of changes."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice, repeat, zip_longest
from pathlib import Path

from mutating.changes import Change, changes

ROOT = Path(__file__).parents[2]
LOSSES = tuple(path.stem for path in sorted((ROOT / "segablate" / "losses").glob("[a-z]*.py")))

BOUNDARIES = ("bands", "boundary*", "confusion*", "distance", "edges", "error_kinds", "tolerance", "trimap")
SCORES = ("calibration", "conventions*", "evaluation*", "image_level", "roc", "recall", "tables")
FILES = ("files", "images", "label_files", "labels", "unreadable", "yaml_files", "bad_inputs", "palettes", "formats")
DATASETS = ("datasets*", "layouts", "lists", "merging", "palettes", "scribbles", "hf_datasets", "sample_data")

SLOW = ("statistics_*calibration", "statistics_*coverage")
"""Tests that are not run: simulations that take minutes."""

OUTSIDE = (
    "*/__init__.py",
    "checkpoints/sources/*",
    "training/engines/*",
    "training/logging.py",
    "*/boundary_device.py",
)
"""Sources that are not mutated: lists of names, and what needs other programs or a GPU."""


@dataclass(frozen=True)
class Part:
    """Folders and files below segablate, and the tests that guard them, as patterns of their names."""

    sources: tuple[str, ...]
    guards: tuple[str, ...]

    @property
    def files(self) -> list[str]:
        """Return the sources, relative to the repository."""
        root = ROOT / "segablate"
        names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
        ours = [name for name in names if name in self.sources or name.split("/")[0] in self.sources]
        return [f"segablate/{name}" for name in ours if not _matches(name, OUTSIDE)]

    @property
    def tests(self) -> list[str]:
        """Return the test files, relative to the repository."""
        names = sorted(path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py"))
        return [f"tests/test_{name}.py" for name in names if _matches(name, self.guards) and not _matches(name, SLOW)]


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


PARTS = {
    "kernels": Part(("kernels",), (*BOUNDARIES, "asl", "abl")),
    "metrics": Part(("metrics",), (*BOUNDARIES, *SCORES)),
    "losses": Part(("losses",), ("losses", "loss_values", "golden", *LOSSES)),
    "statistics": Part(("statistics",), ("statistics_*", "comparison*", "cli_compare")),
    "images": Part(("images",), (*FILES, "layouts", "predictions")),
    "files": Part(
        ("labels.py", "samples.py", "files.py", "user_code.py", "text_files.py", "yaml_files.py", "limits.py"),
        (*FILES, *DATASETS, "checkpoints", "losses", "objective", "weights", "networks"),
    ),
    "datasets": Part(("datasets",), (*FILES, *DATASETS)),
    "weights": Part(("weights",), ("weights", "fitting", "unpickling", "damaged_weights", "checkpoints", "networks")),
    "objective": Part(("objective",), ("objective", "knobs", "losses", "sweeps", "cli_ablate", "public_api")),
    "evaluation": Part(
        ("evaluation",),
        (
            *SCORES,
            *("results", "resuming*", "cache", "ablation", "comparison", "lists", "profiling"),
            *("predictions", "cli_compare", "cli_ablate", "comparison_statistics", "labels", "merging"),
        ),
    ),
    "checkpoints": Part(
        ("checkpoints",),
        (
            *("checkpoints", "hf_checkpoints", "image_processors", "preprocessing", "inference"),
            *("outputs", "one_channel", "exports", "predictions", "formats", "bad_inputs", "evaluation", "trust"),
        ),
    ),
    "training": Part(("training",), ("training_*", "cells", "sweeps")),
}

APART = {
    "api": Part(("api",), ("api*", "scores", "public_api")),
    "plug-ins": Part(
        (
            *("plugins.py", "objective/plugins.py", "datasets/catalogue.py", "datasets/plugin_layouts.py"),
            *("checkpoints/catalogue.py", "checkpoints/plugin_sources.py"),
        ),
        ("plugin*", "datasets", "checkpoints", "first_names", "dropping_in"),
    ),
}
"""Parts that are tried alone, by ``--part``, beside those of the sample."""


def sample(count: int, seed: int, parts: Mapping[str, Part] = PARTS) -> list[tuple[str, Change]]:
    """Return part and change of `count` changes, as many of each part as of the others and one in a line at most."""
    each = [zip(repeat(name), _shuffled(part, seed), strict=False) for name, part in parts.items()]
    turns = (one for turn in zip_longest(*each) for one in turn if one is not None)
    return list(islice(turns, count))


def _shuffled(part: Part, seed: int) -> Iterator[Change]:
    """Yield one change of each line of a part in an order that edits elsewhere leave as it is."""
    found = [change for file in part.files for change in changes(file, (ROOT / file).read_bytes())]
    order = sorted(found, key=lambda change: hashlib.sha256(f"{seed} {change.key}".encode()).digest())
    lines = set()
    for change in order:
        if (line := (change.file, change.number)) not in lines and change.compiles((ROOT / change.file).read_bytes()):
            lines.add(line)
            yield change
