"""The formats of weights files, told by their first bytes."""

import os
from enum import Enum
from pathlib import Path

from segablate.archives import member_names
from segablate.errors import CheckpointError
from segablate.files import is_file, is_folder
from segablate.weights.recognition import recognise
from segablate.weights.recognition.folders import single_weights

HEAD = 1024
"""Number of bytes read to tell the format."""


class Format(Enum):
    """The formats of weights files."""

    SAFETENSORS = "safetensors"
    TORCH = "torch"
    TORCH_LEGACY = "torch before 1.6, or pickle"
    NUMPY = "numpy"
    DISTRIBUTED = "torch.distributed.checkpoint"


def format_of(path: Path) -> Format:
    """Return the format of the file at ``path``. Raises :class:`CheckpointError` for other kinds of files."""
    head = _head(path)
    if _is_safetensors(head):
        return Format.SAFETENSORS
    if (found := recognise(path)) is not None:
        raise CheckpointError(found.message)
    if head.startswith(b"PK"):
        names = member_names(path)
        return Format.NUMPY if names and all(name.endswith(".npy") for name in names) else Format.TORCH
    if head[257:262] == b"ustar":
        raise CheckpointError(
            "this is in the tar format of the first torch; load it and save its state_dict with torch 1.x"
        )
    if head[:1] == b"\x80":
        return Format.TORCH_LEGACY
    raise CheckpointError(_not_weights(head))


def _head(path: Path) -> bytes:
    """Read the first bytes of the file; at least one."""
    if is_folder(path):
        found = recognise(path)
        raise CheckpointError(found.message if found else f"this is a folder; {single_weights(path)}")
    if os.path.exists(path) and not is_file(path):
        raise CheckpointError("this is a device or a pipe; give the file with the weights")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        raise CheckpointError("no such file; check the path") from None
    except OSError as error:
        raise CheckpointError(f"this cannot be read ({error.strerror}); check its permissions") from None
    if not head:
        raise CheckpointError("this is empty; download or copy it again")
    return head


def _is_safetensors(head: bytes) -> bool:
    """Return whether a file begins with the 64-bit length of a JSON object, and the object."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def _not_weights(head: bytes) -> str:
    printable = set(range(32, 256)) | set(b"\t\n\r\f")
    if printable.issuperset(head):
        return "this is a text file, not the weights; give a file of torch.save or a .safetensors file"
    return "this is of no known format: neither of torch.save nor safetensors; give one of these"
