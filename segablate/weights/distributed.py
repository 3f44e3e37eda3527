"""Checkpoints of ``torch.distributed.checkpoint``: a folder with ``.metadata`` and ``.distcp`` files.

``.metadata`` is a pickled ``Metadata`` (torch/distributed/checkpoint/metadata.py): shape and chunks of each tensor, for
each chunk the file, the offset and the length of its bytes there (``_StorageInfo`` of filesystem.py), and the keys by
which nested dictionaries were flattened. The bytes of a chunk are a file of ``torch.save``. Nothing in them is run.
"""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.errors import CheckpointError, counted, shorten
from segablate.limits import Budget
from segablate.weights.rebuilding import known
from segablate.weights.torchfiles import read_zip
from segablate.weights.unpickling import Built, Content, Known, unpickle

if TYPE_CHECKING:
    from torch import Tensor

METADATA = ".metadata"

_MODULE = "torch.distributed.checkpoint"
_RECORDS = (
    *(f"metadata.{name}" for name in ("Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "MetadataIndex")),
    *("metadata.ChunkStorageMetadata", "metadata.TensorProperties", "filesystem._StorageInfo"),
)


class Record(Built):
    """A pickled object of the library: its class, and its fields where they are a dictionary."""

    def __init__(self, kind: str, *_: object) -> None:
        self.kind = kind
        self.fields: Mapping[str, Any] = {}

    def build(self, state: Any) -> None:
        if isinstance(state, dict):
            self.fields = state


def is_distributed(folder: Path) -> bool:
    """Return whether a folder is a distributed checkpoint."""
    return (folder / METADATA).is_file()


def read_distributed(folder: Path) -> tuple[Content, tuple[Path, ...]]:
    """Read all tensors of a checkpoint, and return them nested as they were saved, and the files.

    Raises :class:`CheckpointError` for missing files and for other ways of storing, and the exceptions of
    :func:`~segablate.weights.torchfiles.read_zip` for damage.
    """
    metadata = _metadata(folder / METADATA)
    places = {
        (index.fields["fqn"], _offset(index.fields.get("offset"))): info.fields
        for index, info in metadata["storage_data"].items()
    }
    _check_files(folder, places)
    nested: dict[Any, Any] = {}
    paths = metadata.get("planner_data") or {}
    for key, described in metadata["state_dict_metadata"].items():
        if described.kind == "TensorStorageMetadata":
            _put(nested, paths.get(key, (key,)), _tensor(folder, key, described.fields, places))
    files = tuple(folder / name for name in sorted({info["relative_path"] for info in places.values()}))
    return Content(nested, {}), (folder / METADATA, *files)


def _metadata(path: Path) -> Mapping[str, Any]:
    names = {f"{_MODULE}.{name}": Known(partial(Record, name.rpartition(".")[2])) for name in _RECORDS}
    with path.open("rb") as file:
        content = unpickle(file, {**known(), **names}, _no_persistent, Budget(path.stat().st_size))
    if not isinstance(content.value, Record) or not content.value.fields.get("storage_data"):
        raise CheckpointError(
            f"its {METADATA} describes no tensors; save it again by torch.distributed.checkpoint.save"
        )
    return content.value.fields


def _check_files(folder: Path, places: Mapping[Any, Mapping[str, Any]]) -> None:
    """Raise CheckpointError for names outside the folder, files that are missing, and transformed bytes."""
    names = {info["relative_path"] for info in places.values()}
    missing = [name for name in sorted(names) if Path(name).name != name or not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"its {METADATA} names {counted(len(names), 'file')}, of which {shorten(missing)} is missing; copy all"
        )
    if any(info.get("transform_descriptors") for info in places.values()):
        raise CheckpointError(
            "its tensors are compressed, which is not read; join it by python -m "
            f"torch.distributed.checkpoint.format_utils dcp_to_torch {folder} weights.pth"
        )


def _tensor(folder: Path, key: str, described: Mapping[str, Any], places: Mapping[Any, Mapping[str, Any]]) -> "Tensor":
    """Join the chunks of a tensor."""
    import torch

    size, whole, filled = tuple(described["size"]), None, 0
    for chunk in described["chunks"]:
        offsets, sizes = tuple(chunk.fields["offsets"]), tuple(chunk.fields["sizes"])
        info = places.get((key, _offset(offsets))) or places[key, None]
        part = _chunk(folder / info["relative_path"], info["offset"], info["length"])
        if tuple(part.shape) != sizes:
            raise ValueError(f"a chunk of {key} is of another shape than stated")
        if sizes == size:
            return part
        whole = torch.empty(size, dtype=part.dtype) if whole is None else whole
        whole[tuple(slice(start, start + side) for start, side in zip(offsets, sizes, strict=True))] = part
        filled += math.prod(sizes)
    if whole is None or filled != whole.numel():
        raise ValueError(f"the chunks of {key} do not cover it")
    return whole


def _chunk(path: Path, offset: int, length: int) -> "Tensor":
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(length)
    value = read_zip(data).value
    if not hasattr(value, "shape"):
        raise CheckpointError(f"{path.name} holds no tensor at byte {offset}; save it again")
    return value


def _offset(value: Any) -> tuple[int, ...] | None:
    return None if value is None else tuple(value)


def _put(nested: dict[Any, Any], path: tuple[Any, ...], value: object) -> None:
    """Put a value under a path of keys."""
    for key in path[:-1]:
        nested = nested.setdefault(key, {})
    nested[path[-1]] = value


def _no_persistent(saved: object) -> object:
    raise ValueError("a persistent id where none belongs")
