"""A network exported to ONNX, run by onnxruntime: ``onnx:FILE``.

Size and layout of its images, and whether its argmax is inside, are read off the file. Preprocessing, classes and
the kind of output come from a card or from options. An ONNX file is a description of
operators and holds no code.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segablate.checkpoints.exported import ImageInput, Run, open_exported, stated_channels
from segablate.checkpoints.outputs import chosen_head
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.checkpoints.stated_metadata import for_outputs, read_statements, shown_facts
from segablate.errors import CheckpointError, DeviceError, at, counted, shorten
from segablate.extras import require
from segablate.files import native_path
from segablate.runtime import resolve_device
from segablate.weights.recognition import refuse_other

SUFFIXES = (".onnx",)

_CUDA = "CUDAExecutionProvider"
_TYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(uint8)": torch.uint8,
}
_SCORES = (*_TYPES, "tensor(bfloat16)")


def open_source(place: str, loading: Loading) -> Segmenter:
    """Load an ONNX file. Raises CheckpointError when it is damaged, or takes anything but colour images."""
    runtime = require("onnxruntime", "onnx", "running an ONNX file")
    path = loading.existing(place)
    with at(path):
        device, note = _device(runtime, loading.device)
        refuse_other(path, "onnx")
        session = _session(runtime, path, device)
        stated = read_statements(session.get_modelmeta().custom_metadata_map)
        image = _image_input(session.get_inputs(), stated_channels(loading))
        output, output_note = _output(session.get_outputs(), loading.head)
        stated = for_outputs(stated, _count(output))
        notes = tuple(filter(None, (note, output_note, *stated.notes)))
        start = stated.start(loading) if image.dtype.is_floating_point else None
        facts = {**_facts(session, output), **shown_facts(stated, loading)}
        return open_exported(
            _run(session, session.get_inputs()[0].name, output.name),
            image,
            Source(f"onnx:{place}", _files(path), facts, notes, by_files=True),
            replace(loading, device=device, head=None),
            kind="softmax" if output.type in _SCORES and not _is_map(output) else "labels",
            start=start,
            classes=stated.classes,
        )


def _device(runtime: Any, asked: str) -> tuple[str, str]:
    """Return a device that both torch and onnxruntime support, and a note where that is not the fastest one."""
    device = str(resolve_device(asked))
    if device == "cpu" or _CUDA in runtime.get_available_providers():
        return device, ""
    if asked != "auto":
        raise DeviceError(
            f"device {asked!r} was asked for, but this onnxruntime has no {_CUDA}; install onnxruntime-gpu, or use "
            f"--device cpu"
        )
    return "cpu", f"onnxruntime has no {_CUDA}: the network ran on the CPU; onnxruntime-gpu would use the GPU"


def _session(runtime: Any, path: Path, device: str) -> Any:
    """Open a session whose results do not depend on the order in which threads finish."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # errors come as exceptions; its own lines would stand beside their one line
    native = native_path(path, "onnxruntime")
    kind, _, number = device.partition(":")
    gpu = [(_CUDA, {"device_id": int(number or 0), "use_tf32": 0})] if kind == "cuda" else []
    try:
        session = runtime.InferenceSession(native, options, providers=[*gpu, "CPUExecutionProvider"])
    except Exception as error:  # the library has a class of its own for each of a dozen reasons
        reason = " ".join(str(error).split())[:160]
        if "external data" in reason.lower():
            raise CheckpointError(
                "its file of external data, with the weights, is missing; copy that one too"
            ) from None
        raise CheckpointError(f"onnxruntime cannot load it ({reason}); export or copy it again") from None
    if gpu and _CUDA not in session.get_providers():
        raise DeviceError(f"onnxruntime could not start {_CUDA} on {device}; use --device cpu")
    return session


def _image_input(inputs: list[Any], channels: int | None) -> ImageInput:
    if len(inputs) != 1:
        names = shorten([described.name for described in inputs], 6)
        raise CheckpointError(f"the network takes {len(inputs)} inputs ({names}); export it with one, the image")
    if inputs[0].type not in _TYPES:
        raise CheckpointError(f"its input is {inputs[0].type}; expected float, float16, double or uint8")
    return ImageInput.of(inputs[0].shape, _TYPES[inputs[0].type], channels)


def _output(outputs: list[Any], head: str | None) -> tuple[Any, str]:
    """Return the output called `head`, or the first, with a note on the others."""
    names = [output.name for output in outputs]
    if head is not None:
        return outputs[names.index(chosen_head(names, head))], ""
    note = f"the first of {counted(len(outputs), 'output')} is used ({shorten(names, 8)}); choose another with --head"
    return outputs[0], note if len(outputs) > 1 else ""


def _count(output: Any) -> int | None:
    """Return the number of channels of an output N, K, H, W where it is fixed."""
    sides = output.shape
    return sides[1] if len(sides) == 4 and isinstance(sides[1], int) and sides[1] > 0 else None


def _is_map(output: Any) -> bool:
    """Return whether an output is class indices N, H, W, in as few bits as they need."""
    return output.type == "tensor(uint8)" and len(output.shape) == 3


def _facts(session: Any, output: Any) -> dict[str, str]:
    providers = [name.removesuffix("ExecutionProvider") for name in session.get_providers()]
    sides = "x".join(str(side) if isinstance(side, int) else "?" for side in output.shape)
    return {"head": f"{output.name}, {sides} {output.type}", "runtime": f"onnxruntime on {providers[0]}"}


def _run(session: Any, name: str, output: str) -> Run:
    def run(images: Tensor) -> Tensor:
        found = session.run([output], {name: images.cpu().numpy()})[0]
        return torch.from_numpy(np.asarray(found)).to(images.device)

    return run


def _files(path: Path) -> tuple[Path, ...]:
    """Return the file, and the file of its weights where there is one under the usual names."""
    beside = (path.with_name(path.name + ending) for ending in (".data", "_data"))
    return (path, *(file for file in beside if file.is_file()))
