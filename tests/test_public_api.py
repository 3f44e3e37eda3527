"""The names of ``import segablate``."""

import ast
import math
import subprocess
import sys
from pathlib import Path

import pytest

import segablate


def test_every_name_is_there_and_typed() -> None:
    for name in segablate.__all__:
        assert getattr(segablate, name) is not None
    tree = ast.parse(Path(segablate.__file__).read_text(encoding="utf-8"))
    typed = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed - {"import_module", "TYPE_CHECKING", "Any"} == set(segablate.__all__)


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
