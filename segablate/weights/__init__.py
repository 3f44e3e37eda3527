"""Reading of network weights from files, without running code in them.

::

    weights = read_weights("epoch=40.ckpt")               # tensors, other plain values of the file, notes
    tensors = state_dict(weights, names=network.state_dict())
    notes = weights.notes + load_strictly(network, tensors, "epoch=40.ckpt")
"""

import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.errors import CheckpointError, at
from segablate.files import native_path
from segablate.weights.contents import foreign_note, locate, named_tensors, plain_values
from segablate.weights.fitting import count_classes, load_strictly, without_prefix, without_wrappers
from segablate.weights.formats import Format, format_of
from segablate.weights.torchfiles import read_legacy, read_zip
from segablate.weights.unpickling import Content

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Weights", "count_classes", "load_strictly", "read_weights", "state_dict"]

DAMAGE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError),
    *(ValueError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""The exceptions that readers raise for damaged bytes."""


@dataclass(frozen=True)
class Weights:
    """The contents of a weights file.

    ``tensors``: the state dict, by the keys in the file. ``extras``: plain values beside it (``epoch``, the ``meta`` of
    mmsegmentation with its classes, the metadata of safetensors), without tensors and foreign objects. ``notes``: what
    was left out.
    """

    path: Path
    format: Format
    tensors: dict[str, "Tensor"]
    extras: dict[str, Any]
    notes: tuple[str, ...] = ()


def read_weights(path: str | Path, *, key: str | None = None) -> Weights:
    """Read the weights in a safetensors file or a file of ``torch.save`` onto the CPU.

    ``key`` is the key path to them (``"ema"``, ``"state.generator"``); without it they are looked for at the top and
    under :data:`~segablate.weights.contents.USUAL_KEYS`.

    Raises :class:`CheckpointError`, beginning with ``path``, for no weights, several sets of them, another kind of
    file, and damage.
    """
    path = Path(path)
    with at(path):
        kind = format_of(path)
        content = _read(path, kind)
        where, found = locate(content, key)
        tensors, notes = named_tensors(found, where)
        notes = [*foreign_note(content.foreign), *notes]
        extras = plain_values(content.value, where)
        return Weights(path, kind, tensors, extras, tuple(f"{path}: {note}" for note in notes))


def state_dict(weights: Weights, *, strip_prefix: str | None = None, names: Iterable[str] = ()) -> dict[str, "Tensor"]:
    """Return the tensors of ``weights`` under the keys of the network.

    With ``strip_prefix``, only the tensors under that prefix are returned, without it. Otherwise the prefixes
    ``module.``, ``model.``, ``net.`` and ``_orig_mod.`` are removed where all keys have them or, with the network's
    ``names``, where that makes the keys fit.
    """
    with at(weights.path):
        if strip_prefix:
            return without_prefix(weights.tensors, strip_prefix)
        return without_wrappers(weights.tensors, names)


def _read(path: Path, kind: Format) -> Content:
    readers = {Format.SAFETENSORS: _read_safetensors, Format.TORCH: read_zip, Format.TORCH_LEGACY: read_legacy}
    try:
        return readers[kind](path)
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise CheckpointError(f"this is damaged or cut short ({reason}); download or copy it again") from None


def _read_safetensors(path: Path) -> Content:
    from safetensors import SafetensorError, safe_open

    native = native_path(path, "safetensors")
    try:
        with safe_open(native, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # it is no mapping
            return Content({**(file.metadata() or {}), "state_dict": tensors}, {})
    except SafetensorError as error:
        raise ValueError(str(error)) from None
