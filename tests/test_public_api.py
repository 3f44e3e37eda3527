"""The names of ``import segablate``."""

import ast
import inspect
import math
import subprocess
import sys
from pathlib import Path

import pytest
from public_names import documented, missing, public_names

import segablate

INVENTORY = Path(__file__).parent / "golden" / "public_names.txt"
"""Every public name with its signature: a line that goes is a program that breaks. Write it anew by
``python tests/public_names.py``."""


def test_every_name_is_there_and_typed() -> None:
    for name in segablate.__all__:
        assert getattr(segablate, name) is not None
    tree = ast.parse(Path(segablate.__file__).read_text(encoding="utf-8"))
    typed = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed - {"import_module", "TYPE_CHECKING", "Any"} == set(segablate.__all__)


def test_public_names_are_those_of_the_inventory() -> None:
    assert public_names() == INVENTORY.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", documented())
def test_every_public_name_has_a_docstring(name: str) -> None:
    """Functions state their arguments, what they return and raise; classes and methods what they are."""
    assert missing(name) == []


def test_names_of_the_layers_below_are_still_there() -> None:
    for name in ("evaluate_checkpoint", "Request", "Execution", "Loading", "load_run", "save_run", "ablate_checkpoint"):
        assert getattr(segablate, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(segablate, "evaluate_checkpiont")


def test_importing_waits_for_nothing() -> None:
    code = "import sys, segablate; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'typer')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_checkpoint_is_evaluated_and_a_loss_called() -> None:
    import torch

    dataset = segablate.open_dataset("sample").evenly(2)
    run = segablate.evaluate_checkpoint("sample:ce", dataset, segablate.Request(losses="ce,rmi"))
    assert run.images == 2
    assert set(run.values) == {"ce", "rmi"}
    logits, labels = torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long)
    assert segablate.get_loss("ce")(logits, labels).item() == pytest.approx(math.log(3))


SHARED = {"batch_size": 4, "workers": 0, "progress": False}
DEFAULTS = {
    "evaluate": {
        **SHARED,
        "ignore_index": "default",
        "tolerance": 3,
        "boundary_as": (),
        "trimap": (),
        "on_error": "stop",
        "cache": True,
        "distributed": False,
    },
    "compare": {
        **SHARED,
        "intersect": False,
        "replicates": 10000,
        "seed": 0,
        "void_as_error": False,
        "cache": True,
    },
    "ablate": {
        **SHARED,
        "checkpoint": "sample:ce",
        "every": False,
        "boundary_tolerance": 3,
        "gradients": True,
        "cost": True,
        "gradient_images": 24,
        "ignore_index": "default",
        "on_error": "stop",
    },
    "train": {
        "seed": 0,
        "train_split": "train",
        "holdout": 0.1,
        "labels": "full",
        "part": "full",
        "keep_head": False,
        "state_every": 180.0,
        "workers": 0,
        "progress": False,
    },
    "Scores": {
        "ignore_index": "default",
        "tolerance": (),
        "calibration": False,
        "output": "softmax",
        "per_image": False,
    },
}
"""Defaults that are not None, as the commands have them: another number of replicates is another result."""


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_commands(name: str) -> None:
    parameters = inspect.signature(getattr(segablate, name)).parameters.values()
    assert {
        each.name: each.default for each in parameters if each.default not in (None, inspect.Parameter.empty)
    } == DEFAULTS[name]
