"""A network saved with its code by ``torch.jit.save``: ``torchscript:FILE``.

The code in the archive is TorchScript, which computes with tensors and can touch nothing else. Preprocessing, classes
and the kind of output come from a card or from options.
"""

import warnings
from typing import TYPE_CHECKING

from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.errors import CheckpointError, at
from segablate.runtime import resolve_device

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def open_source(place: str, loading: Loading) -> Segmenter:
    """Load an archive onto its device. Raises CheckpointError when it is damaged or no such archive."""
    from segablate.checkpoints.network import prepared

    path = loading.located(place)
    with at(path):
        module = _load(path, str(resolve_device(loading.device)))
    return prepared(module, Source(f"torchscript:{place}", (path,)), loading)


def _load(path: "Path", device: str) -> "nn.Module":
    import torch

    if not path.is_file():
        raise CheckpointError("no such file; check the path")
    try:
        with warnings.catch_warnings():
            # A DeprecationWarning up to torch 2.13 and a FutureWarning, which is printed, from 2.14 on. It is for those
            # who write archives: whoever evaluates one that exists cannot act on it.
            warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated")
            return torch.jit.load(str(path), map_location=device)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        raise CheckpointError(
            f"not a whole TorchScript archive ({reason}); for a state dict, name the network too, as in "
            f"python:package.module:factory()@{path.name}"
        ) from None
