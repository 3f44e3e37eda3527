"""Saved runs: folders whose ``run.json`` describes the run and holds the hash of every other file.

A run is written whole or not at all, and a change to any file is detected on reading. The other files depend on the
kind: "evaluation" (:mod:`segablate.evaluation.results`), or a report that can be printed again: "comparison",
"ablation".
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from segablate.errors import RunError, at, fact
from segablate.evaluation.stored import check_run
from segablate.files import Unreadable, atomic_folder, is_file, read_bytes, shortened, write_atomically
from segablate.limits import TooLarge
from segablate.text_files import MalformedText, parse_json, read_json

FORMAT = 1

DESCRIPTION = "run.json"


def packed(kind: str, described: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a run with their sealed description, by name; `described` holds plain values."""
    whole = {
        "format": FORMAT,
        "kind": kind,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **described,
        "files": {name: _sha256(data) for name, data in files.items()},
    }
    return {**files, DESCRIPTION: json.dumps(sealed(whole), indent=1).encode()}


def write_run(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a packed run, atomically. RunError when `path` exists or cannot be written."""
    refuse_existing(path)
    try:
        with atomic_folder(path) as folder:
            for name, data in files.items():
                write_atomically(folder / name, data)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}; choose another --save") from None


def read_run(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the description of a run and its other files, checked against their hashes.

    RunError for a folder that is not a run, is damaged, of another kind or of a newer format.
    """
    described = read_description(path)
    if described["kind"] != kind:
        raise RunError(f"{path} is a saved {described['kind']}; expected a saved {kind}")
    return described, {name: _read_checked(path, name, digest) for name, digest in described["files"].items()}


def save_report(
    kind: str, report: Mapping[str, Any], facts: Mapping[str, Any], path: Path, files: Mapping[str, bytes]
) -> None:
    """Write a report as a run: its plain values, from which it is printed again, and the files it was made from."""
    plain = json.dumps(report, indent=1).encode()
    write_run(path, packed(kind, {"facts": facts}, {"report.json": plain, **files}))


def load_report(path: Path, kind: str) -> dict[str, Any]:
    """Return the plain values of a saved report. RunError as in :func:`read_run`."""
    files = read_run(path, kind)[1]
    if "report.json" not in files:
        raise RunError(f"{path} is damaged: it has no report.json; create the run again")
    with at(f"{path} is damaged: report.json"):
        return parse_json(files["report.json"].decode(errors="replace"))


def npz(arrays: Iterable[tuple[str, np.ndarray]]) -> bytes:
    """Return arrays as the bytes of a compressed ``.npz``; they are taken one at a time."""
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, array in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def read_description(path: Path) -> dict[str, Any]:
    """Return the content of ``run.json``, checked. RunError when it is missing, damaged or newer."""
    if not is_run(path):
        raise RunError(f"{shortened(path)} is not a saved run: it has no {DESCRIPTION}; give a folder of --save")
    try:
        described = read_json(path / DESCRIPTION)
    except (MalformedText, TooLarge) as error:
        raise RunError(f"{path} is damaged: {DESCRIPTION} {fact(error)}; create the run again") from None
    if not isinstance(described, dict):
        raise RunError(f"{path} is damaged: {DESCRIPTION} is not a JSON object; create the run again")
    written = described.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise RunError(f"{path} is a run of format {written}, newer than this program's {FORMAT}; upgrade segablate")
    if described != sealed({key: value for key, value in described.items() if key != "seal"}):
        raise RunError(f"{path} is damaged: {DESCRIPTION} was changed since it was written; create the run again")
    try:
        return check_run(described)
    except MalformedText as error:
        raise RunError(f"{path} is damaged: {error}; create the run again") from None


def is_run(path: Path) -> bool:
    """Whether a path is a folder with a ``run.json``."""
    return is_file(path / DESCRIPTION)


def refuse_existing(path: Path) -> None:
    """Raise RunError when `path` exists; called before the work as well as after it."""
    if os.path.exists(path):
        raise RunError(f"{path} exists; choose another name, or remove it")


def sealed(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description with a hash of itself, by which a change is detected."""
    plain = json.loads(json.dumps(described))
    return {**plain, "seal": _sha256(json.dumps(plain, sort_keys=True).encode())}


def _read_checked(path: Path, name: str, digest: str) -> bytes:
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts or not parts:
        raise RunError(f"{path} is damaged: {DESCRIPTION} names {name[:60]!r}, a file outside; create the run again")
    try:
        data = read_bytes(path / name).tobytes()
    except Unreadable:
        reason = "cannot be read" if is_file(path / name) else "is missing"
        raise RunError(f"{path} is damaged: {name} {reason}; create the run again") from None
    if _sha256(data) != digest:
        raise RunError(f"{path} is damaged: {name} was changed since it was written; create the run again")
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
