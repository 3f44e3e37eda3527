"""A cache of evaluations: saved runs in the user's cache folder, under a hash of everything that decides the numbers.

The folder is bounded: the least recently used runs are removed. A folder that cannot be written or a damaged entry only
costs another evaluation.
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

from segablate.errors import RunError, SegablateError
from segablate.evaluation.identity import environment
from segablate.evaluation.results import Evaluation, load_run, save_run
from segablate.evaluation.runs import read_description
from segablate.files import cache_folder

MOST_RUNS = 64
MOST_BYTES = 1 << 30


def key_of(identity: Mapping[str, Any], stamps: Mapping[str, str]) -> str | None:
    """Return 32 hexadecimal digits that identify the numbers; None where an image has no file with a stamp."""
    if not all(stamps.values()):
        return None
    text = json.dumps([identity, list(stamps.values()), environment()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def kept_evaluation(key: str) -> Evaluation | None:
    """Return the cached evaluation of this key, with a note that states its date; None where there is none."""
    path = _folder() / key
    try:
        run = load_run(path)
        written = read_description(path)["written"]
    except SegablateError:
        return None
    with suppress(OSError):
        os.utime(path)
    since = f"{written[:16].replace('T', ' ')} UTC"
    note = f"unchanged since {since} and taken from the cache; --no-cache measures again"
    return replace(run, notes=(*run.notes, note))


def keep_evaluation(key: str, run: Evaluation) -> None:
    """Store an evaluation under its key, replacing an earlier one, and remove the oldest beyond the bounds.

    An evaluation that skipped images is not stored: they may be readable the next time.
    """
    if run.skipped:
        return
    path = _folder() / key
    shutil.rmtree(path, ignore_errors=True)
    with suppress(RunError):  # the folder cannot be written, or another process was faster
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
