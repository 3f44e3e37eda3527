"""Device, precision, and the processes that share an evaluation.

``torchrun --nproc-per-node 2 -m segablate ...`` starts a :class:`Team`. Its processes wait for each other in
torchrun's store, without a time limit; only results go through a process group, NCCL or gloo.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from segablate.errors import DeviceError, shorten

if TYPE_CHECKING:
    import numpy as np
    import torch

Item = TypeVar("Item")

_POLL = 0.02  # seconds between two queries of the store

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")


def resolve_device(name: str = "auto") -> "torch.device":
    """Return the device called `name`; ``auto`` is CUDA where available, else the CPU.

    Each process of a team gets a GPU of its own. Raises DeviceError for a device that is not available.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind == "mps" and not number:
        return _apple_gpu()
    if kind != "cuda" or (number and not number.isdigit()):
        raise DeviceError(f"device {name!r} does not exist; choose auto, cpu, cuda, cuda:0 or mps")
    if not torch.cuda.is_available():
        build = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no GPU or driver"
        raise DeviceError(f"device {name!r} is not available: {build}; use --device cpu, or install a CUDA build")
    if number and int(number) >= torch.cuda.device_count():
        known = shorten((f"cuda:{gpu}" for gpu in range(torch.cuda.device_count())), 8)
        raise DeviceError(f"device {name!r} does not exist; available: {known}")
    if team().size > 1:
        name = _own_gpu(name, torch.cuda.device_count())
    return torch.device(name)


def counting_device(device: "torch.device") -> "torch.device":
    """Return where the scores of a network on a device are counted: there, or on the CPU for mps, without float64."""
    import torch

    return torch.device("cpu") if device.type == "mps" else device


def _apple_gpu() -> "torch.device":
    """Return the GPU of a Mac. Raises DeviceError where there is none, or torch cannot use it."""
    import torch

    if not torch.backends.mps.is_built():
        raise DeviceError(
            "device 'mps' is not available: it is the GPU of a Mac, and this torch is built without it; "
            "use --device cpu, or cuda"
        )
    if not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' is not available: torch finds no Mac GPU; use --device cpu")
    return torch.device("mps")


def exact_arithmetic(device: "torch.device") -> None:
    """Make CUDA compute convolutions and products in full float32, by deterministic algorithms."""
    import torch

    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


@contextmanager
def deterministic() -> Iterator[None]:
    """Let torch choose deterministic algorithms while the context lasts, and warn where it has none."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filling = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filling  # type: ignore[attr-defined]


@contextmanager
def clean_processes() -> Iterator[None]:
    """Let Python processes that start while the context lasts import nothing from the working directory."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PYTHONSAFEPATH", None)
        else:
            os.environ["PYTHONSAFEPATH"] = before


def autocast(device: "torch.device", precision: Precision) -> AbstractContextManager[Any]:
    """Return the context in which a network runs. Raises DeviceError for a precision that the device lacks."""
    import torch

    if precision == "fp32":
        return nullcontext()
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs CUDA; on the CPU use --precision fp32 or bf16")
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError("this GPU has no bf16; use --precision fp16 or fp32")
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def to_device(array: "np.ndarray", device: "torch.device") -> "torch.Tensor":
    """Return an array as a tensor on the device; the host does not wait for a copy to a GPU."""
    import torch

    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def labels_to_device(label_maps: "np.ndarray", device: "torch.device") -> "torch.Tensor":
    """Return label maps as :func:`to_device` does; those of uint16 become int32, as torch computes little in uint16."""
    labels = to_device(label_maps, device)
    return labels if label_maps.dtype.itemsize == 1 else labels.int()


