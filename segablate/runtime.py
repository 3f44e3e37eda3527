"""Where the work runs: device, precision, and the processes that share it.

``torchrun --nproc-per-node 2 -m segablate ...`` starts a :class:`Team`. Its processes meet in the store that torchrun
keeps, and wait there without a time limit; only what they found goes through a process group, NCCL or gloo.
"""

import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from segablate.errors import DeviceError

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")

_POLL = 0.02  # seconds between two looks at who has arrived

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")


def resolve_device(name: str = "auto") -> "torch.device":
    """``auto`` is CUDA where there is one, else the CPU; each process of a team has a GPU of its own.

    Raises DeviceError for a device that is not there.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not number.isdigit()):
        raise DeviceError(f"there is no device {name!r}; choose auto, cpu, cuda or cuda:0")
    if not torch.cuda.is_available():
        build = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no GPU or driver"
        raise DeviceError(f"device {name!r} was asked for, but {build}; use --device cpu, or install a CUDA build")
    if number and int(number) >= torch.cuda.device_count():
        raise DeviceError(f"device {name!r} was asked for, but there are {torch.cuda.device_count()} GPUs, from cuda:0")
    if team().size > 1:
        name = _own_gpu(name, torch.cuda.device_count())
    return torch.device(name)


def exact_arithmetic(device: "torch.device") -> None:
    """On CUDA, convolutions and products in full float32, by deterministic algorithms chosen the same way each time."""
    import torch

    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


def autocast(device: "torch.device", precision: Precision) -> AbstractContextManager[Any]:
    """The context in which a network runs. Raises DeviceError for a precision that the device does not have."""
    import torch

    if precision == "fp32":
        return nullcontext()
    if precision == "fp16" and device.type == "cpu":
        raise DeviceError("precision fp16 needs CUDA; on the CPU use --precision fp32 or bf16")
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError("this GPU has no bf16; use --precision fp16 or fp32")
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def describe(device: "torch.device") -> str:
    """The device in words, for the head of a table."""
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else f"{device}"


@dataclass(frozen=True)
class Team:
    """The processes that share an evaluation, of which this is number `rank`; alone, nothing here imports torch."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that prints and writes."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """What this process is to do: every `size`-th, so that shares differ by one at most and nothing is padded."""
        return items[self.rank :: self.size]

    def gather(self, value: Item) -> list[Item]:
        """What every process brings, in the order of ranks, given to all of them; `value` must be picklable.

        Whoever comes first waits, however long. Where the network is on GPUs it goes by NCCL, otherwise by gloo.
        """
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        _meeting().wait_for(self.size)
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
            _meeting().wait_for(self.size)
            dist.init_process_group(_backend(), store=_meeting().store, rank=self.rank, world_size=self.size)

    def first_to_fail(self) -> bool:
        """True in the one process that is to say what went wrong: the first that asks, or any that finds no others."""
        try:
            return self.size == 1 or _meeting().first("failed")
        except (DeviceError, RuntimeError):
            return True

    def leave(self) -> None:
        """At the end of a run that went well, close what :meth:`gather` opened."""
        if self.size > 1:
            import torch.distributed as dist

            if dist.is_initialized():
                dist.destroy_process_group()


def team() -> Team:
    """The team to which torchrun, by its environment variables, says that this process belongs."""
    size = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    return Team(int(os.environ["RANK"]), size) if size > 1 else Team()


def local_processes() -> int:
    """How many processes of the team are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


class _Meeting:
    """The store in which the processes of a team find each other."""

    def __init__(self) -> None:
        from torch.distributed.rendezvous import rendezvous

        try:
            self.store, _, _ = next(rendezvous("env://"))
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DeviceError(f"the processes do not find each other ({reason}); start them with torchrun") from None
        self._numbers = count()

    def wait_for(self, size: int) -> None:
        """Return when all have come. Waiting here, not in a process group, has no time limit and can be interrupted."""
        place = f"segablate/meeting/{next(self._numbers)}"
        self.store.add(place, 1)
        while self.store.add(place, 0) < size:
            time.sleep(_POLL)

    def first(self, what: str) -> bool:
        """Whether nobody has asked before."""
        return self.store.add(f"segablate/{what}", 1) == 1


@cache
def _meeting() -> _Meeting:
    return _Meeting()


def _backend() -> str:
    """NCCL where GPUs are in use, and each process on this machine has one of its own."""
    import torch

    if not torch.cuda.is_initialized() or local_processes() > torch.cuda.device_count():
        return "gloo"
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return "nccl"


def _own_gpu(name: str, gpus: int) -> str:
    """``cuda:LOCAL_RANK``, round and round where there are more processes than GPUs."""
    if name != "cuda":
        raise DeviceError(f"--device {name} is one GPU for {team().size} processes; use --device cuda, or one process")
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % gpus}"
