"""A stand-in for a GPU, where there is none: tensors that say they are on cuda:0 and hold their values in CPU memory.

What it shows is where things are and who waits, not how a GPU computes: operations on its tensors run on the CPU; they
refuse tensors of the CPU, as on a GPU; operations for which the host would wait warn as torch does after
``set_sync_debug_mode("warn")``; and copies to the host that nobody waits for hold nonsense until somebody waits.
Without autograd, which needs a device that torch was built for.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

HERE = torch.device("cuda", 0)

WAITING = (
    *("_local_scalar_dense", "equal", "allclose", "_linalg_check_errors"),
    *("nonzero", "masked_select", "bincount", "_unique2", "unique_dim", "unique_consecutive"),
)
"""Operations whose result is a number, has a size, or raises an error, that only the GPU knows."""

INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")
"""Operations that take indices on the CPU for values on the GPU."""

_make_tensor, _move = torch.tensor, Tensor.to


class Waits:
    """What the host waits for: warnings where they are asked for, and copies on their way."""

    warn: ClassVar = False
    on_their_way: ClassVar[list[tuple[Tensor, Tensor]]] = []

    @classmethod
    def one(cls) -> None:
        if cls.warn:
            warnings.warn("called a synchronizing CUDA operation", stacklevel=2)
        cls.arrive()

    @classmethod
    def send(cls, target: Tensor, source: Tensor) -> None:
        """Copy later; until then the target holds nonsense."""
        cls.on_their_way.append((target, source.clone()))
        target.fill_(float("nan") if target.is_floating_point() else 77)

    @classmethod
    def arrive(cls) -> None:
        while cls.on_their_way:
            target, source = cls.on_their_way.pop()
            target.copy_(source)


class OnGpu(Tensor):
    """A tensor of the stand-in; `held` are its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGpu":
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=HERE,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"OnGpu({self.held!r})"

    def numpy(self, *, force: bool = False) -> np.ndarray:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __array__(self, *given: Any, **named: Any) -> np.ndarray:
        return self.numpy()

    def tolist(self) -> Any:
        Waits.one()
        return self.held.tolist()

    def new_tensor(self, data: Any, *, dtype: torch.dtype | None = None, **named: Any) -> Tensor:
        return made_tensor(data, dtype=dtype or self.dtype, **{"device": HERE, **named})

    # what follows asks torch for the GPU's own guard, unless it is answered here

    def item(self) -> Any:
        Waits.one()
        return self.held.item()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __invert__(self) -> Tensor:
        return OnGpu(~self.held)

    def copy_(self, source: Tensor, non_blocking: bool = False) -> Tensor:
        torch.ops.aten.copy_(self, source, non_blocking)
        return self

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        Waits.one()
        return tree_map_only(Tensor, OnGpu, self.held.nonzero(as_tuple=as_tuple))

    def contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
        found = self.held.contiguous(memory_format=memory_format)
        return self if found is self.held else OnGpu(found)

    def __getitem__(self, index: Any) -> Tensor:
        return OnGpu(self.held[as_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Tensor):
            refuse_strangers("index_put_", (value,), [self, value] if value.dim() > 0 else [])
        self.held[as_index(index)] = value.held if isinstance(value, OnGpu) else value


def as_index(index: Any) -> Any:
    """Return an index for values on the CPU; for the pixels of a mask the host waits."""
    if isinstance(index, tuple):
        return tuple(map(as_index, index))
    if not isinstance(index, OnGpu):
        return index
    if index.dtype in (torch.bool, torch.uint8) or index.dim() == 0:
        Waits.one()
    return index.held


def run(func: Any, args: Any, kwargs: Any) -> Any:
    """Run an operation as a GPU would: on its own tensors, or on none of them."""
    name = func.name().split("::")[1].split(".")[0]
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    ours = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
    asked = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.device)]
    to_gpu = any(device.type == "cuda" for device in asked)
    plain_args, plain = tree_map_only((OnGpu, torch.device), on_cpu, (args, kwargs))
    plain |= {"pin_memory": False} if "pin_memory" in plain else {}
    if name == "copy_" and ours:
        return copy(func, args, plain_args)
    if name in ("_to_copy", "to"):
        stays = to_gpu or bool(ours and not asked)
        if bool(ours) != stays and not (to_gpu and kwargs.get("non_blocking")):
            Waits.one()
        made = func(*plain_args, **plain)
        return OnGpu(made) if stays else made
    if not (ours or to_gpu):
        return func(*plain_args, **plain)
    refuse_strangers(name, args, tensors)
    by_mask = name in INDEXING and any(tensor.dtype in (torch.bool, torch.uint8) for tensor in ours[1:])
    if name in WAITING or by_mask:
        Waits.one()
    return as_given(func, args, kwargs, func(*plain_args, **plain))


