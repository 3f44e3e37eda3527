"""Where the work runs: device and precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from segablate.errors import DeviceError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")


def resolve_device(name: str = "auto") -> "torch.device":
    """``auto`` is CUDA where there is one, else the CPU. Raises DeviceError for a device that is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
