"""The functions that pickles of ``torch.save`` may call: those that rebuild tensors, with checks.

Tensors are plain, on the CPU and without gradient, and stay within the memory of their storage.
"""

import math
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from segablate.errors import CheckpointError, thousands
from segablate.weights import numpy_arrays
from segablate.weights.unpickling import Known

if TYPE_CHECKING:
    from torch import Tensor, dtype

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
"""Storage classes, without "Storage", and the dtype of their elements."""

NOT_READ = {
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_meta_tensor_no_storage": "a tensor without values (on the meta device)",
    "_rebuild_wrapper_subclass": "a tensor of a wrapping class",
}


@dataclass(frozen=True)
class StorageType:
    """A storage class such as ``torch.FloatStorage``."""

    dtype: "dtype"


@dataclass(frozen=True, eq=False)
class Storage:
    """Memory, shared by the tensors that view it, and the dtype of its elements."""

    memory: bytearray | memoryview
    dtype: "dtype"


@cache
def known() -> dict[str, object]:
    """Return what pickles of ``torch.save`` may name, by ``module.name``: constants and functions."""
    import torch

    storages = {f"{name}Storage": StorageType(getattr(torch, dtype)) for name, dtype in STORAGES.items()}
    modules = ("torch", "torch.cuda", "torch.storage")
    return {
        **{f"torch.{name}": value for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
        **{f"{module}.{name}": value for module in modules for name, value in storages.items()},
        **{f"torch._utils.{name}": Known(partial(_refuse, kind)) for name, kind in NOT_READ.items()},
        **numpy_arrays.KNOWN,
        "torch.storage._load_from_bytes": Known(_refuse_pickled_storage),
        "torch._utils._rebuild_tensor": Known(_tensor),
        "torch._utils._rebuild_tensor_v2": Known(_tensor_v2),
        "torch._utils._rebuild_tensor_v3": Known(_tensor_v3),
        "torch._utils._rebuild_parameter": Known(_parameter),
        "torch._utils._rebuild_parameter_with_state": Known(_parameter),
        "torch._tensor._rebuild_from_type_v2": Known(_tensor_of_type),
        "torch.Size": Known(_same),
        "torch.device": Known(_device),
        "collections.OrderedDict": Known(mapping=True),
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
        raise CheckpointError(
            "it holds a tensor that is conjugated or negated lazily; save it again after resolve_conj()"
        )
    return _tensor(storage, offset, size, stride)


def _tensor_v3(storage: object, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any) -> "Tensor":
    """Rebuild a tensor whose dtype has no storage class (unsigned and 8-bit floats)."""
    _requires_grad, _hooks, dtype, *_metadata = rest
    if not isinstance(storage, Storage):
        raise TypeError(f"a tensor over a {type(storage).__name__}")
    return _view(storage, dtype, offset, size, stride)


def _view(storage: Storage, dtype: "dtype", offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> "Tensor":
    """Return a tensor that views ``storage``, after checking that it stays inside."""
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
            f"a tensor of {shape[:60]} exceeds its storage of {thousands(elements)}; download or copy the file again"
        )
    return torch.frombuffer(storage.memory, dtype=dtype, count=elements).as_strided(size, stride, offset)


def _parameter(data: object, *_: object) -> object:
    return data


def _tensor_of_type(rebuild: object, _kind: object, arguments: tuple[Any, ...], _state: object) -> object:
    """Rebuild a tensor of a subclass, or with attributes, as a plain tensor."""
    if not isinstance(rebuild, Known):
        raise CheckpointError(
            "it holds a tensor of an unknown subclass, which is not read; save it again as a plain tensor"
        )
    return rebuild.call(*arguments)


def _refuse(kind: str, *_: object) -> object:
    raise CheckpointError(f"it holds {kind}, which is not read; save it again as a dense tensor of floats")


def _refuse_pickled_storage(*_: object) -> object:
    raise CheckpointError(
        "its tensors were written by pickle.dump, not by torch.save; load it with pickle.load where you trust it, and "
        "write the same object with torch.save"
    )


def _same(value: object = (), *_: object) -> object:
    """Return the argument itself: a list in the place of a set, text in the place of bytes."""
    return value


def _device(kind: str, index: int | None = None) -> str:
    return kind if index is None else f"{kind}:{index}"


def _defaultdict(_factory: object = None, *_: object) -> dict[Any, Any]:
    return {}
