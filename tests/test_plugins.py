"""What another package brings: built, installed into a folder of its own, listed, evaluated, ablated, trained with.

The package is the one of ``docs/how-to/plug-ins.md``, with entry points that cannot work beside it.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segablate.images.label_maps import write_label_map

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "how-to" / "plug-ins.md").read_text(encoding="utf-8")

PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny-package"
version = "1.2"
"""

BAD_ENTRIES = {
    "losses": {
        "plain_gap": "tiny_package.more:plain_gap",
        "wrecked": "tiny_package.wrecked:loss",
        "ce": "tiny_package.losses:tversky",
    },
    "layouts": {
        "flipped": "tiny_package.more:Flipped",
        "wrecked": "tiny_package.wrecked",
        "camvid": "tiny_package.tiles",
        "not-one": "tiny_package.losses",
    },
    "sources": {
        "wrecked": "tiny_package.wrecked",
        "onnx": "tiny_package.lab",
    },
}
"""Entry points beside those of the page, most of which cannot work."""

MORE = '''\
"""More of a third party."""

from dataclasses import dataclass, replace

from segablate.datasets.dataset import ImageAndLabelFiles
from tiny_package import tiles


def plain_gap(logits, labels):
    """Mean of the largest logit."""
    return logits.amax(1).mean()


@dataclass(frozen=True)
class Swapped(ImageAndLabelFiles):
    """Reads label maps with their two classes swapped."""

    def labels(self, item, reading):
        found = super().labels(item, reading)
        print("read by a third party")
        return replace(found, values=1 - found.values)


class Flipped:
    """Tiles with the two classes swapped."""

    LAYOUT, splits = tiles.LAYOUT, staticmethod(tiles.splits)

    @staticmethod
    def open_split(root, split=None):
        return replace(tiles.open_split(root, split), source=Swapped())
'''


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


def sources() -> dict[str, str]:
    """The Python files of the page, by path."""
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL)
    return {
        **dict(blocks),
        "tiny_package/more.py": MORE,
        "tiny_package/wrecked.py": "import a_module_that_is_missing\n",
    }


