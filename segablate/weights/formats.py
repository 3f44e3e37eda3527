"""The formats of weights files, told by their first bytes."""

import os
from enum import Enum
from pathlib import Path

from segablate.errors import CheckpointError
from segablate.files import is_file, is_folder

HEAD = 1024
"""Number of bytes read to tell the format."""

MISTAKEN = (
    (b"version https://git-lfs.github.com/spec/", "this is a git-lfs pointer, not the weights; run git lfs pull"),
    (b"\x1f\x8b", "this is compressed with gzip; unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "this is an HDF5 file, as Keras writes them; convert it to a PyTorch state_dict"),
)
"""The first bytes of files that are often given by mistake, and what they are."""


class Format(Enum):
    """The formats of weights files."""

    SAFETENSORS = "safetensors"
    TORCH = "torch"
    TORCH_LEGACY = "torch before 1.6"


def format_of(path: Path) -> Format:
    """Return the format of the file at ``path``. Raises :class:`CheckpointError` for other kinds of files."""
    head = _head(path)
    for beginning, fact in MISTAKEN:
        if head.startswith(beginning):
            raise CheckpointError(fact)
    if head.startswith(b"PK"):
        return Format.TORCH
    if _is_safetensors(head):
        return Format.SAFETENSORS
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
        raise CheckpointError("this is a folder; give the file with the weights")
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
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "this is a web page, not the weights; download the file itself"
    printable = set(range(32, 256)) | set(b"\t\n\r\f")
    if printable.issuperset(head):
        return "this is a text file, not the weights; give a file of torch.save or a .safetensors file"
    return "this is neither a file of torch.save nor a safetensors file; give one of these"
