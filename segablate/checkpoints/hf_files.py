"""Finding, reading and downloading the files of a Hugging Face checkpoint; nothing in them is run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate import text_files
from segablate.checkpoints.segmenter import Loading
from segablate.errors import CheckpointError, at, shorten
from segablate.extras import require
from segablate.limits import TooLarge
from segablate.text_files import MalformedText

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Names of the weights, or of the index of their parts, in the order of preference."""

_FETCHED = (
    ("config.json", "*processor_config.json", "model*.safetensors*", "tokenizer*", "vocab.json", "merges.txt"),
    ("pytorch_model*.bin*",),
)
"""Patterns of the files that are downloaded: pickles only where there is nothing else."""


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file. Raises CheckpointError, without the path, when it is missing or malformed."""
    if not path.is_file():
        raise CheckpointError("no such file; give a folder written by save_pretrained of transformers")
    try:
        described = text_files.read_json(path)
    except (MalformedText, TooLarge) as error:
        raise CheckpointError(str(error)) from None
    if not isinstance(described, dict):
        raise CheckpointError("is not a JSON object; copy it again")
    return described


def read_tensors(folder: Path, loading: Loading) -> tuple[dict[str, "Tensor"], tuple[Path, ...], tuple[str, ...]]:
    """Read the weights in a folder: tensors by key, their files, and notes.

    Raises CheckpointError when there are none, when a part is missing, or when a file is damaged.
    """
    from segablate.weights import read_weights, state_dict

    paths = _weight_files(folder)
    tensors: dict[str, Tensor] = {}
    notes: list[str] = []
    for path in paths:
        weights = read_weights(path, key=loading.key)
        prefix = loading.strip_prefix
        tensors |= state_dict(weights, strip_prefix=prefix) if prefix else weights.tensors
        notes += weights.notes
    return tensors, paths, tuple(notes)


def _weight_files(folder: Path) -> tuple[Path, ...]:
    path = _first_weights(folder)
    if path is None:
        raise CheckpointError(f"{folder} holds no weights; expected {' or '.join(WEIGHTS[::2])}, also in parts")
    if path.suffix != ".json":
        return (path,)
    with at(path):
        named = read_json(path).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise CheckpointError("has no weight_map, the file of each weight; copy it again")
        parts = tuple(folder / Path(str(name)).name for name in sorted(set(named.values())))
        missing = [part.name for part in parts if not part.is_file()]
        if missing:
            raise CheckpointError(
                f"names {len(parts)} files of weights, of which {shorten(missing)} is missing; copy all of them"
            )
    return parts


def _first_weights(folder: Path) -> Path | None:
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def hub_folder(name: str, download: bool) -> Path:
    """Return the folder of a hub model in the library's cache; with `download`, download it first.

    Raises CheckpointError when it is not there, or cannot be downloaded.
    """
    hub = require("huggingface_hub", "hf", f"hf:{name}")
    folder = Path()
    try:
        for patterns in _FETCHED:
            folder = Path(hub.snapshot_download(name, allow_patterns=patterns, local_files_only=not download))
            if _first_weights(folder):
                break
    except Exception as error:  # of the network, of the hub, of the disk
        if download:
            raise CheckpointError(f"hf:{name} cannot be downloaded: {' '.join(str(error).split())[:200]}") from None
        raise CheckpointError(
            f"hf:{name}: no such folder, and no such model in the library's cache; correct the path, or pass "
            f"--allow-download to download it"
        ) from None
    return folder
