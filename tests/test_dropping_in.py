"""A file dropped into a catalogue's folder is all there is to adding a loss, a layout or a source."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segablate.images.label_maps import write_label_map

ROOT = Path(__file__).parents[1]

TVERSKY = '''
"""Tversky loss."""

from typing import Annotated

import torch

from segablate.losses.parts.shapes import Labels, Logits
from segablate.objective import Parts, Range, loss


@loss(paper="Salehi et al., Tversky Loss Function, MLMI 2017, arXiv:1706.05721", activation="softmax")
def tversky(
    logits: Logits,
    labels: Labels,
    *,
    alpha: Annotated[float, Range(0, 1, grid=(0.3, 0.5, 0.7), help="weight of false positives")] = 0.3,
    beta: Annotated[float, Range(0, 1, grid=(0.3, 0.5, 0.7), help="weight of false negatives")] = 0.7,
) -> Parts:
    """One minus the Tversky index, mean over the labelled classes.

    Formula:
        L = mean_c [1 - (TP + 1) / (TP + alpha FP + beta FN + 1)]
    """
    valid = labels != 255
    weights = torch.nn.functional.one_hot(labels.where(valid, 0).long(), logits.shape[1]).permute(0, 3, 1, 2)
    target = weights.to(logits.dtype) * valid[:, None]  # N C H W
    probability = logits.softmax(1) * valid[:, None]  # N C H W
    hits = (probability * target).sum((0, 2, 3))  # C
    false = probability.sum((0, 2, 3)) - hits  # C
    missed = target.sum((0, 2, 3)) - hits  # C
    index = (hits + 1) / (hits + alpha * false + beta * missed + 1)
    shown = target.sum((0, 2, 3)) > 0
    return Parts(((1 - index) * shown).sum() / shown.sum().clamp_min(1), shown.any())
'''

LAYOUT = '''
"""Toy: pairs of ``N.png`` and ``N.label.png`` in one folder."""

from pathlib import Path

from segablate.datasets.dataset import Dataset, Item
from segablate.datasets.layout import Layout, choose_split
from segablate.labels import LabelSet

LABELS = LabelSet("toy", ("left", "right"), ((0,), (1,)), void=(255,))
LAYOUT = Layout((LABELS,), "N.png N.label.png")


def splits(root: Path) -> list[str]:
    """One split, where there is a pair."""
    return ["val"] * any(root.glob("*.label.png"))


def open_split(root: Path, split: str | None = None) -> Dataset:
    """All pairs."""
    name = choose_split(root, split or "val", splits(root), "files N.png and N.label.png")
    masks = sorted(root.glob("*.label.png"))
    items = tuple(Item(mask.name.split(".")[0], root / mask.name.replace(".label", ""), mask) for mask in masks)
    return Dataset(f"toy:{root}", "toy", name, LABELS, items)
'''

SOURCE = '''
"""A network that tells left from right: ``halves:NAME``."""

import torch

from segablate.checkpoints.network import prepared
from segablate.checkpoints.segmenter import Loading, Segmenter, Source


class Halves(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        ramp = torch.linspace(-9, 9, images.shape[3]).expand(images.shape[0], images.shape[2], -1)
        return torch.stack([-ramp, ramp], 1)


def open_source(text: str, loading: Loading) -> Segmenter:
    """Build it; there are no weights."""
    return prepared(Halves(), Source(f"halves:{text}"), loading)
'''


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with a loss, a layout and a source dropped in, and two images in that layout."""
    folder = tmp_path_factory.mktemp("clone") / "segablate"
    kept = ("segablate", "sample_data", "tests", "docs", "README.md", "pyproject.toml")
    for name in kept:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    (folder / "segablate/losses/tversky.py").write_text(TVERSKY)
    (folder / "segablate/datasets/layouts/toy.py").write_text(LAYOUT)
    (folder / "segablate/checkpoints/sources/halves.py").write_text(SOURCE)
    labels = np.zeros((8, 12), np.uint8)
    labels[:, 6:] = 1
    for name in ("a", "b"):
        write_label_map(folder / "data" / f"{name}.png", labels)
        write_label_map(folder / "data" / f"{name}.label.png", labels)
    return folder


def run(tree: Path, *command: str) -> str:
    """What a command prints in the copy."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_three_are_listed(tree: Path) -> None:
    assert "tversky" in run(tree, "-m", "segablate", "losses", "list")
    assert "alpha" in run(tree, "-m", "segablate", "losses", "show", "tversky")
    assert "tversky" in run(tree, "-m", "segablate", "ablate", "--help")
    assert "--beta" in run(tree, "-m", "segablate", "ablate", "tversky", "--help")
    assert "toy" in run(tree, "-m", "segablate", "datasets", "list")
    assert "halves:NAME" in run(tree, "-m", "segablate", "checkpoints", "list")


def test_all_three_are_evaluated(tree: Path) -> None:
    printed = run(tree, "-m", "segablate", "evaluate", "halves:x", "toy:data", "--losses", "tversky", "--format", "csv")
    assert "mIoU,100" in printed.replace(" ", "") or "miou" in printed.lower()
    assert "tversky" in printed
    printed = run(tree, "-m", "segablate", "ablate", "tversky", "halves:x", "toy:data", "--no-cost")
    assert "alpha=0.5" in printed
    assert "beta=0.5" in printed


def test_the_loss_takes_part_in_every_generic_test(tree: Path) -> None:
    passed = run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_losses.py", "-k", "tversky")
    assert "passed" in passed
    assert "failed" not in passed


def test_the_documentation_lists_the_loss(tree: Path) -> None:
    run(tree, "docs/refresh.py", "--generated")
    assert "tversky" in (tree / "README.md").read_text(encoding="utf-8")
    assert "tversky" in (tree / "docs/reference/losses.md").read_text(encoding="utf-8")
