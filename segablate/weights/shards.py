"""Weights in several files beside an index, and the weights in a folder.

The index of transformers and diffusers is JSON, ``{"metadata": ..., "weight_map": {key: file}}``.
"""

from pathlib import Path

from segablate.errors import CheckpointError, at, counted, shorten
from segablate.limits import TooLarge
from segablate.text_files import MalformedText, read_json

INDEX = ".index.json"

WEIGHTS = tuple(
    f"{stem}{suffix}{end}"
    for stem, suffix in (
        ("model", ".safetensors"),
        ("diffusion_pytorch_model", ".safetensors"),
        ("pytorch_model", ".bin"),
        ("diffusion_pytorch_model", ".bin"),
    )
    for end in ("", INDEX)
)
"""Names of the weights in a folder, or of the index of their parts, in the order of preference."""


def weights_in(folder: Path) -> Path | None:
    """Return the file of weights in a folder, or their index; None where there is none of the usual names."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def holds_weights(folder: Path) -> bool:
    """Return whether a path is a folder with weights, in one file, in parts or distributed."""
    return folder.is_dir() and (weights_in(folder) is not None or (folder / ".metadata").is_file())


def is_index(path: Path) -> bool:
    """Return whether a path is called like the index of weights in parts."""
    return path.name.endswith(INDEX)


def parts_of(index: Path) -> tuple[dict[str, str], tuple[Path, ...]]:
    """Read an index: the file of each key, and the paths of the files.

    Raises CheckpointError, beginning with the path, for an index that is none, and where parts are missing.
    """
    with at(index):
        try:
            described = read_json(index)
        except (MalformedText, TooLarge) as error:
            raise CheckpointError(str(error)) from None
        named = described.get("weight_map") if isinstance(described, dict) else None
        if not isinstance(named, dict) or not named:
            raise CheckpointError("has no weight_map, the file of each weight; copy it again")
        files = {str(key): Path(str(name)).name for key, name in named.items()}
        parts = tuple(index.parent / name for name in sorted(set(files.values())))
        missing = [part.name for part in parts if not part.is_file()]
        if missing:
            raise CheckpointError(
                f"names {counted(len(parts), 'weights file')}, of which {shorten(missing)} is missing; copy all of them"
            )
    return files, parts
