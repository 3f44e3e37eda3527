"""A network converted to TensorFlow Lite, run on the CPU by ai-edge-litert: ``tflite:FILE``.

Size and layout of its images, and the quantisation of input and output, are read off the file. Where the input is
quantised and no constants are stated, pixels of 0..255 map to its integers one to one.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segablate.checkpoints.exported import ImageInput, Run, open_exported, stated_channels
from segablate.checkpoints.outputs import chosen_head
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.checkpoints.stated_metadata import for_outputs, shown_facts
from segablate.checkpoints.tflite_interpreter import Interpreter
from segablate.checkpoints.tflite_metadata import read_tflite_metadata
from segablate.errors import CheckpointError, DeviceError, at, counted, shorten
from segablate.extras import require
from segablate.files import native_path
from segablate.weights.recognition import refuse_other

SUFFIXES = (".tflite",)

_CONSTANTS = ("scale", "mean", "std", "divisor", "normalise")

Details = Mapping[str, Any]
"""The interpreter's description of an input or an output."""


def open_source(place: str, loading: Loading) -> Segmenter:
    """Load a TFLite file. Raises CheckpointError when it is damaged, or takes anything but colour images."""
    litert = require("ai_edge_litert.interpreter", "tflite", "running a TFLite file")
    path = loading.existing(place)
    with at(path):
        if loading.device not in ("auto", "cpu"):
            raise DeviceError(f"device {loading.device!r} was asked for, but TFLite runs on the CPU; use --device cpu")
        refuse_other(path, "tflite")
        interpreter = _interpreter(litert, path)
        taken = _input(interpreter.inputs)
        given, notes = _output(interpreter.outputs, loading.head)
        notes = (*notes, *interpreter.notes)
        place_of_output = [each["index"] for each in interpreter.outputs].index(given["index"])
        stated = for_outputs(read_tflite_metadata(path, place_of_output), _count(given))
        start = stated.start(loading) if _is_float(taken) else None if _stated(loading) else _whole_range(taken)
        facts = {**_facts(taken, given), **(shown_facts(stated, loading, _is_float(taken)))}
        return open_exported(
            _run(interpreter, taken, given),
            _image_input(taken, stated_channels(loading)),
            Source(f"tflite:{place}", (path,), facts, (*notes, *stated.notes), by_files=True),
            replace(loading, device="cpu", head=None),
            kind="softmax" if _is_float(given) or _quantisation(given) else "labels",
            start=start,
            classes=stated.classes,
        )


def _interpreter(litert: Any, path: Path) -> Interpreter:
    if _head(path)[4:] != b"TFL3":
        raise CheckpointError("is not a TFLite file; convert or copy it again")
    native = native_path(path, "ai-edge-litert")
    found = Interpreter(litert, native)
    try:
        found.allocate()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(f"ai-edge-litert cannot load it ({reason}); convert or copy it again") from None
    return found


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise CheckpointError(f"cannot be read ({(error.strerror or str(error)).lower()}); check the path") from None


def _input(inputs: list[Details]) -> Details:
    if len(inputs) != 1:
        names = shorten([described["name"] for described in inputs], 6)
        raise CheckpointError(f"the network takes {len(inputs)} inputs ({names}); convert it with one, the image")
    return inputs[0]


def _output(outputs: list[Details], head: str | None) -> tuple[Details, tuple[str, ...]]:
    """Return the output called `head`, or the first, with a note on the others."""
    names = [output["name"] for output in outputs]
    if head is not None:
        return outputs[names.index(chosen_head(names, head))], ()
    note = f"the first of {counted(len(outputs), 'output')} is used ({shorten(names, 8)}); choose another with --head"
    return outputs[0], (note,) if len(outputs) > 1 else ()


def _image_input(taken: Details, channels: int | None) -> ImageInput:
    """Describe the input; a quantised one takes the real numbers that its integers represent."""
    if not (_is_float(taken) or _quantisation(taken) or taken["dtype"] == np.uint8):
        raise CheckpointError(f"its input is {np.dtype(taken['dtype'])}; expected float, uint8 or a quantised type")
    shape = [int(side) for side in taken["shape_signature"]]
    whole = not (_is_float(taken) or _quantisation(taken))
    return ImageInput.of(shape, torch.uint8 if whole else torch.float32, channels)


def _run(interpreter: Interpreter, taken: Details, given: Details) -> Run:
    def run(images: Tensor) -> Tensor:
        array = _quantised(images.numpy(), taken)
        return torch.from_numpy(_dequantised(interpreter.run(array, taken["index"], given["index"]), given))

    return run


def _quantised(values: np.ndarray, described: Details) -> np.ndarray:
    """Quantise numbers, ``q = round(x / scale) + zero point``, or convert them to the input's dtype."""
    found = _quantisation(described)
    if found is None:
        return values.astype(described["dtype"])
    scale, zero = found
    limits = np.iinfo(described["dtype"])
    return (np.rint(values / scale) + zero).clip(limits.min, limits.max).astype(described["dtype"])


def _dequantised(values: np.ndarray, described: Details) -> np.ndarray:
    found = _quantisation(described)
    return values if found is None else (values.astype(np.float32) - found[1]) * np.float32(found[0])


def _quantisation(described: Details) -> tuple[float, int] | None:
    """Return scale and zero point of a quantised tensor, or None."""
    scale, zero = described["quantization"]
    return None if _is_float(described) or scale == 0 else (float(scale), int(zero))


def _is_float(described: Details) -> bool:
    return np.issubdtype(described["dtype"], np.floating)


def _stated(loading: Loading) -> bool:
    return any(name in loading.preprocessing for name in _CONSTANTS)


def _whole_range(taken: Details) -> Preprocessing | None:
    """Map pixels of 0..255 to the range of an 8-bit input: ``x = pixel · scale − (zero point − lowest) · scale``."""
    found = _quantisation(taken)
    if found is None or np.dtype(taken["dtype"]).itemsize != 1:
        return None
    scale, zero = found
    mean = (zero - int(np.iinfo(taken["dtype"]).min)) * scale
    return Preprocessing(scale=repr(scale), mean=(mean, mean, mean))


def _count(given: Details) -> int | None:
    """Return the number of channels of an output N, H, W, K."""
    sides = given["shape_signature"]
    return int(sides[3]) if len(sides) == 4 and sides[3] > 1 else None


def _facts(taken: Details, given: Details) -> dict[str, str]:
    def described(tensor: Details) -> str:
        found = _quantisation(tensor)
        quantised = f", scale {found[0]:.6g}, zero point {found[1]}" if found else ""
        return f"{np.dtype(tensor['dtype'])}{quantised}"

    sides = "x".join("?" if side < 0 else str(side) for side in given["shape_signature"])
    return {
        "head": f"{given['name']}, {sides} {described(given)}",
        "runtime": f"ai-edge-litert, on {described(taken)}",
    }
