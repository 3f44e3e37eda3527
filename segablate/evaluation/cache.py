"""Evaluations that need not be run again: kept in the user's cache folder as saved runs, found by what decides them.

The folder is bounded: what has not been used for longest is removed. A folder that cannot be written, or an entry that
is damaged, costs no more than measuring again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from segablate.errors import RunError
from segablate.evaluation.identity import environment
from segablate.evaluation.results import Evaluation, load_run, save_run
from segablate.evaluation.runs import read_description
from segablate.files import cache_folder

MOST_RUNS = 64
MOST_BYTES = 1 << 30


def key_of(identity: Mapping[str, Any], stamps: Mapping[str, str]) -> str | None:
    """32 digits for everything that decides the numbers; None where an item lies in no file that could be watched."""
    if not all(stamps.values()):
        return None
    text = json.dumps([identity, list(stamps.values()), environment()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def kept_evaluation(key: str) -> Evaluation | None:
    """The evaluation of this key, with a note that says since when it is kept; None where there is none."""
    path = _folder() / key
    try:
        run = load_run(path)
        written = read_description(path)["written"]
    except RunError:
        return None
    with suppress(OSError):
        os.utime(path)
    since = f"{written[:16].replace('T', ' ')} UTC"
    note = f"unchanged since {since} and taken from the cache; --no-cache measures again"
    return replace(run, notes=(*run.notes, note))


def keep_evaluation(key: str, run: Evaluation) -> None:
    """Keep an evaluation in place of what is kept under its key, if anything, and remove the oldest beyond bounds.

    Does nothing where images were skipped, for they may be there the next time.
    """
    if run.skipped:
        return
    path = _folder() / key
    shutil.rmtree(path, ignore_errors=True)
    with suppress(RunError):  # it cannot be written, or another process was faster
        save_run(run, path, "")
    _shrink(path)


def _shrink(newest: Path) -> None:
    entries = []
    for path in _folder().glob("*"):
        with suppress(OSError):
            entries.append((path.stat().st_mtime_ns, path, sum(file.stat().st_size for file in path.iterdir())))
    total = 0
    for rank, (_, path, size) in enumerate(sorted(entries, reverse=True)):
        total += size
        if (rank >= MOST_RUNS or total > MOST_BYTES) and path != newest:
            shutil.rmtree(path, ignore_errors=True)


def _folder() -> Path:
    return cache_folder() / "evaluations"
