"""Reading the two formats of ``torch.save`` without running code in them.

Since torch 1.6 a file is an uncompressed zip archive: ``data.pkl``, whose persistent ids name storages, and a record
``data/KEY`` for each storage. Before, it was a sequence of pickles (a magic number, a version, facts of the machine,
the value, the keys of the storages) followed by the storages, each behind its 64-bit number of elements.

``torch.load(weights_only=True)`` refuses files with more than tensors, as trainers write them. It is also no guard
against damage: deeply nested keys overflow its C stack, a tensor may claim more than its storage has, and the
archive's checksums are not checked, so that flipped bits become weights. Hence one reader for all files.
"""

import io
import mmap
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.archives import opened_zip
from segablate.errors import CheckpointError, thousands
from segablate.limits import Budget
from segablate.weights.rebuilding import Storage, StorageType, known
from segablate.weights.unpickling import Content, ForeignType, unpickle

if TYPE_CHECKING:
    from torch import dtype

MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of a file in the old format."""


def read_zip(place: Path | bytes) -> Content:
    """Read the value in a zip archive of ``torch.save``, by its path or bytes.

    Tensors are plain, on the CPU and without gradient.

    Raises :class:`CheckpointError`, and for damage the exceptions of :mod:`zipfile` and
    :func:`~segablate.weights.unpickling.unpickle`.
    """
    with opened_zip(place) as archive:
        size = len(place) if isinstance(place, bytes) else place.stat().st_size
        folder = _folder(archive, size)
        records: dict[str, bytearray] = {}

        def persistent(saved: Any) -> Storage:
            _, storage_type, key, _, elements = saved
            dtype = _element_type(storage_type)
            if _storage_key(key) not in records:
                records[key] = bytearray(archive.read(f"{folder}data/{key}"))  # checks the CRC, too
            if elements * dtype.itemsize > len(records[key]):
                raise CheckpointError(f"storage {key!r} is shorter than stated; download or copy the file again")
            return Storage(records[key], dtype)

        return unpickle(io.BytesIO(archive.read(f"{folder}data.pkl")), known(), persistent, Budget(size))


def read_legacy(path: Path) -> Content:
    """Read the value in a file of ``torch.save`` before torch 1.6, or of ``pickle.dump``; as :func:`read_zip`."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        budget = Budget(len(stream))
        if MAGIC.to_bytes(10, "little") not in stream[:32]:
            return unpickle(stream, known(), _no_persistent, budget)
        _legacy_header(stream, budget)
        storages = _LegacyStorages(limit=len(stream))
        content = unpickle(stream, known(), storages.persistent, budget)
        storages.fill(stream, unpickle(stream, {}, _no_persistent, budget).value)
        return content


def _folder(archive: zipfile.ZipFile, file_size: int) -> str:
    """Return the folder of all records in a torch archive, with its slash."""
    records = archive.infolist()
    names = {record.filename for record in records}
    tops = [name.removesuffix("data.pkl") for name in names if name.count("/") <= 1 and name.endswith("data.pkl")]
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        raise CheckpointError(f"this is a TorchScript archive; give it as torchscript:{archive.filename}")
    if len(tops) != 1:
        raise CheckpointError(
            "this is a zip archive, but not of torch.save: it has no data.pkl; give the file of torch.save"
        )
    unpacked = sum(record.file_size for record in records)
    if unpacked > file_size:
        sizes = f"this unpacks to {thousands(unpacked)} bytes from {thousands(file_size)}"
        raise CheckpointError(f"{sizes}, but torch does not compress; save it again with torch.save")
    if f"{tops[0]}byteorder" in names and archive.read(f"{tops[0]}byteorder") != b"little":
        raise CheckpointError("this was written on a big-endian machine; save it again on another")
    return tops[0]


def _legacy_header(stream: mmap.mmap, budget: Budget) -> None:
    """Read the three pickles before the value."""
    _magic = unpickle(stream, {}, _no_persistent, budget)
    _version = unpickle(stream, {}, _no_persistent, budget)
    machine = unpickle(stream, {}, _no_persistent, budget).value
    if not machine["little_endian"]:
        raise CheckpointError("this was written on a big-endian machine; save it again on another")


def _element_type(storage_type: object) -> "dtype":
    if not isinstance(storage_type, StorageType):
        name = storage_type.name if isinstance(storage_type, ForeignType) else type(storage_type).__name__
        raise CheckpointError(f"its values are in a {name}, which is not read; save them again as floats")
    return storage_type.dtype


def _storage_key(key: object) -> str | int:
    if not isinstance(key, str | int):
        raise TypeError(f"a {type(key).__name__} as the key of a storage")
    return key


def _no_persistent(saved: object) -> object:
    raise ValueError("a persistent id where none belongs")


@dataclass
class _LegacyStorages:
    """The storages of a file in the old format, named first and filled later; at most ``limit`` bytes."""

    limit: int
    named: int = 0
    by_key: dict[str | int, Storage] = field(default_factory=dict)

    def persistent(self, saved: Any) -> object:
        if saved[0] == "module":
            return saved[1]  # the class of a pickled module, with its source code
        _, storage_type, key, _, elements, view = saved
        storage = self.by_key.get(_storage_key(key)) or self._name(key, elements, _element_type(storage_type))
        if view is None:
            return storage
        start, length = (number * storage.dtype.itemsize for number in view[1:])
        return Storage(memoryview(storage.memory)[start : start + length], storage.dtype)

    def _name(self, key: str | int, elements: int, dtype: "dtype") -> Storage:
        self.named += elements * dtype.itemsize
        if elements < 0 or self.named > self.limit:
            raise CheckpointError("it declares more values than it has bytes; download or copy it again")
        self.by_key[key] = Storage(bytearray(elements * dtype.itemsize), dtype)
        return self.by_key[key]

    def fill(self, stream: mmap.mmap, keys: list[object]) -> None:
        """Read the storages that follow the last pickle in the order of ``keys``."""
        if {_storage_key(key) for key in keys} != set(self.by_key):
            raise CheckpointError("its storages do not match those of its tensors; download or copy it again")
        for storage in [self.by_key[_storage_key(key)] for key in keys]:
            size = len(storage.memory)
            (elements,) = struct.unpack("<q", stream.read(8))
            values = stream.read(size)
            if elements * storage.dtype.itemsize != size or len(values) != size:
                raise CheckpointError("this ends early; download or copy it again")
            storage.memory[:] = values
