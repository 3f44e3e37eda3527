"""A network saved with its code by ``torch.jit.save``: ``torchscript:FILE``.

Such an archive is a program, and not in a sandbox: TorchScript can call ``aten::from_file`` and ``aten::save``, which
write any file that the user may write. It is refused without ``--trust-code``. Preprocessing, classes and the kind of
output come from a card or from options.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from segablate.checkpoints.assumptions import ASSUMED
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.checkpoints.trust import open_archive
from segablate.errors import CheckpointError, at
from segablate.files import native_path
from segablate.runtime import resolve_device
from segablate.weights.recognition import refuse_other

if TYPE_CHECKING:
    from torch import nn

REFUSAL = (
    "a TorchScript archive is a program that can write any file; pass --trust-code if you made it or trust its author, "
    "or save its state_dict and use python:package.module:factory()@FILE"
)


def open_source(place: str, loading: Loading) -> Segmenter:
    """Load an archive onto its device. Raises CheckpointError without trust, or when it is damaged or no archive."""
    from segablate.checkpoints.network import prepared

    (path,) = code_files(place, loading)
    with at(path):
        refuse_other(path, "torchscript")
    archive = open_archive(path, loading.card, loading.trust_code, REFUSAL)
    with at(path):
        module = _load(path.name, archive, str(resolve_device(loading.device)))
    note = f"{path.name} is a program: its code has run"
    return prepared(module, Source(f"torchscript:{place}", (path,), {}, (note,)), loading, assume=ASSUMED)


def code_files(place: str, loading: Loading) -> tuple[Path, ...]:
    """Return the archive. Raises CheckpointError where it is missing."""
    return (loading.existing(place),)


def _load(name: str, archive: Path | BinaryIO, device: str) -> "nn.Module":
    import torch

    found = native_path(archive, "torch.jit.load") if isinstance(archive, Path) else archive
    try:
        with warnings.catch_warnings():
            # A DeprecationWarning up to torch 2.13 and a FutureWarning, which is printed, from 2.14 on. It is for those
            # who write archives: whoever evaluates one that exists cannot act on it.
            warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated")
            return torch.jit.load(found, map_location=device)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        raise CheckpointError(
            f"not a whole TorchScript archive ({reason}); for a state dict, name the network too, as in "
            f"python:package.module:factory()@{name}"
        ) from None