def project() -> str:
    """The description of the package: the entry points of the page, and the bad ones."""
    found = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    entries = found[1]
    for group, bad in BAD_ENTRIES.items():
        heading = f'[project.entry-points."segablate.{group}"]\n'
        assert heading in entries
        entries = entries.replace(heading, heading + "".join(f'{name} = "{value}"\n' for name, value in bad.items()))
    return f"{PROJECT}\n{entries}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the package was built and installed, with four tiles beside it."""
    folder = tmp_path_factory.mktemp("third-party")
    source, target = folder / "source", folder / "site"
    (source / "tiny_package").mkdir(parents=True)
    (source / "pyproject.toml").write_text(project())
    (source / "backend.py").write_text(BACKEND)
    for path, text in {"tiny_package/__init__.py": "", **sources()}.items():
        (source / path).write_text(text)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(target)]
    done = subprocess.run([*pip, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a", "b"):
            labels = (rng.random((64, 96)) < 0.4).astype(np.uint8)
            write_label_map(target / "tiles" / split / "images" / f"{name}.png", 100 + 50 * labels)
            write_label_map(target / "tiles" / split / "labels" / f"{name}.png", labels)
    return target


def python(installed: Path, *words: str, cache: Path | None = None) -> str:
    """Standard output of Python with the package installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(installed)])}
    environment |= {"SEGABLATE_CACHE": str(cache)} if cache else {}
    call = [sys.executable, *words]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False, cwd=installed)
    assert done.returncode == 0, done.stderr
    return done.stdout


def segablate(installed: Path, *commands: list[str], cache: Path | None = None) -> list[dict[str, Any]]:
    """What commands print as JSON, one after the other in one process."""
    code = "import json, sys; from segablate.cli import run; sys.exit(any(map(run, json.loads(sys.argv[1]))))"
    lines = [[*command, "--format", "json"] for command in commands]
    left, found = python(installed, "-c", code, json.dumps(lines), cache=cache), []
    while left.strip():
        page, end = json.JSONDecoder().raw_decode(left.lstrip())
        found.append(page)
        left = left.lstrip()[end:]
    assert len(found) == len(commands)
    return found


def rows_of(found: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    """The rows of a list by name."""
    (rows,) = found["tables"].values()
    return {row[key]: row for row in rows}


MISSING = "cannot be loaded: ModuleNotFoundError: No module named 'a_module_that_is_missing'"


def test_lists_name_the_package_and_a_broken_entry_fails_alone(installed: Path) -> None:
    losses, layouts, sources = segablate(installed, ["losses", "list"], ["datasets", "list"], ["checkpoints", "list"])
    rows = rows_of(losses, "name")
    assert rows["tversky"]["package"] == rows["wrecked"]["package"] == "tiny-package"
    assert rows["tversky"]["what"] == "One minus the Tversky index of the second class."
    assert MISSING in rows["wrecked"]["what"]
    assert rows["ce"]["package"] == "segablate", "a name of the program cannot be taken"
    assert "loss 'ce' of package tiny-package is left out: the name belongs to segablate" in losses["notes"]
    rows = rows_of(layouts, "layout")
    expected = {"layout": "tiles", "package": "tiny-package", "classes": "2", "split": "val"}
    assert rows["tiles"] == {**expected, "expects": "val/images/ val/labels/"}
    assert rows["camvid"]["package"] == "segablate"
    assert "layout 'camvid' of package tiny-package is left out: the name belongs to segablate" in layouts["notes"]
    assert MISSING in rows["wrecked"]["expects"]
    assert "is no layout: tiny_package.losses has no LAYOUT" in rows["not-one"]["expects"]
    rows = rows_of(sources, "source")
    expected = {"source": "lab", "form": "lab:CLASSES, lab:CLASSES@FILE", "package": "tiny-package"}
    assert rows["lab"] == {**expected, "what": "Networks of our lab, one convolution each"}
    assert "source 'onnx' of package tiny-package is left out: the name belongs to segablate" in sources["notes"]
    assert MISSING in rows["wrecked"]["what"]


def test_help_knows_the_names_without_importing_the_package(installed: Path) -> None:
    code = (
        "import sys; from segablate.cli import run; run(['ablate', '--help']); "
        "from segablate.cli.completion import checkpoints, datasets; print(checkpoints('la'), datasets('til')); "
        "sys.exit(bool({'torch', 'tiny_package'} & set(sys.modules)))"
    )
    printed = python(installed, "-c", code)
    assert "tversky" in printed
    assert "['lab:'] ['tiles:']" in printed


def test_all_three_are_trained_evaluated_and_ablated_together(installed: Path, tmp_path: Path) -> None:
    run, objective = tmp_path / "run", "ce + 0.5*tversky(beta=0.7)"
    steps = ["--steps", "2", "--batch", "1", "--crop", "48x48", "--save", str(run)]
    what = [str(run / "card.yaml"), "tiles:tiles"]
    trained, evaluated, ablated = segablate(
        installed,
        ["train", "lab:2", "tiles:tiles", "--objective", objective, *steps],
        ["evaluate", *what, "--losses", "tversky,plain_gap"],
        ["ablate", "tversky", *what, "--beta", "0.3,0.7", "--no-cost"],
    )
    assert trained["facts"]["objective"] == objective
    assert "source: lab:2\nweights: weights.safetensors\n" in (run / "card.yaml").read_text()
    assert [row["loss"] for row in evaluated["tables"]["losses"]] == ["tversky", "plain_gap"]
    assert re.fullmatch(r"tiny-package 1\.2, code [0-9a-f]{16}", evaluated["facts"]["package"])
    assert [row["setting"] for row in ablated["tables"]["values"]] == ["baseline", "beta=0.3", "beta=0.7"]
    assert ablated["facts"]["objective"] == "ce + tversky"


def test_worker_processes_use_the_package(installed: Path) -> None:
    code = (
        "import torch; from multiprocessing import get_context; from segablate import get_loss, open_dataset\n"
        "dataset, loss = open_dataset('flipped:tiles'), get_loss('tversky')\n"
        "sample = dataset.read(0)\n"
        "maps = torch.zeros(1, 2, 64, 96), torch.from_numpy(sample.labels)[None]\n"
        "with get_context('spawn').Pool(1) as pool:\n"
        "    there, value = pool.apply(dataset.read, (0,)), pool.apply(loss, maps)\n"
        "assert (there.labels == sample.labels).all() and value == loss(*maps)\n"
        "import segablate; print(segablate.losses.Tversky(beta=0.3), segablate.losses.PlainGAP())"
    )
    assert python(installed, "-c", code) == "Tversky(beta=0.3) PlainGAP()\n"


def test_an_edit_of_the_package_is_measured_anew(installed: Path, tmp_path: Path) -> None:
    more = installed / "tiny_package" / "more.py"
    text = more.read_text()
    what = [f"predictions:{installed}/tiles/val/labels", "flipped:tiles"]

    def cached() -> bool:
        (found,) = segablate(installed, ["evaluate", *what, "--losses", "none"], cache=tmp_path)
        assert found["tables"]["overall"][0]["value"] == 0, "the labels are swapped"
        return any("taken from the cache" in note for note in found["notes"])

    assert [cached(), cached()] == [False, True]
    try:
        more.write_text(text + "\n# edited\n")
        assert not cached()
    finally:
        more.write_text(text)


def test_without_such_packages_the_lists_have_no_column_for_them() -> None:
    from segablate.checkpoints.catalogue import described_sources
    from segablate.datasets.catalogue import described_layouts
    from segablate.tables.catalogue import losses_report
    from segablate.tables.checkpoints import sources_report
    from segablate.tables.datasets import layouts_report

    for report in (losses_report(), layouts_report(described_layouts()), sources_report(described_sources())):
        assert "package" not in [column.key for column in report.tables[0].columns]
