"""The two formats of ``torch.save``, read without running what is in them.

Since torch 1.6 a file is an uncompressed zip archive: ``data.pkl``, whose persistent ids name storages, and a record
``data/KEY`` for each storage. Before, it was a row of pickles (a magic number, a version, facts of the machine, the
value, the keys of the storages) followed by the storages, each behind its 64-bit number of elements.

``torch.load(weights_only=True)`` refuses what holds more than tensors, so files of trainers need a reader of their own.
It is also no guard against damage: keys that nest deep overflow its C stack, a tensor may claim more than its storage
has, and the archive's checksums are not looked at, so that flipped bits become weights. Hence one reader for all files.
"""

import io
import math
import mmap
import struct
import zipfile
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.errors import CheckpointError, thousands
from segablate.weights.unpickling import Content, Known, mapping, unpickle

if TYPE_CHECKING:
    from torch import Tensor, dtype

MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of a file in the old format."""

STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
    "Untyped": "uint8",
}
"""Storage class, without the ending, to the type of its elements."""

NOT_READ = {
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_meta_tensor_no_storage": "a tensor without values (on the meta device)",
    "_rebuild_wrapper_subclass": "a tensor of a wrapping class",
}


@dataclass(frozen=True)
class StorageType:
    """``torch.FloatStorage`` and its like, as a pickle names them."""

    dtype: "dtype"


@dataclass(frozen=True, eq=False)
class Storage:
    """Memory, shared by the tensors that look into it, and the type of its elements."""

    memory: bytearray | memoryview
    dtype: "dtype"


def read_zip(path: Path) -> Content:
    """The value in a zip archive of ``torch.save``; tensors are plain, on the CPU and without gradient.

    Raises :class:`CheckpointError`, and for damage what :mod:`zipfile` and
    :func:`~segablate.weights.unpickling.unpickle` raise.
    """
    with zipfile.ZipFile(path) as archive:
        folder = _folder(archive, path.stat().st_size)
        records: dict[str, bytearray] = {}

        def persistent(saved: Any) -> Storage:
            _, storage_type, key, _, elements = saved
            if _storage_key(key) not in records:
                records[key] = bytearray(archive.read(f"{folder}data/{key}"))  # checks the CRC, too
            if elements * storage_type.dtype.itemsize > len(records[key]):
                raise CheckpointError(f"storage {key!r} is shorter than stated; download or copy the file again")
            return Storage(records[key], storage_type.dtype)

        return unpickle(io.BytesIO(archive.read(f"{folder}data.pkl")), _known(), persistent)


def read_legacy(path: Path) -> Content:
    """The value in a file of ``torch.save`` before torch 1.6; else as :func:`read_zip`."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        _legacy_header(stream)
        storages = _LegacyStorages(limit=len(stream))
        content = unpickle(stream, _known(), storages.persistent)
        storages.fill(stream, unpickle(stream, {}, _no_persistent).value)
        return content


def _folder(archive: zipfile.ZipFile, file_size: int) -> str:
    """The folder that all records of a torch archive lie in, with its slash."""
    records = archive.infolist()
    names = {record.filename for record in records}
    tops = [name.removesuffix("data.pkl") for name in names if name.count("/") <= 1 and name.endswith("data.pkl")]
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        raise CheckpointError(f"this is a TorchScript archive; give it as torchscript:{archive.filename}")
    if len(tops) != 1:
        raise CheckpointError("this is a zip archive, but not one of torch.save: there is no data.pkl in it")
    unpacked = sum(record.file_size for record in records)
    if unpacked > file_size:
        sizes = f"this unpacks to {thousands(unpacked)} bytes from {thousands(file_size)}"
        raise CheckpointError(f"{sizes}, but torch does not compress; save it again with torch.save")
    if f"{tops[0]}byteorder" in names and archive.read(f"{tops[0]}byteorder") != b"little":
        raise CheckpointError("this was written on a big-endian machine; save it again on another")
    return tops[0]


def _legacy_header(stream: mmap.mmap) -> None:
    """Read the three pickles in front of the value."""
    magic = unpickle(stream, {}, _no_persistent)
    if magic.value != MAGIC:
        raise CheckpointError("this is a pickle, but not one of torch.save; save the state_dict with torch.save")
    _version = unpickle(stream, {}, _no_persistent)
    machine = unpickle(stream, {}, _no_persistent).value
    if not machine["little_endian"]:
        raise CheckpointError("this was written on a big-endian machine; save it again on another")


def _storage_key(key: object) -> str | int:
    if not isinstance(key, str | int):
        raise TypeError(f"a {type(key).__name__} as the key of a storage")
    return key


def _no_persistent(saved: object) -> object:
    raise ValueError("a persistent id where none belongs")


