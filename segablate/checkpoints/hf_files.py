"""Finding, reading and downloading the files of a Hugging Face checkpoint; nothing in them is run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate import text_files
from segablate.checkpoints.segmenter import Loading
from segablate.errors import CheckpointError
from segablate.extras import require
from segablate.limits import TooLarge
from segablate.text_files import MalformedText
from segablate.weights.shards import is_index, parts_of, weights_in

if TYPE_CHECKING:
    from torch import Tensor

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
    path = weights_in(folder)
    if path is None:
        raise CheckpointError(
            f"{folder} holds no weights; expected model.safetensors or pytorch_model.bin, also in parts"
        )
    return parts_of(path)[1] if is_index(path) else (path,)


def hub_folder(name: str, download: bool) -> Path:
    """Return the folder of a hub model in the library's cache; with `download`, download it first.

    Raises CheckpointError when it is not there, or cannot be downloaded.
    """
    hub = require("huggingface_hub", "hf", f"hf:{name}")
    folder = Path()
    try:
        for patterns in _FETCHED:
            folder = Path(hub.snapshot_download(name, allow_patterns=patterns, local_files_only=not download))
            if weights_in(folder):
                break
    except Exception as error:  # of the network, of the hub, of the disk
        if download:
            raise CheckpointError(f"hf:{name} cannot be downloaded: {' '.join(str(error).split())[:200]}") from None
        raise CheckpointError(
            f"hf:{name}: no such folder, and no such model in the library's cache; correct the path, or pass "
            f"--allow-download to download it"
        ) from None
    return folder