def to_host(tensors: "Sequence[dict[str, torch.Tensor]]") -> "list[dict[str, np.ndarray]]":
    """Return tensors by name on the host, in one copy from a GPU; integers there must be below 2^53."""
    import torch

    flat = [each for named in tensors for each in named.values()]
    if not any(each.is_cuda for each in flat):
        return [{name: each.numpy() for name, each in named.items()} for named in tensors]
    values = torch.cat([each.reshape(-1).double() for each in flat]).cpu()
    parts = iter(values.split([each.numel() for each in flat]))
    return [
        {name: next(parts).view(each.shape).to(each.dtype).numpy() for name, each in named.items()} for named in tensors
    ]


def describe(device: "torch.device") -> str:
    """Describe the device for the head of a table."""
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else f"{device}"


@dataclass(frozen=True)
class Team:
    """The processes that share an evaluation: `size` of them, this one with number `rank`."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return the share of this process: every `size`-th item, so that shares differ by at most one."""
        return items[self.rank :: self.size]

    def gather(self, value: Item) -> list[Item]:
        """Return the values of all processes, in the order of ranks, in each of them; `value` must be picklable.

        Waits for all processes without a time limit. Uses NCCL where each process has a GPU, otherwise gloo.
        """
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        _rendezvous().wait_for(self.size)
        self._join()
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def add(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """Return the sum of a tensor over all processes, in each of them; alone, the tensor itself."""
        if self.size == 1:
            return tensor
        import torch.distributed as dist

        self._join()
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def _join(self) -> None:
        """Open the process group, once."""
        import torch.distributed as dist

        if not dist.is_initialized():
            _rendezvous().wait_for(self.size)
            dist.init_process_group(_backend(), store=_rendezvous().store, rank=self.rank, world_size=self.size)

    def first_to_fail(self) -> bool:
        """Return True in the one process that reports an error: the first that asks, or any without a team."""
        try:
            return self.size == 1 or _rendezvous().first("failed")
        except (DeviceError, RuntimeError):
            return True

    def leave(self) -> None:
        """Close the process group of :meth:`gather`, at the end of a successful run."""
        if self.size > 1:
            import torch.distributed as dist

            if dist.is_initialized():
                dist.destroy_process_group()


ALONE: ContextVar[bool] = ContextVar("ALONE", default=False)
"""Whether this process evaluates by itself, though torchrun started it with others, as one of a training loop may."""


def team() -> Team:
    """Return the team of this process, as torchrun's environment variables define it."""
    if ALONE.get():
        return Team()
    size = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    return Team(int(os.environ["RANK"]), size) if size > 1 else Team()


def local_processes() -> int:
    """Return the number of processes of the team on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


class _Rendezvous:
    """The store of torchrun in which the processes of a team wait for each other."""

    def __init__(self) -> None:
        from torch.distributed.rendezvous import rendezvous

        try:
            self.store, _, _ = next(rendezvous("env://"))
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DeviceError(f"the processes cannot connect ({reason}); start them with torchrun") from None
        self._numbers = count()

    def wait_for(self, size: int) -> None:
        """Wait for all processes. Unlike in a process group, this has no time limit and can be interrupted."""
        place = f"segablate/meeting/{next(self._numbers)}"
        self.store.add(place, 1)
        while self.store.add(place, 0) < size:
            time.sleep(_POLL)

    def first(self, what: str) -> bool:
        """Return whether no process has asked before."""
        return self.store.add(f"segablate/{what}", 1) == 1


@cache
def _rendezvous() -> _Rendezvous:
    return _Rendezvous()


def _backend() -> str:
    """Return "nccl" where each process on this machine has a GPU of its own, else "gloo"."""
    import torch

    if not torch.cuda.is_initialized() or local_processes() > torch.cuda.device_count():
        return "gloo"
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return "nccl"


def _own_gpu(name: str, gpus: int) -> str:
    """Return ``cuda:LOCAL_RANK``, modulo the number of GPUs."""
    if name != "cuda":
        raise DeviceError(
            f"--device {name} is one GPU for {team().size} processes; use --device cuda, or a single process"
        )
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % gpus}"