@dataclass
class _LegacyStorages:
    """The storages of a file in the old format, named first and filled later; ``limit`` bytes of them at most."""

    limit: int
    named: int = 0
    by_key: dict[str | int, Storage] = field(default_factory=dict)

    def persistent(self, saved: Any) -> object:
        if saved[0] == "module":
            return saved[1]  # the class of a pickled module, with its source code
        _, storage_type, key, _, elements, view = saved
        storage = self.by_key.get(_storage_key(key)) or self._name(key, elements, storage_type.dtype)
        if view is None:
            return storage
        start, length = (number * storage.dtype.itemsize for number in view[1:])
        return Storage(memoryview(storage.memory)[start : start + length], storage.dtype)

    def _name(self, key: str | int, elements: int, dtype: "dtype") -> Storage:
        self.named += elements * dtype.itemsize
        if elements < 0 or self.named > self.limit:
            raise CheckpointError("this states more values than it has bytes; download or copy it again")
        self.by_key[key] = Storage(bytearray(elements * dtype.itemsize), dtype)
        return self.by_key[key]

    def fill(self, stream: mmap.mmap, keys: list[object]) -> None:
        """Read the storages that follow the last pickle in the order of ``keys``."""
        if {_storage_key(key) for key in keys} != set(self.by_key):
            raise CheckpointError("its storages are not those that its tensors name; download or copy it again")
        for storage in [self.by_key[_storage_key(key)] for key in keys]:
            size = len(storage.memory)
            (elements,) = struct.unpack("<q", stream.read(8))
            values = stream.read(size)
            if elements * storage.dtype.itemsize != size or len(values) != size:
                raise CheckpointError("this ends early; download or copy it again")
            storage.memory[:] = values


@cache
def _known() -> dict[str, object]:
    """What pickles of ``torch.save`` may name: constants, and functions of ours in the place of torch's."""
    import torch

    storages = {f"{name}Storage": StorageType(getattr(torch, dtype)) for name, dtype in STORAGES.items()}
    modules = ("torch", "torch.cuda", "torch.storage")
    return {
        **{f"torch.{name}": value for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
        **{f"{module}.{name}": value for module in modules for name, value in storages.items()},
        **{f"torch._utils.{name}": Known(partial(_refuse, kind)) for name, kind in NOT_READ.items()},
        "torch._utils._rebuild_tensor": Known(_tensor),
        "torch._utils._rebuild_tensor_v2": Known(_tensor_v2),
        "torch._utils._rebuild_tensor_v3": Known(_tensor_v3),
        "torch._utils._rebuild_parameter": Known(_parameter),
        "torch._utils._rebuild_parameter_with_state": Known(_parameter),
        "torch._tensor._rebuild_from_type_v2": Known(_tensor_of_type),
        "torch.Size": Known(_same),
        "torch.device": Known(_device),
        "collections.OrderedDict": Known(mapping),
        "collections.defaultdict": Known(_defaultdict),
        "_codecs.encode": Known(_same),
        **{f"{module}.{name}": Known(_same) for module in ("builtins", "__builtin__") for name in ("set", "frozenset")},
    }


def _tensor(storage: object, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> "Tensor":
    if not isinstance(storage, Storage):
        raise TypeError(f"a tensor over a {type(storage).__name__}")
    return _view(storage, storage.dtype, offset, size, stride)


def _tensor_v2(storage: object, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: object) -> "Tensor":
    _requires_grad, _hooks, *metadata = rest
    if any(metadata):
        raise CheckpointError("a tensor in it is conjugated or negated lazily; save it again after resolve_conj()")
    return _tensor(storage, offset, size, stride)


def _tensor_v3(storage: object, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any) -> "Tensor":
    """For types without a storage class of their own (unsigned and 8-bit ones)."""
    _requires_grad, _hooks, dtype, *_metadata = rest
    if not isinstance(storage, Storage):
        raise TypeError(f"a tensor over a {type(storage).__name__}")
    return _view(storage, dtype, offset, size, stride)


def _view(storage: Storage, dtype: "dtype", offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> "Tensor":
    """A tensor that looks into ``storage``, after making sure that it looks nowhere else."""
    import torch

    elements = len(storage.memory) // dtype.itemsize
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError("a tensor's size or stride is not one")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if math.prod(size) == 0:
        return torch.empty(size, dtype=dtype)
    if last >= elements or math.prod(size) > elements:
        shape = "x".join(map(str, size))
        raise CheckpointError(
            f"a tensor of {shape[:60]} is beyond its storage of {thousands(elements)}; download or copy the file again"
        )
    return torch.frombuffer(storage.memory, dtype=dtype, count=elements).as_strided(size, stride, offset)


def _parameter(data: object, *_: object) -> object:
    return data


def _tensor_of_type(rebuild: object, _kind: object, arguments: tuple[Any, ...], _state: object) -> object:
    """A tensor of a subclass, or one with attributes, as a plain tensor."""
    if not isinstance(rebuild, Known):
        raise CheckpointError("a tensor in it is of a kind that is not read; save it again as a plain one")
    return rebuild.call(*arguments)


def _refuse(kind: str, *_: object) -> object:
    raise CheckpointError(f"{kind} is in it, which is not read; save it again as a dense tensor of floats")


def _same(value: object = (), *_: object) -> object:
    """A list in the place of a set, text in the place of bytes: nothing is copied."""
    return value


def _device(kind: str, index: int | None = None) -> str:
    return kind if index is None else f"{kind}:{index}"


def _defaultdict(_factory: object = None, *_: object) -> dict[Any, Any]:
    return {}
