"""A file of this program, which names architecture, classes and preprocessing: ``FILE.safetensors``.

The metadata key ``segablate`` holds JSON::

    {"format": 1, "architecture": "small", "arguments": {"num_classes": 9}, "classes": ["sky", ...],
     "preprocessing": {"channels": "rgb", "scale": "1/255", ...}, "output": "softmax", "training": {...}}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.errors import CheckpointError, at
from segablate.files import native_path, write_atomically
from segablate.plain_values import check
from segablate.text_files import parse_json
from segablate.weights.recognition import refuse_other

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".safetensors",)

FORMAT = 1

_SHAPE = {
    "architecture": str,
    "arguments": {str: object},
    "classes": [str],
    "preprocessing": {str: object},
    "output": str,
    "training?": {"objective?": str},
}


def open_source(place: str, loading: Loading) -> Segmenter:
    """Load a self-describing file. Raises CheckpointError when it is damaged, newer or without a description."""
    from segablate.checkpoints.network import prepared
    from segablate.networks import get_network
    from segablate.weights import load_strictly, read_weights

    path = loading.located(place)
    if not is_described(path):
        from segablate.checkpoints.bare_weights import without_network

        raise CheckpointError(without_network(place, path, loading))
    described = read_description(path)
    with at(path):
        try:
            module = get_network(described["architecture"])(**described["arguments"])
        except TypeError as error:
            raise CheckpointError(
                f"its arguments do not fit architecture {described['architecture']!r}: {error}"
            ) from None
    notes = load_strictly(module, read_weights(path).tensors, str(path))
    facts = {"architecture": _call(described["architecture"], described["arguments"])}
    if objective := described.get("training", {}).get("objective"):
        facts["trained with"] = str(objective)
    return prepared(
        module,
        Source(place, (path,), facts, notes or (), f"builtin:{facts['architecture']}", by_files=True),
        loading,
        Preprocessing.parse(described["preprocessing"]),
        described["output"],
        tuple(described["classes"]) or None,
    )


def is_described(path: Path) -> bool:
    """Return whether a file is one of this program; also for one that cannot be read, which its reader says."""
    try:
        return "segablate" in _metadata(path)
    except CheckpointError:
        return True


def read_description(path: Path) -> dict[str, Any]:
    """Read the metadata of a self-describing file, without its tensors. Raises CheckpointError where there is none."""
    metadata = _metadata(path)
    if "segablate" not in metadata:
        raise CheckpointError(
            f"{path}: holds weights, but no network; name the network, as in "
            f"python:package.module:factory(num_classes=11)@{path}"
        )
    with at(path):
        described = check(parse_json(metadata["segablate"]), {"format?": int}, "its description")
        if described.get("format", 0) > FORMAT:
            raise CheckpointError(f"has format {described['format']}, newer than this program's {FORMAT}; upgrade")
        return check(described, _SHAPE, "its description")


def _metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file. Raises CheckpointError where it is missing, damaged or another file."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; check the path")
    with at(path):
        native = native_path(path, "safetensors")
        refuse_other(path)
    try:
        with safe_open(native, "numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error}); copy it again") from None


def save(path: Path, state: "Mapping[str, Tensor]", description: Mapping[str, Any]) -> None:
    """Write a self-describing file, atomically and byte for byte the same for the same content.

    `description`: architecture, arguments, classes, preprocessing (plain values), output and training.
    """
    from safetensors.torch import save as to_bytes

    tensors = {name: state[name].detach().cpu().contiguous() for name in sorted(state)}
    metadata = json.dumps({"format": FORMAT, **description}, sort_keys=True)
    write_atomically(path, to_bytes(tensors, {"segablate": metadata}))


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
