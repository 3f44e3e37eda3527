"""Plans: what a folder of trainings is of, written first, so that another command in the same folder is refused."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segablate.errors import RunError, UsageError, fact
from segablate.files import is_file, write_atomically, writing
from segablate.limits import TooLarge
from segablate.text_files import MalformedText, read_json

FILES = "files"
"""The entry of a plan with a hash of all files that are read."""


def open_plan(path: Path, described: Mapping[str, Any], what: str, growing: str = "") -> None:
    """Write a plan into its folder, or check it against the plan that is there; `what`: a sweep, for example.

    The list under `growing` may go on after what it was: the plan is written anew, and what has ended is kept.

    Raises RunError, with what changed, where it is another plan, and UsageError where the folder holds something else.
    """
    folder = path.parent
    if not is_file(path):
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise UsageError(f"{folder} is a file, but a {what} is a folder; choose another --save")
        if os.path.exists(folder) and any(folder.iterdir()):
            raise UsageError(f"{folder} is there already and holds no {what}; choose another --save")
        with writing(folder):
            write_atomically(path, json.dumps(described, indent=1))
        return
    before = _read(path)
    changed = _changed(before, described)
    if changed == [growing] and _goes_on(before.get(growing), described[growing]):
        with writing(folder):
            write_atomically(path, json.dumps(described, indent=1))
    elif changed:
        raise RunError(
            f"{folder} holds a {what} with another plan: {changes(before, described)}; choose another --save, or ask "
            f"for the same"
        )


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the first entries of a plan that are not what they were, with both values; empty where all are."""
    return "; ".join(_change(name, before.get(name), now[name]) for name in _changed(before, now)[:3])


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [name for name in now if before.get(name) != now[name]]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = read_json(path)
        if not isinstance(found, dict):
            raise MalformedText("is no JSON object")
    except (MalformedText, TooLarge) as error:
        raise RunError(f"{path} is damaged ({fact(error)}); remove {path.parent} and begin again") from None
    return found


def _goes_on(before: Any, now: Sequence[Any]) -> bool:
    return isinstance(before, list) and before == list(now[: len(before)])


def _change(name: str, before: Any, now: Any) -> str:
    if name == FILES:  # hashes would tell nothing
        return "files: an image or label map has another path, size or time, or weights or a package another content"
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return ", ".join(f"{name} {key}: {before.get(key, 'none')} is now {now.get(key, 'none')}" for key in keys[:3])
    return f"{name}: {before} is now {now}"
