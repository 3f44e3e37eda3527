"""Reading of network weights from files, without running code in them.

::

    weights = read_weights("epoch=40.ckpt")               # tensors, other plain values of the file, notes
    notes = load_weights(network, weights)
"""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.archives import array_names, damage_named, opened_zip, read_array
from segablate.errors import CheckpointError, at, shorten
from segablate.files import is_folder, native_path
from segablate.weights.contents import foreign_note, locate, named_tensors, other_sets_note, plain_values
from segablate.weights.distributed import is_distributed, read_distributed
from segablate.weights.fitting import count_classes, load_strictly
from segablate.weights.formats import Format, format_of
from segablate.weights.naming import PREFIXES, Named, named_as, unflattened, without_prefix, without_wrappers
from segablate.weights.shards import is_index, parts_of, weights_in
from segablate.weights.torchfiles import read_legacy, read_zip
from segablate.weights.unpickling import Content

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Weights", "count_classes", "load_strictly", "load_weights", "read_weights", "state_dict"]

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
    was left out. ``files``: the files that were read: the one at ``path``, or the parts in a folder.
    """

    path: Path
    format: Format
    tensors: dict[str, "Tensor"]
    extras: dict[str, Any]
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def read_weights(path: str | Path, *, key: str | None = None) -> Weights:
    """Read weights onto the CPU: of safetensors, ``torch.save``, ``numpy.savez``, or a pickle of arrays.

    ``path`` may also be the index of weights in several files, a folder of ``save_pretrained``, or one of
    ``torch.distributed.checkpoint``.

    ``key`` is the key path to them (``"ema"``, ``"state.generator"``); without it they are looked for at the top and
    under :data:`~segablate.weights.contents.USUAL_KEYS`.

    Raises :class:`CheckpointError`, beginning with ``path``, for no weights, several sets of them, another kind of
    file, and damage.
    """
    path = Path(path)
    with at(path):
        kind, content, files = _read_all(path)
        where, found = locate(content, key)
        tensors, notes = named_tensors(found, where)
        notes = [*foreign_note(content.foreign), *notes, *other_sets_note(content, where, found)]
        extras = plain_values(content.value, where)
        return Weights(path, kind, tensors, extras, tuple(f"{path}: {note}" for note in notes), files)


def state_dict(weights: Weights, *, strip_prefix: str | None = None, names: Iterable[str] = ()) -> dict[str, "Tensor"]:
    """Return the tensors of ``weights`` under the keys of the network.

    With ``strip_prefix``, only the tensors under that prefix are returned, without it. Otherwise the prefixes
    ``module.``, ``model.``, ``net.`` and ``_orig_mod.`` are removed where all keys have them or, with the network's
    ``names``, whatever prefix and wrapper makes all of these fit, see :func:`~segablate.weights.naming.named_as`.
    """
    return _named(weights, strip_prefix, tuple(names)).tensors


def load_weights(module: "nn.Module", weights: Weights, strip_prefix: str | None = None) -> tuple[str, ...]:
    """Load ``weights`` into ``module`` strictly, and return all notes on them.

    Raises :class:`CheckpointError`, beginning with the path, where they do not fit or hold several sets that do.
    """
    named = _named(weights, strip_prefix, tuple(module.state_dict()))
    tensors = {key: value for key, value in named.tensors.items() if not key.startswith(named.others)}
    notes = [*weights.notes, *load_strictly(module, tensors, str(weights.path))]
    if not _is_usual(named.prefix):
        notes.append(f"{weights.path}: the weights under {named.prefix!r} were loaded")
    other = "a second set of weights was not loaded; for it, pass --strip-prefix"
    notes += [f"{weights.path}: {other} {prefix}" for prefix in named.others]
    return tuple(notes)


def _named(weights: Weights, strip_prefix: str | None, names: tuple[str, ...]) -> Named:
    with at(weights.path):
        if strip_prefix:
            return Named(unflattened(without_prefix(weights.tensors, strip_prefix), names))
        return named_as(weights.tensors, names) if names else Named(without_wrappers(weights.tensors, ()))


def _is_usual(prefix: str) -> bool:
    """Return whether a prefix is made of the usual ones alone."""
    return all(f"{part}." in PREFIXES for part in prefix.split(".") if part)


def _read_all(path: Path) -> tuple[Format, Content, tuple[Path, ...]]:
    """Return the format, the content, and the files: of one file, or of the parts in a folder."""
    if is_folder(path) and is_distributed(path):
        with _damage_named():
            return Format.DISTRIBUTED, *read_distributed(path)
    inside = weights_in(path) if is_folder(path) else None
    found = inside or path
    if not is_index(found):
        kind = format_of(found)
        return kind, _read(found, kind), (found,)
    return _read_parts(found)


def _read_parts(index: Path) -> tuple[Format, Content, tuple[Path, ...]]:
    """Read the parts that an index names. Raises CheckpointError where one lacks a key that the index states."""
    named, parts = parts_of(index)
    tensors: dict[str, Tensor] = {}
    kind = Format.SAFETENSORS
    for part in parts:
        with at(part.name):
            kind = format_of(part)
            where, found = locate(_read(part, kind), None)
            tensors |= named_tensors(found, where)[0]
    if missing := [key for key in named if key not in tensors]:
        raise CheckpointError(f"its parts lack {shorten(missing)}, which the index states; copy all of them again")
    return kind, Content({"state_dict": tensors}, {}), (index, *parts)


def _read(path: Path, kind: Format) -> Content:
    readers = {
        Format.SAFETENSORS: _read_safetensors,
        Format.TORCH: read_zip,
        Format.TORCH_LEGACY: read_legacy,
        Format.NUMPY: _read_arrays,
    }
    with _damage_named():
        return readers[kind](path)


@contextmanager
def _damage_named() -> Iterator[None]:
    """Raise CheckpointError in the place of what readers raise for damaged bytes."""
    try:
        yield
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise CheckpointError(f"this is damaged or cut short ({reason}); download or copy it again") from None


def _read_arrays(path: Path) -> Content:
    """Read the arrays of ``numpy.savez(path, **state_dict)``."""
    import torch

    with damage_named(), opened_zip(path) as archive:
        arrays = {name: read_array(archive, name) for name in array_names(archive)}
    usable = {name: array for name, array in arrays.items() if array.dtype.kind in "biufc"}
    return Content({name: torch.from_numpy(array.copy(order="C")) for name, array in usable.items()}, {})


def _read_safetensors(path: Path) -> Content:
    from safetensors import SafetensorError, safe_open

    native = native_path(path, "safetensors")
    try:
        with safe_open(native, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # it is no mapping
            return Content({**(file.metadata() or {}), "state_dict": tensors}, {})
    except SafetensorError as error:
        raise ValueError(str(error)) from None
