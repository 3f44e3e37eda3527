"""What an evaluation found: counts and values of each image, and the facts of the run.

A saved run is a folder, format 1::

    run.json       what was run, versions, hashes, the label set, notes, skipped images, hashes of the other files
    counts.npz     per image: names, sizes, label hashes, confusion counts, boundary counts, values of losses
    summary.json   the scores, for people and scripts; derived, never read back

The counts are read with numpy in three lines::

    run = numpy.load("RUN/counts.npz")
    C, N = int(run["classes"]), len(run["names"])        # label C is void, predicted C is outside the label set
    table = numpy.zeros((N, C + 1, C + 1), int); table[run["image"], run["label"], run["predicted"]] = run["pixels"]
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from segablate.errors import RunError
from segablate.files import atomic_folder, write_atomically
from segablate.labels import LabelSet
from segablate.metrics.boundary import BoundaryCounts, merge
from segablate.metrics.confusion import Confusion

FORMAT = 1


@dataclass(frozen=True)
class ImageRecord:
    """What was measured on one image.

    - `table`: (C+1, C+1) int64 confusion counts; `boundary`: its boundary distances, where they were asked for.
    - `values`: one float64 for each loss; nan where it is undefined.
    - `probed`: arrays of whatever else was asked for, see :data:`segablate.evaluation.Probe`.
    - `alternative`: as `table`, of :attr:`Output.alternative`; a run does not keep it.
    """

    index: int
    name: str
    size: tuple[int, int]
    label_hash: str
    table: np.ndarray
    values: Mapping[str, float] = field(default_factory=dict)
    boundary: BoundaryCounts | None = None
    alternative: np.ndarray | None = None
    probed: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """An image that could not be read or measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """A checkpoint on a dataset.

    - `labels`: the label set; `names`, `sizes` (N, 2) and `label_hashes`: the images, in the dataset's order.
    - `confusion`, `boundary`, `values` (each (N,) float64, nan where undefined): what was measured.
    - `facts`: what was run, as plain values: checkpoint, dataset, options, versions.
    - `probed`: what else was asked for, stacked over images, (N, ...); a saved evaluation does not keep it.
    """

    labels: LabelSet
    names: tuple[str, ...]
    sizes: np.ndarray
    label_hashes: tuple[str, ...]
    confusion: Confusion
    values: Mapping[str, np.ndarray]
    boundary: BoundaryCounts | None
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    probed: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Number of images measured."""
        return len(self.names)

    @property
    def title(self) -> str:
        """A short name: that of the checkpoint."""
        return str(self.facts["checkpoint"]["name"])


def collect(records: Sequence[ImageRecord], labels: LabelSet, **rest: Any) -> Evaluation:
    """Put per-image records, in any order, together in the dataset's order; `rest`: facts, notes, skipped."""
    records = sorted(records, key=lambda record: record.index)
    losses, probed = (records[0].values, records[0].probed) if records else ({}, {})
    boundaries = [record.boundary for record in records if record.boundary is not None]
    return Evaluation(
        labels,
        tuple(record.name for record in records),
        np.array([record.size for record in records], np.int32).reshape(-1, 2),
        tuple(record.label_hash for record in records),
        Confusion.from_dense([record.table for record in records], len(labels)),
        {loss: np.array([record.values[loss] for record in records], np.float64) for loss in losses},
        merge(boundaries) if boundaries else None,
        probed={name: np.stack([record.probed[name] for record in records]) for name in probed},
        **rest,
    )


def save_run(run: Evaluation, path: Path, summary: str) -> None:
    """Write a run folder, atomically; `summary` is its report as JSON. RunError when `path` is taken."""
    refuse_existing(path)
    counts = _counts_bytes(run)
    described = {
        "format": FORMAT,
        "kind": "evaluation",
        "facts": run.facts,
        "labels": _plain_labels(run.labels),
        "notes": run.notes,
        "skipped": [{"name": skipped.name, "reason": skipped.reason} for skipped in run.skipped],
        "files": {"counts.npz": _sha256(counts), "summary.json": _sha256(summary.encode())},
    }
    with atomic_folder(path) as folder:
        write_atomically(folder / "counts.npz", counts)
        write_atomically(folder / "summary.json", summary)
        write_atomically(folder / "run.json", json.dumps(sealed(described), indent=1))


def save_report(
    kind: str, report: Mapping[str, Any], facts: Mapping[str, Any], path: Path, **arrays: np.ndarray
) -> None:
    """Write a run of another kind: its report as plain values, and the arrays it rests on; atomically."""
    refuse_existing(path)
    text = json.dumps(report, indent=1)
    contents: dict[str, bytes] = {"report.json": text.encode()}
    if arrays:
        buffer = BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        contents["values.npz"] = buffer.getvalue()
    files = {name: _sha256(data) for name, data in contents.items()}
    described = {"format": FORMAT, "kind": kind, "facts": facts, "files": files}
    with atomic_folder(path) as folder:
        for name, data in contents.items():
            write_atomically(folder / name, data)
        write_atomically(folder / "run.json", json.dumps(sealed(described), indent=1))


