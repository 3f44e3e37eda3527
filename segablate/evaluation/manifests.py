"""Manifests: the identity of an evaluation by what was asked for, so that it is found without opening the checkpoint.

A manifest is stored after a checkpoint was opened, under a hash of the specification, the options, the dataset, the
measures, this program and its environment. It holds the identity, and the SHA-256 of every file that the checkpoint was
read from, as it was then; it is used only while all of them are unchanged. Only checkpoints that are decided by these
have one (:attr:`segablate.checkpoints.segmenter.Source.by_files`): none that runs code of a user or of a file, whose
imports and trust are known only by opening it, and none of a library's folder or hub.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.checkpoints.segmenter import Loading, OnError
from segablate.datasets.dataset import Dataset
from segablate.errors import SegablateError
from segablate.evaluation.identity import FORMAT, dataset_identity, environment, plain
from segablate.evaluation.runs import sealed
from segablate.files import cache_folder, discard, fingerprint, write_atomically
from segablate.plain_values import check
from segablate.text_files import read_json

if TYPE_CHECKING:
    from segablate.evaluation.loop import PreparedEvaluation
    from segablate.evaluation.session import Request

MOST_MANIFESTS = 256

_GPU_VARIABLES = ("CUDA_", "NVIDIA_", "HIP_", "HSA_", "ROCR_", "PYTORCH_", "TORCH_")

_SHAPE = {"files": {str: str}, "images": bool, "identity": {str: object}}


@dataclass(frozen=True)
class Manifest:
    """The identity of an evaluation.

    - `files`: the SHA-256 of the files of the checkpoint, by absolute path.
    - `images`: whether the checkpoint needs the images, whose stamps then count too.
    """

    files: Mapping[str, str]
    images: bool
    identity: Mapping[str, Any]

    def unchanged(self) -> bool:
        """Return whether every file has the contents that were read."""
        try:
            return all(fingerprint(Path(path)) == digest for path, digest in self.files.items())
        except SegablateError:
            return False


def manifest_key(checkpoint: str, dataset: Dataset, request: "Request", loading: Loading, on_error: OnError) -> str:
    """Return 32 hexadecimal digits that identify what was asked for, and where."""
    asked = {
        "format": FORMAT,
        "checkpoint": checkpoint,
        "folders": [os.getcwd(), os.path.expanduser("~")],
        "dataset": dataset_identity(dataset),
        "request": request,
        "loading": loading,
        "on error": on_error,
        "environment": environment(),
        "accelerators": _accelerators(),
    }
    return hashlib.sha256(json.dumps(plain(asked), sort_keys=True).encode()).hexdigest()[:32]


def find_manifest(key: str) -> Manifest | None:
    """Return the manifest under a key; None where there is none, or it is damaged."""
    path = _path(key)
    try:
        described = check(read_json(path), _SHAPE, "a manifest")
    except SegablateError:
        return None
    content = {name: described[name] for name in _SHAPE}
    if described != sealed(content):
        return None
    with suppress(OSError):
        os.utime(path)
    return Manifest(**content)


def keep_manifest(key: str, work: "PreparedEvaluation", identity: Mapping[str, Any]) -> None:
    """Store the manifest of an evaluation whose checkpoint was opened, if its files decide it."""
    source, measures = work.segmenter.source, work.measures
    users_code = identity["code"] or "packages" in identity or any(n.startswith("python:") for n in measures.losses)
    if not source.by_files or users_code or measures.inputs:
        return
    by_name, by_path = identity["checkpoint"]["files"], identity["checkpoint"]["files of one name"]
    files = {os.path.abspath(path): by_path.get(str(path)) or by_name[path.name] for path in source.files}
    content = {"files": files, "images": work.segmenter.capabilities.images, "identity": identity}
    with suppress(OSError, SegablateError):
        write_atomically(_path(key), json.dumps(sealed(content)))
        _remove_oldest()


def _accelerators() -> list[str]:
    """Return what decides, beside the version of torch, which GPUs it finds: devices, drivers and variables.

    Unlike :func:`segablate.runtime.resolve_device`, this does not import torch.
    """
    nvidia = Path("/proc/driver/nvidia")
    stated = [path for pattern in ("version", "gpus/*/information") for path in sorted(nvidia.glob(pattern))]
    devices = [path for pattern in ("nvidia*", "kfd", "dxg") for path in sorted(Path("/dev").glob(pattern))]
    variables = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(_GPU_VARIABLES)]
    return [*map(str, devices), *(path.read_text(errors="replace") for path in stated), *variables]


def _remove_oldest() -> None:
    paths = sorted(_path("").parent.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in paths[:-MOST_MANIFESTS]:
        discard(path)


def _path(key: str) -> Path:
    return cache_folder() / "manifests" / f"{key}.json"
