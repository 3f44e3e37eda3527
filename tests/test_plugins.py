"""Losses of another package: built, installed into a folder of its own, listed, ablated and trained with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny-losses"
version = "1.2"

[project.entry-points."segablate.losses"]
tversky = "tiny_losses:tversky"
plain_gap = "tiny_losses:plain_gap"
wrecked = "tiny_losses.wrecked:loss"
ce = "tiny_losses:tversky"
"""

BACKEND = '''\
"""A build backend of the standard library alone, so that the test needs none that may be missing."""

import tomllib
from pathlib import Path
from zipfile import ZipFile


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    name = project["name"].replace("-", "_")
    info, wheel = f"{name}-{project['version']}.dist-info", f"{name}-{project['version']}-py3-none-any.whl"
    entries = "".join(
        f"[{group}]\\n" + "".join(f"{key} = {value}\\n" for key, value in found.items())
        for group, found in project["entry-points"].items()
    )
    files = {str(path): path.read_text() for path in Path(name).glob("*.py")}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\\nName: {project['name']}\\nVersion: {project['version']}\\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: backend\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[f"{info}/entry_points.txt"] = entries
    files[f"{info}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"])
    with ZipFile(Path(wheel_directory, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel
'''

LOSSES = '''\
"""Losses of a third party."""

from typing import Annotated

from segablate import Range, loss


@loss(paper="Salehi, Erdogmus and Gholipour, Tversky loss function, MLMI 2017", objective="ce + tversky")
def tversky(logits, labels, *, beta: Annotated[float, Range(0, 1, grid=(0.3, 0.7), help="weight of misses")] = 0.5):
    """One minus the Tversky index of the second class."""
    valid = labels != 255
    p, y = logits.softmax(1)[:, 1][valid], (labels[valid] == 1).to(logits.dtype)
    hits = (p * y).sum()
    return 1 - (hits + 1) / (hits + (1 - beta) * (p * (1 - y)).sum() + beta * ((1 - p) * y).sum() + 1)


def plain_gap(logits, labels):
    """Mean of the largest logit."""
    return logits.amax(1).mean()
'''


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the package was built and installed."""
    folder = tmp_path_factory.mktemp("third-party")
    source, target = folder / "source", folder / "site"
    (source / "tiny_losses").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "backend.py").write_text(BACKEND)
    (source / "tiny_losses" / "__init__.py").write_text(LOSSES)
    (source / "tiny_losses" / "wrecked.py").write_text("import a_module_that_is_missing\n")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(target)]
    done = subprocess.run([*pip, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def segablate(installed: Path, *command: str, code: int = 0) -> str:
    """Standard output of a command with the package installed; of a failure its standard error."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(installed)])}
    call = [sys.executable, "-m", "segablate", *command]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False, cwd=installed)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_losses_are_listed_with_their_package_and_a_broken_one_fails_alone(installed: Path) -> None:
    rows = {
        row["name"]: row
        for row in json.loads(segablate(installed, "losses", "list", "--format", "json"))["tables"]["losses"]
    }
    assert rows["tversky"]["package"] == rows["wrecked"]["package"] == "tiny-losses"
    assert rows["tversky"]["what"] == "One minus the Tversky index of the second class."
    assert (
        "cannot be loaded: ModuleNotFoundError: No module named 'a_module_that_is_missing'" in rows["wrecked"]["what"]
    )
    assert rows["ce"]["package"] == "segablate", "a name of the program cannot be taken"
    error = segablate(installed, "losses", "show", "wrecked", code=1)
    assert "loss 'wrecked' of package tiny-losses cannot be loaded" in error
    assert "Traceback" not in error


def test_a_loss_of_the_package_is_shown_ablated_and_evaluated(installed: Path) -> None:
    assert "package" in segablate(installed, "losses", "show", "tversky")
    assert "tversky" in segablate(installed, "ablate", "--help")
    command = ["ablate", "tversky", "--beta", "0.3,0.7", "--limit", "2", "--no-cost", "--format", "json"]
    found = json.loads(segablate(installed, *command))
    assert [row["setting"] for row in found["tables"]["values"]] == ["baseline", "beta=0.3", "beta=0.7"]
    assert found["facts"]["objective"] == "ce + tversky"
    command = ["evaluate", "sample:ce", "--losses", "tversky,plain_gap", "--limit", "2", "--format", "json"]
    assert [row["loss"] for row in json.loads(segablate(installed, *command))["tables"]["losses"]] == [
        "tversky",
        "plain_gap",
    ]
    command = ["evaluate", "sample:ce", "--losses", "all", "--limit", "1", "--format", "json"]
    whole = json.loads(segablate(installed, *command))
    assert {"tversky", "plain_gap", "ce"} <= {row["loss"] for row in whole["tables"]["losses"]}
    assert any("loss 'wrecked' of package tiny-losses cannot be loaded" in note for note in whole["notes"])


def test_a_network_is_trained_with_a_loss_of_the_package(installed: Path, tmp_path: Path) -> None:
    options = ["--steps", "2", "--batch", "2", "--crop", "64x64", "--save", str(tmp_path / "run"), "--format", "json"]
    command = ["train", "small", "sample", "--objective", "ce + 0.5*tversky(beta=0.7)", *options]
    assert json.loads(segablate(installed, *command))["facts"]["objective"] == "ce + 0.5*tversky(beta=0.7)"
    code = "import segablate; print(segablate.losses.Tversky(beta=0.3), segablate.losses.PlainGAP())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(installed)])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "Tversky(beta=0.3) PlainGAP()\n"


def test_without_such_packages_the_list_has_no_column_for_them() -> None:
    from segablate.tables.catalogue import losses_report

    assert "package" not in [column.key for column in losses_report().tables[0].columns]
