"""The metadata of a TFLite file, as tflite-support, MediaPipe and Ultralytics write them.

A buffer ``TFLITE_METADATA`` holds a table of the schema ``metadata_schema.fbs``: for each input mean and std of pixels
of 0..255, for each output the names of its label files. These files are in a zip archive behind the model, in which
Ultralytics writes ``metadata.json`` (``temp_meta.txt`` before 8.3). Nothing in it is trusted: sizes and places are
judged first.
"""

import mmap
from pathlib import Path
from typing import Any

from segablate.archives import DamagedArchive, damage_named, opened_zip
from segablate.checkpoints.flat_tables import DamagedTable, Table
from segablate.checkpoints.stated_metadata import Stated, names_in, read_statements, value_of
from segablate.errors import CheckpointError, thousands
from segablate.limits import TooLarge

MOST_METADATA = 1 << 22
"""Bytes of the table of metadata that are read."""

MOST_MEMBER = 1 << 20
"""Bytes of a label file that are read."""

_NAME = "TFLITE_METADATA"
_NORMALISATION = 1
_LABELS = (2, 3)
"""Kinds of associated files: labels of an axis, and of values."""

_OF_ULTRALYTICS = ("metadata.json", "temp_meta.txt")


def read_tflite_metadata(path: Path, output: int = 0) -> Stated:
    """Read what a TFLite file states of its input and of one of its outputs, by its place.

    Raises CheckpointError for damaged metadata, and for a network of Ultralytics without a class for each pixel.
    """
    try:
        found = _table(path, output)
        return _joined(path, *found)
    except (DamagedTable, DamagedArchive, TooLarge) as error:
        raise CheckpointError(f"its metadata are damaged ({error}); convert it again, or write them again") from None


def _table(path: Path, output: int) -> tuple[dict[str, Any], list[str]]:
    """Return mean and std of the input, and the names of the label files of the output and of all outputs."""
    with path.open("rb") as file:  # unmapped with its last view, which may outlive an error
        content = _metadata(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    if content is None:
        return {}, []
    subgraph = next(iter(Table.root(memoryview(content)).tables(3)), None)
    if subgraph is None:
        return {}, []
    inputs, outputs = subgraph.tables(2), subgraph.tables(3)
    files = [file for place in outputs[output : output + 1] for file in place.tables(6)]
    files += subgraph.tables(4)
    named = [file.text(0) for file in files if file.integer(2) in _LABELS]
    return (_constants(inputs[0]) if inputs else {}), named


def _metadata(data: memoryview) -> bytes | None:
    """Return the buffer of the metadata of a model, or None without one."""
    model = Table.root(data)
    number = next((each.integer(1, "<I") for each in model.tables(6) if each.text(0) == _NAME), None)
    if number is None:
        return None
    buffers = model.tables(4)
    if number >= len(buffers):
        raise DamagedTable(f"buffer {number} of {len(buffers)}")
    return bytes(buffers[number].content(0, MOST_METADATA))


def _constants(tensor: Table) -> dict[str, Any]:
    """Return mean and std of pixels of 0..255."""
    for unit in tensor.tables(4):
        options = unit.table(1) if unit.integer(0) == _NORMALISATION else None
        if options is None:
            continue
        mean, std = options.floats(0), options.floats(1)
        if mean and std and all(value > 0 for value in std):
            count = max(len(mean), len(std))
            rows = [row * count if len(row) == 1 else row for row in (mean, std)]
            return {"scale": "1", "mean": rows[0], "std": rows[1]}
    return {}


def _joined(path: Path, steps: dict[str, Any], named: list[str]) -> Stated:
    """Read the archive behind the model, where there is one."""
    facts = {"mean and std": "from the file's metadata"} if steps else {}
    members = _members(path, [*named, *_OF_ULTRALYTICS])
    for name in _OF_ULTRALYTICS:
        described = value_of(members[name]) if name in members else None
        if isinstance(described, dict):
            stated = read_statements({str(key): str(value) for key, value in described.items()}, name)
            return Stated(stated.classes, steps or stated.preprocessing, {**stated.facts, **facts})
    for name in named:
        lines = members.get(name, "").splitlines()
        classes = names_in([line.strip() for line in lines if line.strip()])
        if classes:
            return Stated(classes, steps, {"classes": f"{len(classes)}, from {name}, inside the file", **facts})
    missing = [name for name in named if name not in members]
    note = f"its label file {missing[0][:60]} is named in its metadata, but not in the file" if missing else ""
    return Stated(None, steps, facts, tuple(filter(None, [note])))


def _members(path: Path, names: list[str]) -> dict[str, str]:
    """Return the text of members of the archive behind the model, by their names; none where there is no archive."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - (1 << 16) - 22))
        if b"PK\5\6" not in file.read():
            return {}
    found = {}
    with damage_named(), opened_zip(path) as archive:
        listed = {entry.filename: entry for entry in archive.infolist()}
        for name in dict.fromkeys(names):
            if (entry := listed.get(name)) is None:
                continue
            if entry.file_size > MOST_MEMBER:
                raise TooLarge(
                    f"{name[:60]} has {thousands(entry.file_size)} bytes, of which at most {thousands(MOST_MEMBER)} "
                    f"are read"
                )
            with archive.open(entry) as member:
                found[name] = member.read(MOST_MEMBER).decode("utf-8", "replace")
    return found
