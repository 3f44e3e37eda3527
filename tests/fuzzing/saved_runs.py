"""Valid saved runs, the pieces of a broken one and an entry of the cache, and damage that keeps their hashes right."""

import contextlib
import hashlib
import io
import json
from pathlib import Path
from random import Random
from typing import Any

from .archive_damage import damaged_zip
from .pictures import write_pictures
from .tree_damage import changed_json

NETWORK = "python:net.py:small(4)@net.pth"
QUIET = ("--workers", "0", "--device", "cpu")
EVALUATE = ("evaluate", NETWORK, "folder:data", *QUIET, "--batch-size", "1")


def write_runs(root: Path) -> None:
    """Two evaluations, a comparison and an ablation, saved in ``runs``."""
    write_pictures(root)
    run_quietly(root, *EVALUATE, "--no-cache", "--save", "runs/a")
    run_quietly(root, *EVALUATE, "--no-cache", "--flip", "--save", "runs/b")
    run_quietly(root, "compare", "runs/a", "runs/b", "--replicates", "100", "--save", "runs/compared")
    run_quietly(root, "ablate", "ce", NETWORK, "folder:data", *QUIET, "--no-cost", "--save", "runs/ablated")
    for description in sorted((root / "runs").rglob("run.json"), key=lambda path: -len(path.parts)):  # inner ones first
        _settle(description)


def leave_pieces(root: Path) -> None:
    """Break an evaluation off at its last image, so that the pieces of the others are left beside ``runs/c``."""
    from segablate.evaluation import loop

    loop._pace = lambda: lambda: True  # a piece for each image
    label = root / "data/labels/val/s2.png"
    whole = label.read_bytes()
    label.write_bytes(whole[:40])
    run_quietly(root, *EVALUATE, "--save", "runs/c", code=1)
    label.write_bytes(whole)


def fill_cache(root: Path) -> None:
    """Evaluate once, so that the cache holds the result."""
    run_quietly(root, *EVALUATE)


def run_quietly(root: Path, *arguments: str, code: int = 0) -> None:
    """Run a command in a folder; RuntimeError where it ends otherwise than with this exit code."""
    from segablate.cli import run

    with contextlib.chdir(root), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = run(arguments)
    if found != code:
        raise RuntimeError(f"segablate {' '.join(arguments)} ends with {found}")


def edit_description(folder: Path, rng: Random) -> None:
    """Another value in a ``run.json`` or ``begun.json``, and nine times in ten the seal that belongs to it."""
    path = rng.choice(sorted([*folder.rglob("run.json"), *folder.rglob("begun.json")]))
    described = json.loads(path.read_bytes())
    described.pop("seal")
    changed = changed_json(json.dumps(described).encode(), rng)
    if rng.random() < 0.9:
        with contextlib.suppress(ValueError, RecursionError):
            changed = json.dumps(sealed(json.loads(changed))).encode()
    path.write_bytes(changed)


def edit_counts(folder: Path, rng: Random) -> None:
    """A damaged archive of counts, or another report, with the hash and the seal that belong to it."""
    files = [path for name in ("counts.npz", "report.json", "values.npz") for path in folder.rglob(name)]
    path = rng.choice(sorted(files))
    data = path.read_bytes()
    path.write_bytes(changed_json(data, rng) if path.suffix == ".json" else damaged_zip(data, rng))
    description = path.parent / "run.json"
    described = json.loads(description.read_bytes())
    described["files"][path.name] = _digest(path)
    description.write_text(json.dumps(sealed(described)))


def edit_piece(folder: Path, rng: Random) -> None:
    """A damaged piece under the name that belongs to it."""
    path = rng.choice(sorted(folder.rglob("piece-*")))
    data = damaged_zip(path.read_bytes(), rng)
    path.unlink()
    stem = path.stem.rpartition("-")[0]
    path.with_name(f"{stem}-{hashlib.sha256(data).hexdigest()[:16]}.npz").write_bytes(data)


def _settle(path: Path) -> None:
    """Times and dates replaced, so that a seed gives the same bytes again."""
    described = json.loads(path.read_bytes())
    described["written"] = "2024-01-01T00:00:00+00:00"
    described["facts"] = _settled(described["facts"])
    described["files"] = {name: _digest(path.parent / name) for name in described["files"]}
    path.write_text(json.dumps(sealed(described), indent=1))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_settled(entry) for entry in value]
    return 0.5 if isinstance(value, float) else value


def sealed(described: Any) -> Any:
    """A description with the seal that belongs to it, as somebody makes it who knows how."""
    if not isinstance(described, dict):
        return described
    plain = {key: value for key, value in described.items() if key != "seal"}
    return {**plain, "seal": hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()}
