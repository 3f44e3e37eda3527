"""Pieces of an unfinished evaluation, in a folder beside the run it is to become, from which it can be resumed.

``RUN.partial`` holds ``begun.json``, which identifies the evaluation, and ``piece-A-R-N-HASH.npz``: written in attempt
A by process R, the N-th, with the first 16 digits of the SHA-256 of the file. A piece is an
:class:`~segablate.evaluation.results.Evaluation` of some images. It is written whole or not at all; one that was
damaged afterwards is recognised by its hash, named in a note, and its images are measured again.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segablate.archives import read_structure
from segablate.errors import RunError, SegablateError, shorten
from segablate.evaluation.results import Evaluation, arrays_of, from_arrays, select
from segablate.evaluation.runs import npz, sealed
from segablate.files import Unreadable, read_bytes, write_atomically
from segablate.labels import LabelSet
from segablate.text_files import read_json

_BEGUN = "begun.json"
_NAME = re.compile(r"piece-\d+-\d+-\d+-[0-9a-f]{16}\.npz")


@dataclass(frozen=True)
class Pieces:
    """The folder of one evaluation, for one process of one attempt.

    - `kept`: what earlier attempts measured, of images whose files are as they were.
    - `notes`: on pieces that could not be used.
    """

    folder: Path
    attempt: int = 1
    kept: tuple[Evaluation, ...] = ()
    notes: tuple[str, ...] = ()
    rank: int = 0

    def write(self, part: Evaluation, stamps: Mapping[str, str], number: int) -> None:
        """Add a piece, with the stamps of its images' files. RunError when it cannot be written."""
        stamped = np.array([stamps[name] for name in part.names], dtype=str)
        data = npz([*arrays_of(part), ("notes", np.array(part.notes, dtype=str)), ("stamps", stamped)])
        name = f"piece-{self.attempt:03d}-{self.rank:03d}-{number:06d}-{_digest(data)}.npz"
        try:
            write_atomically(self.folder / name, data)
        except OSError as error:
            reason = error.strerror or error
            raise RunError(f"{self.folder} cannot be written: {reason}; free some space") from None

    def found(self) -> list[Path]:
        """Return the files that are pieces, in order."""
        return sorted(path for path in self.folder.glob("piece-*") if _NAME.fullmatch(path.name))


def partial_folder(run: Path) -> Path:
    """Return the folder that holds the pieces of a run until it is complete."""
    return run.with_name(f"{run.name}.partial")


def remove_pieces(run: Path) -> None:
    """Remove the pieces of a run; called when the run itself has been written."""
    shutil.rmtree(partial_folder(run), ignore_errors=True)


def refuse_partial(run: Path, resume: bool) -> None:
    """Raise RunError for pieces of an interrupted run unless it is to be resumed; called before the work."""
    folder = partial_folder(run)
    if Pieces(folder).found() and not resume:
        raise RunError(f"{folder} holds an interrupted run; continue it with --resume, or remove the folder")


def open_pieces(run: Path, identity: Mapping[str, Any], labels: LabelSet, stamps: Mapping[str, str]) -> Pieces:
    """Create the folder of pieces, or open an existing one, for the evaluation that `identity` describes.

    `stamps` are those of the image files as they are now, by image name. Raises RunError for a folder of another
    evaluation, naming what differs, for a damaged description and for a folder that cannot be written.
    """
    folder = partial_folder(run)
    pieces = Pieces(folder)
    if not pieces.found():
        try:
            write_atomically(folder / _BEGUN, json.dumps(sealed(identity), indent=1))
        except OSError as error:
            raise RunError(f"{folder} cannot be written: {error.strerror or error}; choose another --save") from None
        return pieces
    _require_same(folder, identity)
    last = max((int(path.name.split("-")[1]) for path in pieces.found()), default=0)
    return _read(replace(pieces, attempt=last + 1), labels, stamps)


def _read(pieces: Pieces, labels: LabelSet, stamps: Mapping[str, str]) -> Pieces:
    """Return the pieces with the contents of their files, of images whose stamps have not changed."""
    kept, damaged, changed, seen = [], [], set[str](), set[str]()
    for path in pieces.found():
        data = _bytes(path)
        if _digest(data) != path.stem.split("-")[-1]:
            damaged.append(path.name)
            continue
        try:
            part, then = _parsed(data, labels)
        except SegablateError:
            damaged.append(path.name)
            continue
        current = {name for name, stamp in zip(part.names, then, strict=True) if stamp == stamps.get(name)}
        changed |= set(part.names) - current
        chosen = [place for place, name in enumerate(part.names) if name in current - seen]
        seen |= current
        if chosen:
            kept.append(select(part, chosen))
    notes = []
    if damaged:
        be, these = ("are", "their images") if len(damaged) > 1 else ("is", "its images")
        notes.append(f"{shorten(damaged)} in {pieces.folder.name} {be} damaged; {these} were measured again")
    if changed := changed - seen:
        notes.append(f"{shorten(sorted(changed))} had changed before --resume and were measured again")
    return replace(pieces, kept=tuple(kept), notes=tuple(notes))


def _bytes(path: Path) -> bytes:
    """Return the bytes of a file; none where it cannot be read."""
    try:
        return read_bytes(path).tobytes()
    except Unreadable:
        return b""


def _parsed(data: bytes, labels: LabelSet) -> tuple[Evaluation, list[str]]:
    """Return a piece and the stamps of its images. Raises a SegablateError for one that is damaged."""
    arrays = read_structure(data)
    texts = [arrays.pop(name, np.zeros(0)) for name in ("notes", "stamps")]
    part = from_arrays(arrays, labels, facts={})
    if any(text.dtype.kind != "U" or text.ndim != 1 for text in texts) or len(texts[1]) != part.images:
        raise RunError("its notes or stamps do not fit")
    return replace(part, notes=tuple(texts[0].tolist())), texts[1].tolist()


def _require_same(folder: Path, identity: Mapping[str, Any]) -> None:
    begun = _description(folder)
    different = _differences(begun, json.loads(json.dumps(identity)), "")
    if different:
        raise RunError(f"{folder} was started with another {different[0]}; resume with the former, or remove it")


def _description(folder: Path) -> dict[str, Any]:
    try:
        described = read_json(folder / _BEGUN)
        seal = described.pop("seal")
    except (SegablateError, AttributeError, KeyError, TypeError):
        described, seal = {}, None
    if seal is None or sealed(described)["seal"] != seal:
        raise RunError(
            f"{folder} is damaged: {_BEGUN} was changed since it was written; remove the folder, start again"
        )
    return described


def _differences(then: Any, now: Any, where: str) -> list[str]:
    """Return where two plain values differ, with both values, such as ``checkpoint preprocessing (a, now b)``."""
    if isinstance(then, dict) and isinstance(now, dict):
        names = dict.fromkeys([*then, *now])
        return [line for name in names for line in _differences(then.get(name), now.get(name), f"{where} {name}")]
    return [] if then == now else [f"{where.strip()} ({_short(then)}, now {_short(now)})"]


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