def load_report(path: Path) -> dict[str, Any]:
    """The report of a run of another kind. RunError when it is damaged or newer."""
    described = read_description(path)
    _check_files(path, described)
    return json.loads((path / "report.json").read_text(encoding="utf-8"))


def load_run(path: Path) -> Evaluation:
    """Read a run folder back. RunError when it is no run, damaged, of another kind or of a newer format."""
    described = read_description(path, "evaluation")
    _check_files(path, described)
    with np.load(path / "counts.npz", allow_pickle=False) as arrays:
        return _from_arrays(dict(arrays), described)


def read_description(path: Path, kind: str | None = None) -> dict[str, Any]:
    """The content of ``run.json``, checked; RunError when it is missing, damaged, newer or of another kind."""
    file = path / "run.json"
    if not file.is_file():
        raise RunError(f"{path} is not a saved run: it has no run.json; give a folder written with --save")
    try:
        described = json.loads(file.read_text(encoding="utf-8"))
        intact = described == sealed({key: value for key, value in described.items() if key != "seal"})
    except (ValueError, AttributeError):
        intact, described = False, {}
    if isinstance(described, dict) and isinstance(described.get("format"), int) and described["format"] > FORMAT:
        raise RunError(f"{path} is a run of format {described['format']}, newer than this program's {FORMAT}; upgrade")
    if not intact:
        raise RunError(f"{path} is damaged: run.json has been changed since it was written; evaluate again")
    if kind is not None and described["kind"] != kind:
        raise RunError(f"{path} is a saved {described['kind']}, not an {kind}")
    return described


def _check_files(path: Path, described: Mapping[str, Any]) -> None:
    for name, expected in described["files"].items():
        if not (path / name).is_file():
            raise RunError(f"{path} is damaged: {name} is missing; evaluate again")
        if _sha256((path / name).read_bytes()) != expected:
            raise RunError(f"{path} is damaged: {name} has been changed since it was written; evaluate again")


def is_run(path: Path) -> bool:
    """Whether a path looks like a saved run."""
    return (path / "run.json").is_file()


def refuse_existing(path: Path) -> None:
    """RunError when `path` is taken; called before the work as well as after it."""
    if path.exists():
        raise RunError(f"{path} is there already; choose another name, or remove it")


def sealed(described: Mapping[str, Any]) -> dict[str, Any]:
    """The description with a hash of itself, so that a change shows."""
    plain = json.loads(json.dumps(described))
    return {**plain, "seal": _sha256(json.dumps(plain, sort_keys=True).encode())}


def _counts_bytes(run: Evaluation) -> bytes:
    arrays = {
        "classes": np.array(len(run.labels)),
        "names": np.array(run.names, dtype=str),
        "sizes": run.sizes,
        "label_hashes": np.array(run.label_hashes, dtype=str),
        "image": run.confusion.image,
        "label": run.confusion.label,
        "predicted": run.confusion.predicted,
        "pixels": run.confusion.pixels,
        **{f"value_{loss}": values for loss, values in run.values.items()},
        **({f"boundary_{name}": array for name, array in run.boundary.to_arrays().items()} if run.boundary else {}),
    }
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _from_arrays(arrays: Mapping[str, np.ndarray], described: Mapping[str, Any]) -> Evaluation:
    labels = _label_set(described["labels"])
    names = tuple(arrays["names"].tolist())
    counts = (arrays[name] for name in ("image", "label", "predicted", "pixels"))
    boundary = {name.removeprefix("boundary_"): array for name, array in arrays.items() if name.startswith("boundary_")}
    return Evaluation(
        labels,
        names,
        arrays["sizes"],
        tuple(arrays["label_hashes"].tolist()),
        Confusion(len(labels), len(names), *counts),
        {name.removeprefix("value_"): array for name, array in arrays.items() if name.startswith("value_")},
        BoundaryCounts.from_arrays(boundary) if boundary else None,
        described["facts"],
        tuple(described["notes"]),
        tuple(Skipped(**entry) for entry in described["skipped"]),
    )


def _plain_labels(labels: LabelSet) -> dict[str, Any]:
    return {field: getattr(labels, field) for field in labels.__dataclass_fields__}


def _label_set(plain: Mapping[str, Any]) -> LabelSet:
    """From JSON, whose lists were tuples."""
    frozen = {key: _tuples(value) for key, value in plain.items()}
    return LabelSet(**frozen)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