def on_cpu(given: OnGpu | torch.device) -> Tensor | torch.device:
    return given.held if isinstance(given, OnGpu) else torch.device("cpu")


def copy(func: Any, args: Any, plain_args: Any) -> Tensor:
    """Copy into a tensor: between host and GPU, the host waits unless it said that it does not."""
    target, source, *rest = args
    behind = bool(rest and rest[0])
    if isinstance(target, OnGpu) or not behind:
        if isinstance(target, OnGpu) != isinstance(source, OnGpu) and not behind and source.dim() > 0:
            Waits.one()
        func(*plain_args)
    else:
        Waits.send(target, source.held)
    return target


def refuse_strangers(name: str, args: Any, tensors: list[Tensor]) -> None:
    """Raise RuntimeError for tensors of the CPU beside ours; numbers without dimensions may be there."""
    strangers = [tensor for tensor in tensors if not isinstance(tensor, OnGpu) and tensor.dim() > 0]
    if name in INDEXING:
        strangers = [] if isinstance(args[0], OnGpu) else strangers[:1]
    if strangers:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in strangers)
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found cuda:0 and cpu: {shapes}")


def as_given(func: Any, args: Any, kwargs: Any, result: Any) -> Any:
    """Return the result on the GPU; what was written in place is the tensor that was given."""
    written: dict[int, OnGpu] = {}
    for place, argument in enumerate(func._schema.arguments):
        value = args[place] if place < len(args) else kwargs.get(argument.name)
        if argument.alias_info is not None and argument.alias_info.is_write and isinstance(value, OnGpu):
            written[id(value.held)] = value

    def ours(tensor: Tensor) -> Tensor:
        return written[id(tensor)] if id(tensor) in written else OnGpu(tensor)

    return tree_map_only(Tensor, ours, result)


class Dispatch(TorchDispatchMode):
    """Sees what is made on the GPU, too, which has no tensor of the GPU among its arguments."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class Event:
    """A moment; whoever waits for one has the copies before it."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.at = 0.0

    def record(self, stream: object = None) -> None:
        self.at = time.perf_counter()

    def query(self) -> bool:
        return not Waits.on_their_way

    def synchronize(self) -> None:
        Waits.arrive()

    def elapsed_time(self, end: "Event") -> float:
        return 1000 * (end.at - self.at)


def made_tensor(data: Any, *, device: Any = None, **named: Any) -> Tensor:
    """``torch.tensor``, which fills memory of the GPU where no dispatch sees it."""
    made = _make_tensor(data, **named)
    return made if device is None else made.to(device)


def moved(tensor: Tensor, *given: Any, **named: Any) -> Tensor:
    """``Tensor.to``, which asks the GPU for its number where none is given."""
    given, named = tree_map_only((str, torch.device), numbered, (given, named))
    return _move(tensor, *given, **named)


def numbered(device: str | torch.device) -> str | torch.device:
    return HERE if str(device) == "cuda" else device


@contextmanager
def stand_in() -> Iterator[None]:
    """Let torch have one GPU, the stand-in, while the context lasts."""
    changes: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_name": lambda device=None: "stand-in",
        "current_stream": lambda device=None: None,
        "synchronize": lambda device=None: Waits.arrive(),
        "set_sync_debug_mode": lambda mode: setattr(Waits, "warn", mode == "warn"),
        "Event": Event,
    }
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        for name, change in changes.items():
            patch.setattr(torch.cuda, name, change)
        patch.setattr(torch, "tensor", made_tensor)
        patch.setattr(Tensor, "to", moved)
        patch.setattr(Tensor, "cuda", lambda tensor, device=HERE, **named: tensor.to(device, **named))
        patch.setattr(Tensor, "pin_memory", lambda tensor, device=None: tensor)
        overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            with Dispatch():
                yield
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(overwrites)
            Waits.warn = False
            Waits.arrive()
