"""A file imports only from lower layers; inside a sub-package also from its siblings."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import segablate

PACKAGE = Path(segablate.__file__).parent

FLOORS = (
    ("errors",),
    ("extras", "freed_memory", "limits", "locks"),
    ("text_files", "user_modules"),
    ("user_code",),
    ("archives", "plain_values", "yaml_files"),
    ("labels",),
    ("files", "samples"),
    ("plugins",),
    ("images", "objective", "weights", "kernels", "networks", "runtime", "process_groups"),
    ("losses", "metrics", "datasets"),
    ("checkpoints", "edges"),
    ("evaluation",),
    ("statistics",),
    ("ablation", "comparison", "probing"),
    ("training",),
    ("search",),
    ("atlas", "diagnosis"),
    ("tables",),
    ("render",),
    ("plots", "report"),
    ("api",),
    ("cli",),
)
"""From the ground up: a package imports from floors below its own."""

LAYERS = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}

CATALOGUES = {
    "losses": ("{}",),
    "checkpoints/sources": ("open_source",),
    "datasets/layouts": ("LAYOUT", "splits", "open_split"),
    "datasets/formats": ("TITLE", "find", "read"),
    "networks": ("{}", "PREPROCESSING"),
    "training/engines": ("run",),
    "search/samplers": ("propose", "PACKAGE"),
}
"""Folders in which every file is an entry, and what an entry has; {} is the name of its file."""

FOLDERS = {"losses": {"parts"}, "networks": {"parts"}}
"""The folders in catalogues: what several entries share."""

ALONE = {
    "torch.distributed": {"runtime", "process_groups"},
    "ray": {"engines"},
    "typer": {"cli"},
    "rich": {"render", "cli"},
    "jinja2": {"report"},
    "click": set(),
}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "sample_data" not in path.parts)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_come_from_lower_layers(path: Path) -> None:
    part = part_of(path)
    if part in ("__init__", "__main__"):
        return
    assert part in LAYERS, f"{part} has no layer"
    for name in imported(path):
        words = name.split(".")
        if words[0] != "segablate" or len(words) < 2 or words[1] in ("__version__", part):
            continue
        assert LAYERS[words[1]] < LAYERS[part], f"{path.name} ({part}) imports {name} from a layer that is not lower"


@pytest.mark.parametrize(("library", "parts"), ALONE.items(), ids=ALONE)
def test_a_library_stays_in_its_place(library: str, parts: set[str]) -> None:
    users = {part_of(path) for path in modules() for name in imported(path) if (name + ".").startswith(library + ".")}
    assert users <= parts


@pytest.mark.parametrize("folder", CATALOGUES)
def test_every_file_of_a_catalogue_is_an_entry(folder: str) -> None:
    place = PACKAGE / folder
    assert {path.name for path in place.iterdir() if path.is_dir()} - {"__pycache__"} == FOLDERS.get(folder, set())
    for path in place.glob("[!_]*.py"):
        module = import_module(f"segablate.{folder.replace('/', '.')}.{path.stem}")
        assert all(hasattr(module, name.format(path.stem)) for name in CATALOGUES[folder]), f"{path} is no entry"


def test_layers_name_what_there_is() -> None:
    present = {part_of(path) for path in modules()} - {"__init__", "__main__"}
    assert present <= set(LAYERS)


@pytest.mark.parametrize(
    "statement",
    [
        "from segablate.cli import application",
        "from segablate.evaluation import loop, results",
        "from segablate.tables import evaluation",
        "from segablate import render",
        "from segablate.datasets import open_dataset",
        "from segablate.checkpoints import open_checkpoint",
    ],
)
def test_torch_is_not_imported_for(statement: str) -> None:
    code = f"import sys; {statement}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
